"""Facts: pairs of names that are always said in the same order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.worlds.enumerated import Enumerated
from tokenmask.worlds.world import Part


@dataclass(frozen=True)
class Facts(Enumerated):
    """Facts "Ai Bi", all equally likely, whose names stand in no other. One stream, "fact", of two places.

    Source: the reversal curse, arXiv:2309.12288, at its smallest; reversal in LLaDA, arXiv:2502.09992, section 3.3.

    Args:
        count: of facts.
        turned: whether they are said as "Bi Ai".
    """

    count: int = 200
    turned: bool = False

    def __post_init__(self) -> None:
        if self.count < 2:
            raise ValueError(f"Facts must be two at the least, got {self.count}; take more")

    @property
    def parts(self) -> Mapping[str, Part]:
        names = tuple(f"{kind}{number}" for kind in "AB" for number in range(self.count))
        return {"fact": Part(names, (2,), " ")}

    def possible(self) -> tuple[Tensor, Tensor]:
        first = torch.arange(self.count)
        pairs = torch.stack([first, first + self.count], 1)
        return pairs.flip(1) if self.turned else pairs, torch.ones(self.count, dtype=torch.float64)

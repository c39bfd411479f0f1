"""NaeSat: bits that are easy to draw, and observations of them that are hard to draw first."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.worlds.enumerated import Enumerated
from tokenmask.worlds.world import Part


@dataclass(frozen=True)
class NaeSat(Enumerated):
    """Fair bits in the stream "bits"; each code of "seen" says whether three of them are not all equal.

    Source: L&O-NAE-SAT of "Train for the worst, plan for the best", arXiv:2502.06768, section 3.

    Args:
        bits: how many, 3 to 16.
        seen: how many observations.
        seed: of the bits that each observation looks at.
    """

    bits: int = 7
    seen: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        if not (3 <= self.bits <= 16 and self.seen >= 1):
            raise ValueError(f"NaeSat has 3 to 16 bits and an observation or more, got {self.bits} and {self.seen}")

    @property
    def parts(self) -> Mapping[str, Part]:
        return {"bits": Part(("0", "1"), (self.bits,)), "seen": Part(("=", "!"), (self.seen,))}

    @property
    def looked_at(self) -> Tensor:
        """int64 [seen, 3], the bits of each observation."""
        draw = torch.Generator().manual_seed(self.seed)
        return torch.rand(self.seen, self.bits, generator=draw).argsort(1)[:, :3].sort(1).values

    def possible(self) -> tuple[Tensor, Tensor]:
        bits = torch.cartesian_prod(*[torch.arange(2)] * self.bits)
        three = bits[:, self.looked_at].sum(-1)
        codes = torch.cat([bits, ((three > 0) & (three < 3)).long()], 1)
        return codes, torch.ones(len(codes), dtype=torch.float64)

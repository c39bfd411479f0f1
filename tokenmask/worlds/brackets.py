"""Brackets: words in which every bracket is closed by its own kind."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.worlds.enumerated import Enumerated
from tokenmask.worlds.world import Part

_KINDS = ("()", "[]", "{}", "<>")


@dataclass(frozen=True)
class Brackets(Enumerated):
    """All balanced words of a length, equally likely. One stream, "word".

    Args:
        length: an even number of brackets.
        kinds: of brackets, 1 to 4.
    """

    length: int = 8
    kinds: int = 2

    def __post_init__(self) -> None:
        if self.length < 2 or self.length % 2 or not 1 <= self.kinds <= 4 or (2 * self.kinds) ** self.length > 1 << 20:
            raise ValueError(
                f"Brackets are an even number of 1 to 4 kinds, up to 2^20 words to choose from, got {self.length} of "
                f"{self.kinds}; make them shorter"
            )

    @property
    def parts(self) -> Mapping[str, Part]:
        return {"word": Part(tuple("".join(_KINDS[: self.kinds])), (self.length,))}

    def possible(self) -> tuple[Tensor, Tensor]:
        words = [word for word in itertools.product(range(2 * self.kinds), repeat=self.length) if balanced(word)]
        return torch.tensor(words), torch.ones(len(words), dtype=torch.float64)


def balanced(word: tuple[int, ...]) -> bool:
    """Whether codes (even ones open, the next one closes) are a balanced word."""
    waiting = list[int]()
    for code in word:
        if code % 2 == 0:
            waiting.append(code + 1)
        elif not waiting or waiting.pop() != code:
            return False
    return not waiting

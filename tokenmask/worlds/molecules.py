"""Molecules: segments between dots, whose digits must meet in pairs, at the size of a toy."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.ops import Purpose, uniform
from tokenmask.worlds.enumerated import Enumerated
from tokenmask.worlds.world import Part

_MOST = 1 << 18
_DIGITS = "12"


@dataclass(frozen=True)
class Molecules(Enumerated):
    """Four segments with dots between them, each of one or more letters and the digit of a link; each of two digits
    stands in two segments, which it links. One stream, "molecule"; all are equally likely.

    Fragment strings (SAFE) at their smallest: what is linked is told by digits, so the order of segments says nothing,
    and a segment cannot be exchanged without a look at the others. "_" fills up behind shorter ones.

    Args:
        letters: of segments.
        most: letters of a segment.
        seed: of what segments are worth.
    """

    letters: str = "CN"
    most: int = 2
    seed: int = 0

    def __post_init__(self) -> None:
        kinds = sum(len(self.letters) ** size for size in range(1, self.most + 1))
        taken = set(self.letters) & set(_DIGITS + "._")
        if not self.letters or taken or len(set(self.letters)) < len(self.letters) or 6 * kinds**4 > _MOST:
            raise ValueError(
                f"Molecules have different letters, no 1, 2, dot or line, and at most {_MOST} ways to write four "
                f"segments of them, got {self.letters!r} up to {self.most} at a time; take fewer"
            )

    @property
    def parts(self) -> Mapping[str, Part]:
        return {"molecule": Part((*self.letters, *_DIGITS, ".", "_"), (4 * (self.most + 2) - 1,))}

    @property
    def _segments(self) -> list[str]:
        words = [
            "".join(word) for size in range(1, self.most + 1) for word in itertools.product(self.letters, repeat=size)
        ]
        return [word + digit for word in words for digit in _DIGITS]

    def possible(self) -> tuple[Tensor, Tensor]:
        alphabet, (size,) = self.parts["molecule"].alphabet, self.parts["molecule"].grid
        code = {symbol: number for number, symbol in enumerate(alphabet)}
        texts = (".".join(four) for four in itertools.product(self._segments, repeat=4) if _is_linked(four))
        rows = [[code[one] for one in text.ljust(size, "_")] for text in texts]
        return torch.tensor(rows), torch.ones(len(rows), dtype=torch.float64)

    def worth(self, text: str) -> float | None:
        """The sum of what the four segments of a molecule are worth, 0 to 1 each; None if it is no molecule.

        Args:
            text: as its tokenizer writes it down.
        """
        known = self._segments
        four = text.rstrip("_").split(".")
        if len(four) != 4 or not set(four) <= set(known) or not _is_linked(four):
            return None
        each = uniform(seed=self.seed, counters=torch.arange(len(known)), purpose=Purpose.rate).double()
        return float(sum(each[known.index(one)] for one in four))

    @property
    def best(self) -> float:
        """The most that a molecule is worth."""
        each = uniform(seed=self.seed, counters=torch.arange(len(self._segments)), purpose=Purpose.rate).double()
        return 2 * sum(float(each[number :: len(_DIGITS)].max()) for number in range(len(_DIGITS)))


def _is_linked(four: tuple[str, ...] | list[str]) -> bool:
    return sorted(one[-1:] for one in four) == sorted(2 * _DIGITS)

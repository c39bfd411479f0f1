"""Matching: what is left of a world where what it says must match a pattern."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.worlds.enumerated import Enumerated
from tokenmask.worlds.world import Part, World

_MOST = 1 << 18  # strings of codes that are tried


@dataclass(frozen=True)
class Matching(Enumerated):
    """The law of another world, given that its symbols, written one after the other, match a regular expression.

    What a sampler under a constraint should follow, while its model knows the other world alone.

    Args:
        world: of a few short streams, whose codes can all be tried.
        pattern: of Python's ``re``, for the whole string.
    """

    world: World
    pattern: str = ".*"

    def __post_init__(self) -> None:
        count = math.prod(self.world.sizes)
        if count > _MOST:
            raise ValueError(f"Matching tries all strings of codes, at most {_MOST}, got {count}; make them shorter")
        try:
            re.compile(self.pattern)
        except re.error as error:
            raise ValueError(f"Matching needs a regular expression, got {self.pattern!r}: {error}; mend it") from error

    @property
    def parts(self) -> Mapping[str, Part]:
        return self.world.parts

    def possible(self) -> tuple[Tensor, Tensor]:
        alphabets = [part.alphabet for part in self.parts.values() for _ in range(len(part))]
        kept = [
            codes
            for codes in itertools.product(*(range(len(one)) for one in alphabets))
            if re.fullmatch(self.pattern, "".join(one[code] for one, code in zip(alphabets, codes, strict=True)))
        ]
        if not kept:
            raise ValueError(f"nothing of the world matches {self.pattern!r}; write another pattern")
        found = torch.tensor(kept)
        law = self.world.log_prob(found).exp()
        return found[law > 0], law[law > 0]

"""Dilated unmasking: codes revealed together stand far apart. Source: DUS, arXiv:2506.19037, published code."""

from collections import Counter
from dataclasses import dataclass

import torch

from tokenmask.sampling import Schedule
from tokenmask.scores import Score


@dataclass(frozen=True)
class Dilated(Score, Schedule):
    """Order and schedule in one, to be named as both: block by block, and in a block level by level, the multiples of
    block // base^skip, then of block // base^(skip + 1), down to 1; a last level smaller than the one before joins it.
    A level is a step, whatever ``steps`` says. Where a block is cut off, its levels are."""

    block: int = 32
    base: int = 2  # at least 2
    skip: int = 1

    def levels(self) -> list[int]:
        """The level of each place of a block."""
        strides = [self.block // self.base**n for n in range(self.skip, self.block.bit_length() + 1)]
        found = [next(n for n, d in enumerate(strides) if place % max(d, 1) == 0) for place in range(self.block)]
        size, last = Counter(found), max(found)
        return [level - (level == last and size[last] < size[last - 1]) for level in found]

    def steps(self, initial: int, steps: int) -> int:
        return len(self.plan(initial, steps))

    def plan(self, initial: int, steps: int) -> list[int]:
        levels = self.levels()
        places = Counter((place // self.block, levels[place % self.block]) for place in range(initial))
        return [sum(n for other, n in places.items() if other > group) for group in sorted(places)] or [0]

    def __call__(self, context):
        place = (context.batch.to_fill.cumsum(1) - 1).clamp(min=0)
        levels = torch.tensor(self.levels(), device=place.device)
        return -(place // self.block * self.block + levels[place % self.block]).float()

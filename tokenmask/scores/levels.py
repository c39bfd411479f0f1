"""Level scores: static orders in which the places of a block form levels, each revealed as one.

Arrow: ScoreContext --> float32 [B, L, K], equal for the slots of a level. Does not know: what the model predicts.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from tokenmask.scores.arguments import whole
from tokenmask.scores.score import Score, ScoreContext


class _LevelScore(Score):
    """Block by block, and in a block level by level; blocks are counted from the first slot that is to be filled."""

    block: int

    @abstractmethod
    def levels(self) -> tuple[int, ...]:
        """The level of each place of a block, from 0."""

    def __call__(self, context: ScoreContext) -> Tensor:
        place = places(context)
        levels = torch.tensor(self.levels(), device=place.device)
        return -(torch.div(place, self.block, rounding_mode="floor") * self.block + levels[place % self.block]).float()


@dataclass(frozen=True)
class DilatedScore(_LevelScore):
    """Slots of a block far apart first: multiples of block // base^skip, then of the stride // base, down to 1.

    Slots of one level have equal scores; with :class:`tokenmask.sampling.ByGroups` a level is a step, so that a block
    of B takes about log_base B of them. A last level that is smaller than the one before joins it.
    Source: DUS, arXiv:2506.19037, section 3.2 and published code, whose blocks begin behind the prompt. Compared with
    that code: levels of all blocks up to 128, bases 1 to 4 and skips 1 to 3 are equal, and so is what its loop fills
    greedily without opening slots again. Not compared: trained models.

    Args:
        block: places of a block, B.
        base: by which strides fall; 1 makes a block one level.
        skip: how often the first stride was divided.
    """

    block: int = 32
    base: int = 2
    skip: int = 1

    def __post_init__(self) -> None:
        for name in ("block", "base", "skip"):
            whole(f"{type(self).__name__}.{name}", getattr(self, name))

    def levels(self) -> tuple[int, ...]:
        return _levels(dilated_levels(self.block, self.base, self.skip))


@dataclass(frozen=True)
class BinaryScore(_LevelScore):
    """The middle of a block first, then the middles of both halves, and so on; scores and source as DilatedScore.

    Args:
        block: places of a block.
    """

    block: int = 32

    def __post_init__(self) -> None:
        whole("BinaryScore.block", self.block)

    def levels(self) -> tuple[int, ...]:
        return _levels(binary_levels(self.block))


def places(context: ScoreContext) -> Tensor:
    """int64 [B, L, K], the number of each slot among those of its row and level that are to be filled, from 0."""
    return (context.batch.to_fill.cumsum(1) - 1).clamp(min=0)


@cache
def dilated_levels(size: int, base: int = 2, skip: int = 1) -> tuple[tuple[int, ...], ...]:
    """Places 0..size - 1 of each level of a block, see :class:`DilatedScore`."""
    stride = size // base**skip if base > 1 else 1
    levels: list[tuple[int, ...]] = []
    left = list(range(size))
    while left:
        level = tuple(place for place in left if place % max(stride, 1) == 0)
        levels += [level] if level else []
        left = [place for place in left if place not in level]
        stride //= max(base, 2)
    return _merged(levels)


@cache
def binary_levels(size: int) -> tuple[tuple[int, ...], ...]:
    """Places 0..size - 1 of each level of a block, see :class:`BinaryScore`."""
    levels: list[tuple[int, ...]] = []
    parts = [(0, size - 1)]
    while parts:
        middles = [(low, (low + high) // 2, high) for low, high in parts]
        levels.append(tuple(middle for _, middle, _ in middles))
        halves = [half for low, middle, high in middles for half in ((low, middle - 1), (middle + 1, high))]
        parts = [(low, high) for low, high in halves if low <= high]
    return _merged(levels)


def _merged(levels: list[tuple[int, ...]]) -> tuple[tuple[int, ...], ...]:
    """A last level that is smaller than the one before it joins it."""
    if len(levels) > 1 and len(levels[-1]) < len(levels[-2]):
        levels = [*levels[:-2], levels[-2] + levels[-1]]
    return tuple(levels)


def _levels(levels: Sequence[Sequence[int]]) -> tuple[int, ...]:
    found = {place: number for number, level in enumerate(levels) for place in level}
    return tuple(found[place] for place in range(len(found)))

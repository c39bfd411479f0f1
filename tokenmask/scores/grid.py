"""Grid scores: a fixed rank of each cell of a stream's grid, of low discrepancy.

Arrow: ScoreContext --> float32 [B, L, K]. Does not know: draws, what the model predicts.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import torch
from torch import Tensor

from tokenmask.ops import Purpose, uniform
from tokenmask.scores.score import Score, ScoreContext

_GOLDEN, _PLASTIC = 1.61803398874989484820, 1.32471795724474602596  # real roots of g^2 = g + 1 and g^3 = g + 1


class _GridScore(Score):
    """A fixed rank of each cell of a stream's grid, best first; slots without rows and columns lie on their time."""

    def _ranked(self, context: ScoreContext, ranks_of: Callable[[int, int], Tensor]) -> Tensor:
        batch, levels = context.batch, context.is_open.shape[2]
        ranks = torch.zeros(batch.stream.shape, device=batch.device)
        for stream in set(batch.stream.flatten().tolist()):
            inside = batch.stream == stream
            where = batch.coordinates.long() * inside[:, :, None]
            height, width = (where[..., axis].amax(1) + 1 for axis in (1, 2))  # of each row: others must not matter
            flat = height * width == 1
            height = torch.where(flat, where[..., 0].amax(1) + 1, height)
            place = torch.where(flat[:, None], where[..., 0], where[..., 1] * width[:, None] + where[..., 2])
            for size in set(zip(height.tolist(), width.tolist(), strict=True)):
                rows = ((height == size[0]) & (width == size[1]))[:, None] & inside
                ranks[rows] = ranks_of(*size).to(ranks)[place[rows]]
        return -ranks[:, :, None].expand(*batch.stream.shape, levels).contiguous()


@dataclass(frozen=True)
class HaltonScore(_GridScore):
    """A low-discrepancy order of the (row, column) grid: every prefix covers the picture evenly.

    Cells are ranked by the first Halton point (bases 2 and 3) that falls on them, so every cell has a rank whatever the
    grid. Slots without rows and columns use base 2 on their time. Source: arXiv:2503.17076, section 3.2.

    Args:
        rotate: each sample begins the order at a place of its own, drawn once for all steps, and goes round; the
            published code draws it as ``randomize``.
    """

    rotate: bool = False

    def __call__(self, context: ScoreContext) -> Tensor:
        scores = self._ranked(context, halton_ranks)
        return _rotated(scores, context) if self.rotate else scores


@dataclass(frozen=True)
class QLDSScore(_GridScore):
    """The low-discrepancy order of M2T: multiples of powers of the plastic number, modulo 1.

    Cells are ranked by the first point that rounds to them; slots without rows and columns use the golden ratio on
    their time. Source: M2T, arXiv:2304.07313, section 4.1; the points are those of M. Roberts (2018).
    """

    def __call__(self, context: ScoreContext) -> Tensor:
        return self._ranked(context, qlds_ranks)


def _rotated(scores: Tensor, context: ScoreContext) -> Tensor:
    """Ranks r of a stream of n places become (r + shift) modulo n; the shift is a draw of each row and stream."""
    batch, found = context.batch, scores.clone()
    for stream in set(batch.stream.flatten().tolist()):
        inside = (batch.stream == stream) & batch.valid
        places = torch.where(inside, -scores[..., 0], -1.0).amax(1) + 1
        draws = uniform(seed=context.seeds, counters=(batch.sample_ids << 8) | (stream & 0xFF), purpose=Purpose.crop)
        shift = (draws * places).floor()[:, None, None]
        moved = -((shift - scores) % places.clamp(min=1)[:, None, None])
        found = torch.where(inside[:, :, None], moved, found)
    return found


@cache
def halton_ranks(height: int, width: int) -> Tensor:
    """Rank of each cell of a grid in the order of its first Halton point: int64 [height * width], a permutation."""
    ranks = torch.full((height * width,), -1, dtype=torch.int64)
    found = index = 0
    while found < height * width:
        index += 1
        cell = _halton_cell(index, 2, height) * width + _halton_cell(index, 3, width)
        if ranks[cell] < 0:
            ranks[cell] = found
            found += 1
    return ranks


@cache
def qlds_ranks(height: int, width: int) -> Tensor:
    """Rank of each cell of a grid in the order of its first point: int64 [height * width], a permutation."""
    steps = (1 / _PLASTIC, 1 / _PLASTIC**2) if width > 1 else (1 / _GOLDEN, 0.0)
    ranks = torch.full((height * width,), -1, dtype=torch.int64)
    found = index = 0
    while found < height * width:
        index += 1
        row, column = (
            round((0.5 + index * step) % 1 * side) % side for step, side in zip(steps, (height, width), strict=True)
        )
        if ranks[row * width + column] < 0:
            ranks[row * width + column] = found
            found += 1
    return ranks


def _halton_cell(index: int, base: int, size: int) -> int:
    """floor(size * h) of the number's digits behind the point in reverse; in whole numbers, for h may be n / size."""
    value, whole = 0, 1
    while index:
        index, digit = divmod(index, base)
        value, whole = value * base + digit, whole * base
    return size * value // whole

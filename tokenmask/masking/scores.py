"""Scores: which slots. One kind of object for training and for sampling.

Arrow: inside Masker (the best n slots are hidden) and Sampler (the best n slots are revealed); ``ops.choose`` picks
them under a total order. Does not know: how many slots, ids, models. Scores that read a model's predictions live in
``sampling/order.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.ops import Purpose, uniform

_LEVEL_BITS, _SLOT_BITS = 6, 24


@dataclass(frozen=True, eq=False)
class ScoreContext:
    """What a score may read.

    Args:
        batch: coordinates, streams and roles of the slots.
        is_open: bool [B, L, K], the slots that can be chosen.
        seeds: int64 [B], seed of each row.
        keys: int64 [B], tells rows (and steps) of one seed apart; below 2^39.
        progress: 0 at the first step, 1 after the last; 0 in training.
        predictions: "logprob", "entropy" and "margin" of the drawn codes, float32 [B, L, K] each; empty in training.
    """

    batch: Batch
    is_open: Tensor
    seeds: Tensor
    keys: Tensor
    progress: float = 0.0
    predictions: Mapping[str, Tensor] = field(default_factory=dict)


def slot_counters(keys: Tensor, length: int, levels: int) -> Tensor:
    """Philox counters of every slot: int64 [B, L, K], a function of (key, position, level) alone.

    Args:
        keys: int64 [B], below 2^39.
        length, levels: L (below 2^18) and K (at most 64). Neither changes the counters of the slots it holds.
    """
    position = torch.arange(length, device=keys.device)[:, None] << _LEVEL_BITS
    slot = position | torch.arange(levels, device=keys.device)
    return (keys[:, None, None] << _SLOT_BITS) | slot


def slot_noise(context: ScoreContext, places: Tensor | None = None) -> Tensor:
    """One uniform in [0, 1) for each slot, float32 [B, L, K].

    Args:
        context: seeds, keys and shape.
        places: int64 [B, L], draws by these numbers instead of the positions, so that equal numbers share a draw.
    """
    rows, length, levels = context.is_open.shape
    counters = slot_counters(context.keys, length, levels)
    if places is not None:
        counters = (context.keys[:, None, None] << _SLOT_BITS) | (places << _LEVEL_BITS)[:, :, None]
        counters = counters.expand(rows, length, levels)
    seeds = context.seeds[:, None, None].expand(rows, length, levels)
    flat = uniform(seed=seeds.reshape(-1), counters=counters.reshape(-1), purpose=Purpose.order)
    return flat.view(rows, length, levels)


class Score(ABC):
    """Base of all scores."""

    @abstractmethod
    def __call__(self, context: ScoreContext) -> Tensor:
        """Returns float32 [B, L, K]; the highest are chosen first. Closed slots may hold anything but NaN."""


@dataclass(frozen=True)
class RandomScore(Score):
    """Uniform noise: random masking and random order."""

    def __call__(self, context: ScoreContext) -> Tensor:
        return slot_noise(context)


@dataclass(frozen=True)
class SpanScore(Score):
    """Runs of ``span`` neighbouring positions of a stream move together; the last run is cut to keep the count exact.

    Source: MAGNeT, arXiv:2401.04577, section 3.2, in its non-overlapping form.
    """

    span: int = 3

    def __post_init__(self) -> None:
        if self.span < 1:
            raise ValueError(f"SpanScore.span must be at least 1, got {self.span}")

    def __call__(self, context: ScoreContext) -> Tensor:
        positions = torch.arange(context.is_open.shape[1], device=context.is_open.device)
        starts = torch.ones_like(context.batch.stream, dtype=torch.bool)
        starts[:, 1:] = context.batch.stream[:, 1:] != context.batch.stream[:, :-1]
        first = torch.where(starts, positions, 0).cummax(dim=1).values
        return slot_noise(context, first + torch.div(positions - first, self.span, rounding_mode="floor"))


@dataclass(frozen=True)
class HaltonScore(Score):
    """A low-discrepancy order of the (row, column) grid: every prefix covers the picture evenly.

    Cells are ranked by the first Halton point (bases 2 and 3) that falls on them, so every cell has a rank whatever the
    grid. Slots without rows and columns use base 2 on their time. Source: arXiv:2503.17076, section 3.2.
    """

    def __call__(self, context: ScoreContext) -> Tensor:
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
                ranks[rows] = halton_ranks(*size).to(ranks)[place[rows]]
        return -ranks[:, :, None].expand(*batch.stream.shape, levels).contiguous()


@cache
def halton_ranks(height: int, width: int) -> Tensor:
    """Rank of each cell of a grid in the order of its first Halton point: int64 [height * width], a permutation."""
    ranks = torch.full((height * width,), -1, dtype=torch.int64)
    found = index = 0
    while found < height * width:
        index += 1
        cell = int(_radical_inverse(index, 2) * height) * width + int(_radical_inverse(index, 3) * width)
        if ranks[cell] < 0:
            ranks[cell] = found
            found += 1
    return ranks


def _radical_inverse(index: int, base: int) -> float:
    value, share = 0.0, 1.0
    while index:
        share /= base
        index, digit = divmod(index, base)
        value += digit * share
    return value


@dataclass(frozen=True)
class SumScore(Score):
    """A weighted sum of scores, which is a score."""

    terms: tuple[Score, ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.terms or len(self.terms) != len(self.weights):
            raise ValueError(f"SumScore needs a weight for each term, got {len(self.terms)} and {len(self.weights)}")

    def __call__(self, context: ScoreContext) -> Tensor:
        scores = [weight * term(context) for term, weight in zip(self.terms, self.weights, strict=True)]
        return torch.stack(scores).sum(dim=0)

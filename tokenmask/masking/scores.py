"""Scores: which slots. One kind of object for training and for sampling.

Arrow: inside Masker (the best n slots are hidden) and Sampler (the best n slots are revealed); ``ops.choose`` picks
them under a total order. Does not know: how many slots, ids, models. Scores that read a model's predictions live in
``sampling/order.py``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache, lru_cache

import torch
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.ops import Purpose, choose, uniform

_LEVEL_BITS, _SLOT_BITS = 6, 24
_GOLDEN, _PLASTIC = 1.61803398874989484820, 1.32471795724474602596  # real roots of g^2 = g + 1 and g^3 = g + 1


@dataclass(frozen=True, eq=False)
class ScoreContext:
    """What a score may read.

    Args:
        batch: coordinates, streams and roles of the slots.
        is_open: bool [B, L, K], the slots that can be chosen.
        seeds: int64 [B], seed of each row.
        keys: int64 [B], tells rows (and steps) of one seed apart; below 2^39.
        progress: share of the steps of the stage that are done once this one is, (i + 1) / S: 1 / S in the first
            step, 1 in the last; 0 in training.
        predictions: of the drawn codes, float32 [B, L, K] each; empty in training: "logprob", "entropy" and "margin"
            as the codes were drawn, "plain_logprob" and "logit" before temperature and cut-offs (0 where not asked).
        index, steps: this step of its stage, from 0, and their number.
        carry: what parts of the sampler carry from step to step.
    """

    batch: Batch
    is_open: Tensor
    seeds: Tensor
    keys: Tensor
    progress: float = 0.0
    predictions: Mapping[str, Tensor] = field(default_factory=dict)
    index: int = 0
    steps: int = 1
    carry: Mapping[str, Tensor] = field(default_factory=dict)


def slot_counters(keys: Tensor, length: int, levels: int) -> Tensor:
    """Philox counters of every slot: int64 [B, L, K], a function of (key, position, level) alone.

    Args:
        keys: int64 [B], below 2^39.
        length, levels: L (below 2^18) and K (at most 64). Neither changes the counters of the slots it holds.
    """
    return (keys[:, None, None] << _SLOT_BITS) | _slot_numbers(length, levels, keys.device)


@lru_cache(maxsize=64)  # the same in every step of a generation
def _slot_numbers(length: int, levels: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        position = torch.arange(length, device=device)[:, None] << _LEVEL_BITS
        return position | torch.arange(levels, device=device)


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


def best(scores: Tensor, is_open: Tensor, count: Tensor) -> Tensor:
    """The ``count`` open slots of each row with the highest scores, see :func:`tokenmask.ops.choose`.

    Args:
        scores: float32 [B, L, K].
        is_open: bool [B, L, K].
        count: int64 [B].
    """
    rows = is_open.shape[0]
    return choose(scores.reshape(rows, -1), is_open.reshape(rows, -1), count).view_as(is_open)


class Score(ABC):
    """Base of all scores."""

    @property
    def reads_predictions(self) -> bool:
        """Whether it needs ``context.predictions``; if not, slots can be chosen before their codes are scored."""
        return False

    @abstractmethod
    def __call__(self, context: ScoreContext) -> Tensor:
        """Returns float32 [B, L, K]; the highest are chosen first. Closed slots may hold anything but NaN."""

    def observe(self, context: ScoreContext) -> Mapping[str, Tensor]:
        """What it wants to find in ``context.carry`` from the next step on, tensors [B, ...] by name.

        An order is asked once in each step, after it ranked the slots.
        """
        return {}


@dataclass(frozen=True)
class RandomScore(Score):
    """Uniform noise: random masking and random order."""

    def __call__(self, context: ScoreContext) -> Tensor:
        return slot_noise(context)


@dataclass(frozen=True)
class SpanScore(Score):
    """Runs of ``span`` neighbouring positions of a stream move together; the last run is cut to keep the count exact.

    After the spans of MAGNeT, arXiv:2401.04577, section 3.2, whose law is another one: there spans start anywhere and
    may overlap in training, and the published decoding ranks runs of this kind by the probability of their codes.
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
class RasterScore(Score):
    """The packing order, position by position; with ``block`` above 1 whole blocks of positions are equally good.

    Args:
        block: positions that share a score, counted from the start of the row.
    """

    block: int = 1

    def __post_init__(self) -> None:
        if self.block < 1:
            raise ValueError(f"RasterScore.block must be at least 1, got {self.block}")

    def __call__(self, context: ScoreContext) -> Tensor:
        places = torch.arange(context.is_open.shape[1], device=context.is_open.device)
        return (
            -torch.div(places, self.block, rounding_mode="floor")[None, :, None].float().expand(context.is_open.shape)
        )


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
    """

    def __call__(self, context: ScoreContext) -> Tensor:
        return self._ranked(context, halton_ranks)


@dataclass(frozen=True)
class QLDSScore(_GridScore):
    """The low-discrepancy order of M2T: multiples of powers of the plastic number, modulo 1.

    Cells are ranked by the first point that rounds to them; slots without rows and columns use the golden ratio on
    their time. Source: M2T, arXiv:2304.07313, section 4.1; the points are those of M. Roberts (2018).
    """

    def __call__(self, context: ScoreContext) -> Tensor:
        return self._ranked(context, qlds_ranks)


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

    @property
    def reads_predictions(self) -> bool:
        return any(term.reads_predictions for term in self.terms)

    def __call__(self, context: ScoreContext) -> Tensor:
        scores = [weight * term(context) for term, weight in zip(self.terms, self.weights, strict=True)]
        return torch.stack(scores).sum(dim=0)

    def observe(self, context: ScoreContext) -> Mapping[str, Tensor]:
        return {name: value for term in self.terms for name, value in term.observe(context).items()}

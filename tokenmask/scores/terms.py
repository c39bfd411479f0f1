"""Terms: scores that make others, as terms of a SumScore or around one.

Arrow: ScoreContext --> float32 [B, L, K]. Does not know: how codes are drawn, models.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import torch
from torch import Tensor

from tokenmask.scores.arguments import number, one_of, whole
from tokenmask.scores.around import Around
from tokenmask.scores.composed import blocks_of
from tokenmask.scores.noise import gumbel_noise
from tokenmask.scores.progress import Grid
from tokenmask.scores.score import Score, ScoreContext


@dataclass(frozen=True)
class LogitScore(Score):
    """The logit of the drawn code, after guidance and before temperature, as it is: not normalised over codes.

    Source: Meissonic, arXiv:2410.08261, published code, whose order is this and Gumbel noise.
    """

    @property
    def reads_predictions(self) -> bool:
        return True

    def __call__(self, context: ScoreContext) -> Tensor:
        return context.predictions["logit"]


@dataclass(frozen=True)
class ProbabilityScore(Score):
    """The probability of the drawn code, as the pick says it: the order of ``ConfidenceScore()`` on another scale.

    Beside Gumbel noise the scale counts: ``SumScore((ProbabilityScore(), GumbelScore(1.0, None)), (1 / T, 1.0))`` draws
    slots without replacement from softmax(p / T), which is Dream's "maskgit_plus" with ``alg_temp`` T; its
    "topk_margin" and "entropy" have MarginScore and EntropyScore here. Source: arXiv:2508.15487, published code.
    """

    @property
    def reads_predictions(self) -> bool:
        return True

    def __call__(self, context: ScoreContext) -> Tensor:
        return context.predictions["logprob"].exp()


@dataclass(frozen=True)
class GumbelScore(Score):
    """Gumbel noise, -log(-log u), of a scale that moves linearly; for a SumScore beside any other order.

    ``ConfidenceScore(noise)`` is the sum of ``ConfidenceScore()`` and ``GumbelScore(noise, 0.0)``, the same draws.

    Args:
        start: scale at progress 0.
        end: scale at progress 1; None keeps ``start``.
        grid: which progress, see :class:`Progress`: "ends" has both ends in it.
    """

    start: float = 1.0
    end: float | None = 0.0
    grid: Grid = "after"

    def __post_init__(self) -> None:
        number("GumbelScore.start", self.start, least=0.0)
        if self.end is not None:
            number("GumbelScore.end", self.end, least=0.0)
        one_of("GumbelScore.grid", self.grid, get_args(Grid))

    def __call__(self, context: ScoreContext) -> Tensor:
        end = self.start if self.end is None else self.end
        scale = self.start + (end - self.start) * context.progress.on(self.grid)
        return scale * gumbel_noise(context)


@dataclass(frozen=True)
class UntilScore(Around):
    """Another score in the first steps of a stage, nothing after; the model is tapped in these steps alone.

    Args:
        order: the other score.
        steps: how many steps.
    """

    order: Score
    steps: int = 16

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("UntilScore.steps", self.steps, least=0)

    def __call__(self, context: ScoreContext) -> Tensor:
        if context.progress.index < self.steps:
            return self.order(context)
        return torch.zeros(context.is_open.shape, device=context.is_open.device)

    def taps(self, context: ScoreContext) -> Sequence[Hashable]:
        return super().taps(context) if context.progress.index < self.steps else ()

    def observe(self, context: ScoreContext) -> Mapping[str, Tensor]:
        return super().observe(context) if context.progress.index < self.steps else {}


@dataclass(frozen=True)
class SpacedScore(Around):
    """Another order, in which slots wait that stand near better ones.

    From the best down a slot is taken if it stands at least ``gap`` positions from all of its block that were taken
    before it; those come first, in their order, then all others. The gap is max(2, floor(M gap / block)) where M slots
    of the block are open, so it falls as the block fills. Levels of one position do not keep one another waiting.
    Source: DUS, arXiv:2506.19037, section 4.4, published code (``apply_spacing_filter``). How many are revealed says
    :class:`tokenmask.sampling.SpacedSchedule`; blocks one by one, :class:`Blockwise`.

    Args:
        order: the other order.
        gap: positions, where the whole block is open.
        block: positions of a block.
    """

    order: Score
    gap: int = 8
    block: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("SpacedScore.gap", self.gap)
        whole("SpacedScore.block", self.block)

    def taken(self, context: ScoreContext) -> tuple[Tensor, Tensor]:
        """Which slots do not wait, bool [B, L, K], and the rank of each open one in the other order, int64 from 0."""
        shape, is_open = context.is_open.shape, context.is_open.flatten(1)
        scores = self.order(context).flatten(1).masked_fill(~is_open, -torch.inf)
        order = scores.sort(dim=1, descending=True, stable=True).indices
        ranks = torch.empty_like(order).scatter_(1, order, torch.arange(order.shape[1]).to(order).expand_as(order))
        block = blocks_of(context, self.block).expand(shape).flatten(1)
        position = torch.arange(shape[1], device=order.device)[:, None].expand(shape[1:]).flatten()
        left = torch.zeros_like(order).scatter_add(1, block, is_open.long()).gather(1, block)
        gap = torch.div(left * self.gap, self.block, rounding_mode="floor").clamp(min=2)
        free, taken = is_open.clone(), torch.zeros_like(is_open)
        for at in order.unbind(1)[: int(is_open.sum(1).max())]:  # slot by slot, all rows at once
            here = at[:, None]
            mine = free.gather(1, here)
            taken.scatter_(1, here, mine)
            apart = (position - position[here]).abs()
            near = (apart < gap.gather(1, here)) & (apart > 0) & (block == block.gather(1, here))
            free = free & ~(mine & near)
        return taken.view(shape), ranks.view(shape)

    def __call__(self, context: ScoreContext) -> Tensor:
        taken, ranks = self.taken(context)
        return torch.where(taken, context.is_open.sum((1, 2), keepdim=True), 0).float() - ranks


def first_block(context: ScoreContext, block: int) -> Tensor:
    """bool [B, L, K], the open slots of the first block of each row that has one."""
    number = blocks_of(context, block).expand(context.is_open.shape)
    first = number.masked_fill(~context.is_open, number.shape[1]).amin((1, 2), keepdim=True)
    return context.is_open & (number == first)

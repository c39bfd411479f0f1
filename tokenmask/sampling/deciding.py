"""Deciding schedules: how many slots a step reveals follows from the step itself; ``schedule.py`` has the others.

Arrow: inside the Sampler loop, ScoreContext --> counts. Does not know: codes, models.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from tokenmask.masking.processes import Linear, MaskingProcess
from tokenmask.ops import Purpose
from tokenmask.sampling.schedule import DecidingSchedule
from tokenmask.scores import DilatedScore, Score, ScoreContext, SpacedScore, first_block, slot_uniforms
from tokenmask.scores.arguments import is_a, number, whole


@dataclass(frozen=True)
class DrawnSchedule(DecidingSchedule):
    """Draws how many slots a step reveals: each open one on its own with probability (h_t - h_s) / h_t.

    h is the hidden share of a masking process, t the time before a step and s that after it; the last step reveals
    the rest. With :class:`tokenmask.scores.RandomScore` this is the ancestral sampler of masked diffusion, slot by slot
    the reversed process: MDLM, arXiv:2406.07524, section 3.2.3, and MD4, arXiv:2406.04329, algorithm 2. With an order
    by predictions the counts alone are drawn. Source of that use: arXiv:2502.06768, section 4.1. A step may reveal
    nothing.

    Args:
        process: hidden share over time.
    """

    process: MaskingProcess = field(default_factory=Linear)
    least: ClassVar[int] = 0

    def __post_init__(self) -> None:
        is_a("DrawnSchedule.process", self.process, MaskingProcess)

    def law(self) -> MaskingProcess:
        return self.process

    def odds(self, index: int, steps: int) -> float:
        """How probably an open slot is revealed in a step."""
        before, after = (self.process.share(1 - done / steps) for done in (index, index + 1))
        return 1.0 if before <= 0 else 1 - after / before

    def reveal(self, context: ScoreContext) -> Tensor:
        odds = self.odds(context.progress.index, context.progress.steps)
        draws = slot_uniforms(context.seeds, context.keys, context.is_open.shape[1:], Purpose.rate)
        return ((draws < odds) & context.is_open).sum((1, 2))


@dataclass(frozen=True)
class EntropyBelow(DecidingSchedule):
    """Reveals every slot whose code has at most so much entropy, one at the least; ends when nothing is open.

    Goes with an order by entropy. Source: dParallel, arXiv:2509.26488.

    Args:
        nats: the most, as the pick says it (after temperature; at T = 0, of T = 1).
    """

    nats: float = 0.5

    def __post_init__(self) -> None:
        number("EntropyBelow.nats", self.nats, least=0.0)

    def steps(self, initial: int, steps: int) -> int:
        return initial

    def reveal(self, context: ScoreContext) -> Tensor:
        return ((context.predictions["entropy"] <= self.nats) & context.is_open).sum((1, 2))


@dataclass(frozen=True)
class EntropyBounded(DecidingSchedule):
    """Reveals as many slots, least entropy first, as have so much together besides the greatest of them.

    Their joint entropy is then at most that much below the sum of their own. Goes with an order by entropy; one slot at
    the least; ends when nothing is open. Source: EB-Sampler, arXiv:2505.24857, section 3.

    Args:
        nats: the bound; published codes give it in bits, 1 bit being 0.693 nats.
    """

    nats: float = 0.1

    def __post_init__(self) -> None:
        number("EntropyBounded.nats", self.nats, least=0.0)

    def steps(self, initial: int, steps: int) -> int:
        return initial

    def reveal(self, context: ScoreContext) -> Tensor:
        entropy = context.predictions["entropy"].masked_fill(~context.is_open, torch.inf).flatten(1).sort(1).values
        others = torch.nn.functional.pad(entropy.cumsum(1)[:, :-1], (1, 0))  # sorted: each is the greatest so far
        return ((others <= self.nats) & entropy.isfinite()).sum(1)


@dataclass(frozen=True)
class ByGroups(DecidingSchedule):
    """Reveals a group of slots in each step: those that score alike in a fixed order, best group first.

    Step i reveals whatever is open of the first i + 1 groups, so that what a revocation opened comes with the next one,
    and the last group takes all that is left. A row has a step for each group, whatever ``steps`` says.

    Args:
        order: the fixed order, which the sampler must have too; one that reads no predictions.
    """

    order: Score = field(default_factory=DilatedScore)

    def __post_init__(self) -> None:
        is_a("ByGroups.order", self.order, Score)
        if self.order.reads_predictions:
            raise ValueError(f"ByGroups.order must read no predictions, got {self.order}; take DilatedScore, say")

    def steps(self, initial: int, steps: int) -> int:
        return initial  # the most there can be

    def reveal(self, context: ScoreContext) -> Tensor:
        ranks, index = self.order(context), context.progress.index
        mine = context.batch.to_fill.flatten(1)
        every = ranks.flatten(1).masked_fill(~mine, -torch.inf).sort(1, descending=True).values
        new = torch.ones_like(every, dtype=torch.bool)
        new[:, 1:] = every[:, 1:] < every[:, :-1]
        group = new.cumsum(1) - 1
        within = (group <= index) & every.isfinite()
        least = every.masked_fill(~within, torch.inf).amin(1)
        return ((ranks >= least[:, None, None]) & context.is_open).sum((1, 2))


@dataclass(frozen=True)
class SpacedSchedule(DecidingSchedule):
    """As many slots as another schedule says, without those that must wait for lack of space.

    Goes with the same :class:`tokenmask.scores.SpacedScore` as order. Source: DUS, arXiv:2506.19037, section 4.4.

    Args:
        schedule: says how many of the other order's best slots are proposed.
        order: says which of them are too near to better ones.
    """

    schedule: DecidingSchedule
    order: SpacedScore

    def __post_init__(self) -> None:
        is_a("SpacedSchedule.schedule", self.schedule, DecidingSchedule)
        is_a("SpacedSchedule.order", self.order, SpacedScore)

    def law(self) -> MaskingProcess | None:
        return self.schedule.law()

    def steps(self, initial: int, steps: int) -> int:
        return self.schedule.steps(initial, steps)

    def reveal(self, context: ScoreContext) -> Tensor:
        taken, ranks = self.order.taken(context)
        proposed = self.schedule.reveal(context).clamp(min=1)[:, None, None]
        return (taken & (ranks < proposed)).sum((1, 2))


@dataclass(frozen=True)
class BlockSchedule(DecidingSchedule):
    """Another schedule that decides, inside one block at a time, left to right; goes with ``scores.Blockwise``.

    :class:`Blocks` is the same for counts that are known beforehand. Source: Fast-dLLM, arXiv:2505.22618, section 3.3.

    Args:
        schedule: is told of the first block that has something open alone.
        block: positions of a block, counted from the first one of a row with a slot to fill.
    """

    schedule: DecidingSchedule
    block: int = 32

    def __post_init__(self) -> None:
        is_a("BlockSchedule.schedule", self.schedule, DecidingSchedule)
        whole("BlockSchedule.block", self.block)

    def law(self) -> MaskingProcess | None:
        return self.schedule.law()

    def steps(self, initial: int, steps: int) -> int:
        return initial

    def reveal(self, context: ScoreContext) -> Tensor:
        return self.schedule.reveal(replace(context, is_open=first_block(context, self.block)))

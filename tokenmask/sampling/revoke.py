"""Revoke: which committed slots are opened again before the next step.

Arrow: inside the Sampler loop. Does not know: codes, models. The schedule states how many slots stay open after each
step, so what is revoked is filled again in time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from tokenmask.masking.processes import MaskingProcess
from tokenmask.ops import Purpose
from tokenmask.sampling.context import RevokeContext, StepContext, adapt_old, takes_old
from tokenmask.sampling.schedule import Schedule
from tokenmask.sampling.state import SamplerState
from tokenmask.scores import Progress, best
from tokenmask.scores.arguments import number


class Revoke(ABC):
    """Base of all revocations.

    A subclass whose ``__call__`` takes ``(state, stage, progress)`` or ``(state, stage, progress, predictions)``, as in
    earlier versions, works and is told to change.
    """

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        new = "__call__(self, context)"
        adapt_old(cls, "__call__", 5, new, lambda old, one, at: old(one, *_apart(at), at.predictions))
        adapt_old(cls, "__call__", 4, new, lambda old, one, at: old(one, *_apart(at)))

    def taps(self, context: StepContext) -> Sequence[Hashable]:
        """What it wants of the model besides logits, see ``Score.taps``; it finds them in ``context.taps``."""
        return ()

    def beside(self, schedule: Schedule) -> Revoke:
        """The same revocation in a stage of that schedule, with what it takes from there.

        Raises:
            ValueError: one that the schedule contradicts.
        """
        return self

    @abstractmethod
    def __call__(self, context: RevokeContext) -> Tensor | None:
        """Which slots are opened again.

        Args:
            context: layout, state after a step, slots of the running stage (``inside``), progress of that step, what it
                predicted (``predictions``) and saw (``taps``). It is not called after the last step of a stage.

        Returns:
            bool [B, L, K], slots to open again, or None. Only ``context.committed`` ones may be named.
        """


def _apart(context: RevokeContext) -> tuple[SamplerState, Tensor, Progress]:
    """What a revocation was told one by one."""
    return context.state, context.inside, context.progress.on("after")


@dataclass(frozen=True)
class NeverRevoke(Revoke):
    """What is committed stays."""

    @takes_old
    def __call__(self, context: RevokeContext) -> Tensor | None:
        return None


@dataclass(frozen=True)
class RevokeLeastLikely(Revoke):
    """Opens the committed slots whose codes had the lowest log-probability when they were drawn.

    Our own rule, without a draw; :class:`RevokeDrawn` is the published one.

    Args:
        share: of the committed slots of the stage, at the start; falls linearly to 0.
    """

    share: float = 0.1

    def __post_init__(self) -> None:
        number("RevokeLeastLikely.share", self.share, least=0.0, most=1.0)

    @takes_old
    def __call__(self, context: RevokeContext) -> Tensor | None:
        committed = context.committed
        count = committed.sum((1, 2)).double() * (self.share * (1 - context.progress.on("after")))
        return best(-context.state.score, committed, count.floor().long())


@dataclass(frozen=True)
class RevokeUnlikely(Revoke):
    """Opens the slots whose code was less probable than a threshold when it was drawn, while others are still open.

    So what a step fills in doubt waits for the next one, and the step that fills the last slots of a row ends it.
    Source: DUS, arXiv:2506.19037, section 3.3 and published code. There a slot that is hidden again stays so, since its
    level is over; here the next level takes it along.

    Args:
        threshold: probability of the drawn code, after temperature (at T = 0, of T = 1).
    """

    threshold: float = 0.3

    def __post_init__(self) -> None:
        number("RevokeUnlikely.threshold", self.threshold, least=0.0, most=1.0)

    @takes_old
    def __call__(self, context: RevokeContext) -> Tensor | None:
        going_on = (context.state.is_open & context.inside).any(-1, keepdim=True).any(1, keepdim=True)
        return context.committed & (context.state.score.exp() < self.threshold) & going_on


@dataclass(frozen=True)
class RevokeDrawn(Revoke):
    """Opens each committed slot with a probability of its own, larger where its code was less likely when drawn.

    With p the probability of a slot's code when it was drawn, after temperature (``state.score``; ours is the published
    one at the temperatures 1 and 0), the softmax of -p over the committed slots of a row,
    times min(cap, (1 - alpha_s) / alpha_t); t is the time of the step that follows, s that after it. Source: ReMDM,
    arXiv:2503.00307, section 4, its "conf" law with the bound of "cap", and its published code. There a slot that was
    opened waits for the next step; here the step that follows may fill it at once.

    Args:
        cap: upper bound of the factor; 1 leaves the published "conf" law.
        process: gives alpha; None takes that of the schedule, which it must be where the schedule has one.
    """

    cap: float = 1.0
    process: MaskingProcess | None = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        adapt_old(cls, "probability", 4, "probability(self, context)", lambda old, one, at: old(one, *_apart(at)))

    def __post_init__(self) -> None:
        if not 0 < number("RevokeDrawn.cap", self.cap) <= 1:
            raise ValueError(f"RevokeDrawn.cap must lie in 0..1 and above 0, got {self.cap}")

    def beside(self, schedule: Schedule) -> RevokeDrawn:
        law = schedule.law()
        if law is None and self.process is None:
            raise ValueError(
                f"RevokeDrawn needs a masking process, and {schedule} follows none; set RevokeDrawn.process, for "
                "example to Linear"
            )
        if law is not None and self.process not in (None, law):
            raise ValueError(
                f"the law of time is said twice: RevokeDrawn.process must be that of the schedule, {law}, "
                f"got {self.process}; leave it out"
            )
        return self if self.process is not None else replace(self, process=law)

    @takes_old
    def probability(self, context: RevokeContext) -> Tensor:
        """float32 [B, L, K], how probably each slot is opened; 0 for slots that are not committed.

        Raises:
            ValueError: no process, and no schedule to take it from; see ``beside``.
        """
        if self.process is None:
            raise ValueError("RevokeDrawn needs a masking process; set its process, or take it beside a schedule")
        state, progress, committed = context.state, context.progress, context.committed
        conf = torch.where(committed, -state.score.exp(), -torch.inf).flatten(1).softmax(1).nan_to_num(0.0)
        done, steps = progress.index + 1, progress.steps
        alpha_t, alpha_s = (1 - self.process.share(1 - min(one / steps, 1.0)) for one in (done, done + 1))
        return conf.view_as(state.score) * min(self.cap, (1 - alpha_s) / alpha_t if alpha_t > 0 else 1.0)

    @takes_old
    def __call__(self, context: RevokeContext) -> Tensor | None:
        odds: Tensor = self.probability(context)
        return context.state.draws(Purpose.mask) < odds


@dataclass(frozen=True)
class RevokeRandom(Revoke):
    """Opens a share of the committed slots, drawn at random, at least one where any is committed.

    A generation that starts with nothing open and never opens more than this drifts from what is there to what the
    conditions say: mask-free editing. Source: Muse, arXiv:2301.00704, section 3.2.4, where 8 % are opened in each of
    some 100 steps.

    Args:
        share: of the committed slots of the stage, in every step; rounded.
    """

    share: float = 0.08

    def __post_init__(self) -> None:
        number("RevokeRandom.share", self.share, least=0.0, most=1.0)

    @takes_old
    def __call__(self, context: RevokeContext) -> Tensor | None:
        committed = context.committed
        count = (committed.sum((1, 2)).double() * self.share).round().long().clamp(min=int(self.share > 0))
        return best(context.state.draws(Purpose.mask), committed, torch.minimum(count, committed.sum((1, 2))))


@dataclass(frozen=True)
class Zigzag(Revoke):
    """Opens the committed slots of which a weakly guided model is surest: codes that say little of the conditions.

    After every second step of a stage, from the first one on, it opens as many slots as this step filled but one, for
    the next one to fill again. A slot's measure is the probability of the best code at its place while its own code
    stands there. Goes with :class:`~tokenmask.sampling.Twice`. Source: arXiv:2411.10781, section 4.3 and published
    code, which draws for these slots and forgets the draws; there the noise of the order fades by full steps, here by
    all of them.

    Args:
        scale: the s of the guidance while it looks; 0 is the model without conditions.
    """

    scale: float = 0.0

    def __post_init__(self) -> None:
        number("Zigzag.scale", self.scale)

    @takes_old
    def __call__(self, context: RevokeContext) -> Tensor | None:
        if context.progress.index % 2 or context.was_open is None or context.ask is None:
            return None
        committed = context.committed
        filled = context.was_open.sum((1, 2)) - context.is_open.sum((1, 2))
        count = torch.minimum((filled - 1).clamp(min=0), committed.sum((1, 2)))
        if not bool(count.any()):
            return None
        sure = torch.zeros_like(context.state.score)
        for answer in context.ask(committed, scale=self.scale):
            sure.view(-1)[answer.slots] = answer.logits.float().log_softmax(1).amax(1)
        return best(sure, committed, count)

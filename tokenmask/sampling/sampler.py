"""Sampler: the one loop that fills slots, for every modality.

Arrow: SamplerState --**Sampler.iterate**--> SamplerState with nothing open. Does not know: modalities, media, networks
(a model is whatever gives logits of queried slots), kernels.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

import torch
from torch import Tensor

from tokenmask.layout import Layout
from tokenmask.masking import MaskingProcess
from tokenmask.models import MaskedModel
from tokenmask.sampling.answers import look, look_at_further, look_at_scale
from tokenmask.sampling.asked import asked_of
from tokenmask.sampling.asking import Asking
from tokenmask.sampling.committed import commit_best, reopened
from tokenmask.sampling.constraint import AllowAll, Constraint
from tokenmask.sampling.context import RevokeContext, StepContext
from tokenmask.sampling.drawn import draw
from tokenmask.sampling.graphs import Captured
from tokenmask.sampling.guidance import Guidance, NoGuidance
from tokenmask.sampling.leaving import Leaving
from tokenmask.sampling.particles import Particles
from tokenmask.sampling.passes import ask
from tokenmask.sampling.pick import Categorical, Pick
from tokenmask.sampling.plan import MOST_STEPS, Stage, StagePlan, blocks_within, levels_of, schedule_of, stage_slots
from tokenmask.sampling.predicted import Predicted
from tokenmask.sampling.reuse import NoReuse, Reuse
from tokenmask.sampling.revoke import NeverRevoke, Revoke
from tokenmask.sampling.schedule import DecidingSchedule, ProcessSchedule, Schedule
from tokenmask.sampling.state import SamplerState, changed
from tokenmask.sampling.straight import Straight
from tokenmask.scores import ConfidenceScore, Progress, Score
from tokenmask.scores.arguments import is_a, whole
from tokenmask.threads import look_again


class Step:
    """What the loop yields after each step.

    Args:
        index: number of this step over all stages, from 0.
        total: number of steps of all stages; the most, where a schedule decides in the step.
        state: after the step.
    """

    def __init__(self, index: int, total: int, state: SamplerState) -> None:
        self.index, self.total, self._state = index, total, state

    @cached_property
    def state(self) -> SamplerState:
        """After the step, in ordinary tensors, which may take part in a loss; copied when it is first asked for."""
        return self._state.ordinary()


_KINDS: Mapping[str, tuple[type, str]] = {  # of a part, and what says that there is none of it
    "schedule": (Schedule, ""),
    "order": (Score, ""),
    "pick": (Pick, ""),
    "guidance": (Guidance, "NoGuidance()"),
    "constraint": (Constraint, "AllowAll()"),
    "revoke": (Revoke, "NeverRevoke()"),
    "reuse": (Reuse, "NoReuse()"),
}


@dataclass(frozen=True)
class Sampler:
    """Draw a code for every open slot, reveal the best few, repeat.

    Source: MaskGIT, arXiv:2202.04200, section 3.2, of which each part is a value here.

    Args:
        steps: steps of a stage where ``stages`` is empty.
        stages: what is filled in turn; if empty, one stage of ``steps`` steps for each level, coarse to fine.
        schedule: how many slots stay open after each step.
        order: the score whose highest slots are revealed.
        pick: how codes are drawn.
        guidance: which extra inputs are run.
        constraint: which codes may be drawn.
        revoke: which committed slots are opened again, before a full step.
        reuse: what is kept of one step for the next.
        process: the masking process by which a model was told the masking time in training, so that it is told the
            same of the share that is open; a recipe takes that of its rate. None is the schedule's own law. Models
            that are told no time do not need it.
    """

    steps: int = 12
    stages: tuple[Stage, ...] = ()
    schedule: Schedule = field(default_factory=ProcessSchedule)
    order: Score = field(default_factory=ConfidenceScore)
    pick: Pick = field(default_factory=Categorical)
    guidance: Guidance = field(default_factory=NoGuidance)
    constraint: Constraint = field(default_factory=AllowAll)
    revoke: Revoke = field(default_factory=NeverRevoke)
    reuse: Reuse = field(default_factory=NoReuse)
    process: MaskingProcess | None = None
    particles: Particles | None = None

    def __post_init__(self) -> None:
        whole("Sampler.steps", whole("Sampler.steps", self.steps), most=MOST_STEPS)
        for name, (kind, none) in _KINDS.items():
            is_a(f"Sampler.{name}", getattr(self, name), kind, none)
        if not isinstance(self.stages, tuple | list):
            raise TypeError(f"Sampler.stages must be a list of Stage, got {self.stages!r}; write (Stage(),)")
        for stage in self.stages:
            is_a("each of Sampler.stages", stage, Stage)
        if self.process is not None:
            is_a("Sampler.process", self.process, MaskingProcess)
        if self.particles is not None:
            is_a("Sampler.particles", self.particles, Particles)
            if not isinstance(self.revoke, NeverRevoke):
                raise ValueError(
                    f"particles are weighed by what is committed for good, so Sampler.revoke must be NeverRevoke, got "
                    f"{self.revoke}; leave one of them out"
                )
        elif self.constraint.reweighs:
            raise ValueError(
                f"{type(self.constraint).__name__} weighs particles, so Sampler.particles must say how many there are, "
                "got None; pass particles=Particles(8)"
            )
        for schedule in [stage.schedule or self.schedule for stage in self.stages] or [self.schedule]:
            self.revoke.beside(schedule)
        for order in (self.order, *(stage.order for stage in self.stages if stage.order)):
            if self.reuse.order_first and (order.reads_predictions or not isinstance(self.revoke, NeverRevoke)):
                raise ValueError(
                    f"{type(self.reuse).__name__} chooses slots before it scores them, once for all, so it needs an "
                    f"order like RandomScore or QLDSScore and no revocation, got {order} and {self.revoke}"
                )

    def run(self, models: Mapping[str, MaskedModel], layout: Layout, state: SamplerState) -> SamplerState:
        """The state after the last step of :meth:`iterate`."""
        steps = self._steps if type(self).iterate is Sampler.iterate else self.iterate  # one entry for all steps
        with torch.inference_mode():
            last = deque(steps(models, layout, state), maxlen=1)
        return last[0].state if last else state

    @torch.inference_mode()
    def iterate(self, models: Mapping[str, MaskedModel], layout: Layout, state: SamplerState) -> Iterator[Step]:
        """Yields the state after every step; the last one has nothing open.

        Args:
            models: by name; a stage names one.
            layout: of every model.
            state: from :meth:`SamplerState.start`.

        Raises:
            ValueError: a stage names a model that is not there, or slots stay open after the last stage.
        """
        yield from self._steps(models, layout, state)

    def _steps(self, models: Mapping[str, MaskedModel], layout: Layout, state: SamplerState) -> Iterator[Step]:
        if self.particles is not None:
            state = self.particles.begin(state)
            start = StepContext(layout, state, torch.ones_like(state.is_open), Progress(0, 1))
            state = self.particles.started(state, self.constraint.worth(start))
        plans, guided = self.plans(layout, state)
        total, done, begins = sum(plan.length for plan in plans), 0, state.step
        for number, plan in enumerate(plans):
            stage = plan.stage
            if stage.model not in models:
                raise ValueError(f"stage model must be one of {', '.join(models)}, got {stage.model!r}")
            if number and stage.model != plans[number - 1].stage.model:
                state = replace(state, cache=None)
            straight = Straight.of(self, plan, layout, state, models[stage.model])
            if straight is not None:
                for now in straight.steps(state):
                    yield Step(done, total, now)
                    state, done = now, done + 1
                begins += plan.length
                state = replace(state, step=begins)
                continue
            decides, revoke = isinstance(stage.schedule, DecidingSchedule), self.revoke.beside(schedule_of(stage))
            leaving, leave = Leaving(state), decides and self.particles is None and self.reuse.forgets
            for step in map(leaving.step, plan.steps(layout, state, self.reuse)):
                look_again()
                context = StepContext(layout, state, step.inside, step.progress)
                asked = asked_of(state, step, self.reuse)
                if asked is None:
                    state, predicted = changed(state, step=state.step + 1), Predicted.nothing(state.score)
                else:
                    asking = Asking(models, context, step, self.process)
                    asked = changed(asked, context=changed(asked.context, ask=asking))
                    seen = ask(models[stage.model], context, step, asked, self.reuse, revoke, guided, self.process)
                    proposed, predicted = draw(seen, asked, context, step, self.constraint, self.process)
                    state = asking.noted(commit_best(context, step, asked, seen, proposed, predicted))
                if not step.is_last and not step.cheap_follow:
                    asking = Asking(models, changed(context, state=state), step, self.process)
                    revoked = revoke(
                        RevokeContext(layout, state, step.inside, step.progress, predicted, context.is_open, asking)
                    )
                    state = asking.noted(state)
                    if revoked is not None:
                        look(revoke, "slots", revoked, torch.bool, step.inside)
                        # Where the schedule decides, a row that was done before stays so.
                        going_on = context.is_open.any(-1, keepdim=True).any(1, keepdim=True) if decides else True
                        inside = step.inside & state.batch.to_fill  # never what is given
                        state = reopened(state, revoked & inside & going_on, layout)
                if self.particles is None:
                    yield Step(done, total, leaving.all(state))
                else:
                    after = StepContext(layout, state, step.inside, step.progress)
                    state = self.particles.resampled(self.particles.judged(state, self.constraint.worth(after)))
                    yield Step(done, total, self.particles.chosen(state))
                done += 1
                if decides:
                    going_on = (state.is_open & step.inside).flatten(1).any(1)
                    if not bool(going_on.any()):
                        break
                    state = leaving.without(state, going_on) if leave else state
            begins += plan.length
            state = replace(leaving.all(state), step=begins)  # the same for every row, whenever the last one was done
        if bool(state.is_open.any()):
            raise ValueError("the sampler's stages must cover every level with open slots; add a stage for the rest")

    def captured(self, models: Mapping[str, MaskedModel], layout: Layout, state: SamplerState) -> Captured:
        """The generation of :meth:`run` as a graph of the device, to be replayed for other seeds and given codes.

        Args and errors as of :meth:`Captured.of`.
        """
        return Captured.of(self, models, layout, state)

    def plans(self, layout: Layout, state: SamplerState) -> tuple[list[StagePlan], bool]:
        """The stages of a generation that begins with ``state``, and whether any step of them is guided."""
        stages = self.stages or tuple(Stage(self.steps, (level,)) for level in levels_of(layout, state))
        plans = [plan for stage in stages for plan in StagePlan.of(layout, state, self._whole(stage))]
        return plans, any(self._is_guided(layout, plan) for plan in plans)

    def alike(self, layout: Layout, state: SamplerState) -> list[Tensor]:
        """int64 rows [N] of each part of a batch whose rows have the same stages and steps, in order of first rows.

        Draws, noise and laws of progress follow the number of the step, so what a row becomes depends on the rows
        beside it unless these are filled apart: rows of other levels or, where the schedule says its own number of
        steps, of other sizes. What parts carry begins with a row's first stage that has something open.
        """
        counted = [
            (stage, (inside & state.is_open).sum((1, 2)).tolist())
            for stage in self.stages or tuple(Stage(self.steps, (level,)) for level in levels_of(layout, state))
            for inside in blocks_within(stage_slots(layout, state, stage), state, stage.block)
        ]
        parts: dict[tuple[int, ...], list[int]] = {}
        for row in range(len(state.is_open)):
            key: list[int] = []
            for stage, counts in counted:
                count = counts[row]
                steps = (stage.schedule or self.schedule).steps(count, stage.steps) if count or self.stages else 0
                key += [steps, int(count > 0)]
            parts.setdefault(tuple(key), []).append(row)
        return [torch.tensor(rows, device=state.is_open.device) for rows in parts.values()]

    @property
    def guidances(self) -> tuple[Guidance, ...]:
        """That of each stage."""
        return tuple(stage.guidance or self.guidance for stage in self.stages) or (self.guidance,)

    def ordered(self, order: Score) -> Sampler:
        """The sampler with another order, in every stage."""
        return replace(self, order=order, stages=tuple(replace(stage, order=None) for stage in self.stages))

    def adapted(
        self,
        steps: int | None = None,
        guidance: float | None = None,
        temperature: float | None = None,
        also: Sequence[float] | None = None,
    ) -> Sampler:
        """The sampler with what a person asks for, in proportion to what it says itself.

        Args:
            steps: of its longest stage; others keep their ratio to that one, with at least 1.
            guidance: strongest scale, see :meth:`Guidance.at`; a stage that says that it has none keeps none.
            temperature: at the start, see :meth:`Pick.at`; a stage that says that it takes the best codes still does.
            also: weights of further conditions, in every stage, see :meth:`Guidance.beside`.
        """
        sampler, stages = self, self.stages
        if steps is not None:
            longest = max((stage.steps for stage in stages), default=1)
            stages = tuple(replace(s, steps=max(1, round(s.steps * steps / longest))) for s in stages)
            sampler = replace(sampler, steps=steps)
        if guidance is not None:
            stages = tuple(
                replace(s, guidance=s.guidance.at(guidance)) if s.guidance not in (None, NoGuidance()) else s
                for s in stages
            )
            sampler = replace(sampler, guidance=self.guidance.at(guidance))
        if temperature is not None:
            stages = tuple(
                replace(s, pick=s.pick.at(temperature)) if s.pick is not None and not s.pick.is_greedy else s
                for s in stages
            )
            sampler = replace(sampler, pick=self.pick.at(temperature))
        if also is not None:
            stages = tuple(replace(s, guidance=s.guidance and s.guidance.beside(also)) for s in stages)
            if not stages or any(s.guidance is None for s in stages):  # where it guides anything
                sampler = replace(sampler, guidance=sampler.guidance.beside(also))
        return replace(sampler, stages=stages)

    def _whole(self, stage: Stage) -> Stage:
        """The stage with the sampler's parts where it has none of its own."""
        return replace(
            stage,
            schedule=stage.schedule or self.schedule,
            order=stage.order or self.order,
            pick=stage.pick or self.pick,
            guidance=stage.guidance or self.guidance,
        )

    def _is_guided(self, layout: Layout, plan: StagePlan) -> bool:
        """Whether any step of a stage runs more than the conditional pass."""
        guidance, steps = plan.stage.guidance, range(plan.length)
        assert guidance is not None
        if type(guidance) is NoGuidance:
            return False
        scales = (guidance.scale(Progress(index, plan.length, guidance.grid)) for index in steps)
        if any(look_at_scale(guidance, scale) != 1.0 for scale in scales):
            return True
        start = StepContext(layout, plan.start, plan.inside, Progress(0, plan.length))
        return bool(look_at_further(guidance, guidance.further(plan.start.batch, start), plan.start.batch))

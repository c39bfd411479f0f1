"""Sampler: the one loop that fills slots, for every modality.

Arrow: SamplerState --**Sampler.iterate**--> SamplerState with nothing open. Does not know: modalities, media, networks
(a model is whatever gives logits of queried slots), kernels.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tokenmask.layout import Layout
from tokenmask.models import MaskedModel
from tokenmask.ops import commit
from tokenmask.sampling.constraint import AllowAll, Constraint
from tokenmask.sampling.guidance import Guidance, NoGuidance
from tokenmask.sampling.passes import FRESH, STATISTICS, Predicted, ask
from tokenmask.sampling.pick import Categorical, Pick
from tokenmask.sampling.plan import RunStep, Stage, levels_of, planned, steps_of
from tokenmask.sampling.progress import Progress
from tokenmask.sampling.reuse import NoReuse, Reuse
from tokenmask.sampling.revoke import NeverRevoke, Revoke
from tokenmask.sampling.schedule import DecidingSchedule, ProcessSchedule, Schedule
from tokenmask.sampling.state import SamplerState
from tokenmask.scores import ConfidenceScore, Score, ScoreContext, best
from tokenmask.threads import look_again


@dataclass(frozen=True, eq=False)
class Step:
    """What the loop yields after each step.

    Args:
        index: number of this step over all stages, from 0.
        total: number of steps of all stages; the most, where a schedule decides in the step.
        state: after the step.
    """

    index: int
    total: int
    state: SamplerState


_CHOSEN, _RANKS = "reuse.chosen", "reuse.ranks"  # what a full step settles for cheap ones


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

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"Sampler.steps must be at least 1, got {self.steps}")
        for order in (self.order, *(stage.order for stage in self.stages if stage.order)):
            if self.reuse.order_first and (order.reads_predictions or not isinstance(self.revoke, NeverRevoke)):
                raise ValueError(
                    f"{type(self.reuse).__name__} chooses slots before it scores them, once for all, so it needs an "
                    f"order like RandomScore or QLDSScore and no revocation, got {order} and {self.revoke}"
                )

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
        stages = self.stages or tuple(Stage(self.steps, (level,)) for level in levels_of(layout, state))
        stages = tuple(self._whole(stage) for stage in stages)
        lengths = [steps_of(layout, state, stage) for stage in stages]
        scales = {_scale(stage, Progress(i, n)) for stage, n in zip(stages, lengths, strict=True) for i in range(n)}
        guided = scales - {1.0} != set() or any(bool(_guidance(stage).further(state.batch)) for stage in stages)
        total, done, begins = sum(lengths), 0, state.step
        for number, (stage, length) in enumerate(zip(stages, lengths, strict=True)):
            if stage.model not in models:
                raise ValueError(f"stage model must be one of {', '.join(models)}, got {stage.model!r}")
            if number and stage.model != stages[number - 1].model:
                state = replace(state, cache=None)
            for step in planned(layout, state, stage, self.reuse):
                look_again()
                decides = isinstance(stage.schedule, DecidingSchedule)
                going_on = (state.is_open & step.inside).any(-1, keepdim=True).any(1, keepdim=True) if decides else None
                state, predicted = self._step(models[stage.model], layout, state, step, guided)
                if not step.is_last and not step.cheap_follow:
                    revoked = self.revoke(state, step.inside, step.progress, predicted)
                    if revoked is not None:  # where the schedule decides, a row that was done before stays so
                        inside = step.inside if going_on is None else step.inside & going_on
                        state = _reopen(state, revoked & inside, layout)
                yield Step(done, total, state)
                done += 1
                if decides and not bool((state.is_open & step.inside).any()):
                    break
            begins += length
            state = replace(state, step=begins)  # the same for every row, whenever the last one was done
        if bool(state.is_open.any()):
            raise ValueError("the sampler's stages must cover every level with open slots; add a stage for the rest")

    def alike(self, layout: Layout, state: SamplerState) -> list[Tensor]:
        """int64 rows [N] of each part of a batch whose rows have the same stages and steps, in order of first rows.

        Draws, noise and laws of progress follow the number of the step, so what a row becomes depends on the rows
        beside it unless these are filled apart: rows of other levels or, where the schedule says its own number of
        steps, of other sizes.
        """
        depths = layout.depth_of(state.batch.ids)
        levels = levels_of(layout, state)
        counts = [(state.is_open & (depths == level)).sum((1, 2)).tolist() for level in levels]
        parts: dict[tuple[int, ...], list[int]] = {}
        for row in range(depths.shape[0]):
            own = [of_level[row] for of_level in counts]
            here = [level for level, count in zip(levels, own, strict=True) if count]
            key = [] if self.stages else list(here)
            for stage in self.stages or tuple(Stage(self.steps, (level,)) for level in here):
                wanted = levels if stage.levels is None else stage.levels
                count = sum(count for level, count in zip(levels, own, strict=True) if level in wanted)
                key.append((stage.schedule or self.schedule).steps(count, stage.steps))
            parts.setdefault(tuple(key), []).append(row)
        return [torch.tensor(rows, device=state.is_open.device) for rows in parts.values()]

    def adapted(
        self, steps: int | None = None, guidance: float | None = None, temperature: float | None = None
    ) -> Sampler:
        """The sampler with what a person asks for, in proportion to what it says itself.

        Args:
            steps: of its longest stage; others keep their ratio to that one, with at least 1.
            guidance: strongest scale, see :meth:`Guidance.at`; a stage that says that it has none keeps none.
            temperature: at the start, see :meth:`Pick.at`; a stage that says that it takes the best codes still does.
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

    def run(self, models: Mapping[str, MaskedModel], layout: Layout, state: SamplerState) -> SamplerState:
        """The state after the last step of :meth:`iterate`."""
        for step in self.iterate(models, layout, state):
            state = step.state
        return state

    def _step(
        self, model: MaskedModel, layout: Layout, state: SamplerState, step: RunStep, guided: bool
    ) -> tuple[SamplerState, Mapping[str, Tensor]]:
        """Ask, pick, commit. Slots that are settled before are chosen first, then drawn."""
        order, schedule = step.stage.order, step.stage.schedule
        assert order is not None and schedule is not None
        mine = state.is_open & step.inside
        is_open = mine & state.carry[_CHOSEN] if step.cheap else mine
        if not bool(is_open.any()):
            nothing = torch.zeros_like(state.score)
            return replace(state, step=state.step + 1), Predicted(dict.fromkeys(STATISTICS, nothing))
        now = mine.flatten(1).sum(1)
        context = ScoreContext(
            state.batch,
            is_open,
            state.seeds,
            state.keys,
            step.progress.on("after"),
            index=step.progress.index,
            steps=step.progress.steps,
            carry=state.carry,
        )
        settles = step.cheap_follow and not step.cheap
        settled = self.reuse.settles(context) if settles else None
        if settled is not None:
            is_open = best(settled, is_open, now - step.open_at_end)
            context = replace(context, is_open=is_open)
        ranks = None
        if step.cheap:
            ranks = self.reuse.follows(state.carry[_RANKS])
        elif self.reuse.order_first:
            ranks = order(context)
        count = now - step.open_after
        draw = functools.partial(
            ask, model, layout, reuse=self.reuse, constraint=self.constraint, guided=guided, step=step
        )
        if ranks is not None:
            committed = best(ranks, is_open, count)
            proposed, predicted, state = draw(state, committed, ranks)
            ids = torch.where(committed, proposed, state.batch.ids)
        else:
            proposed, predicted, state = draw(state, is_open, None)
            context = replace(context, predictions=predicted)
            ranks = order(context)
            if isinstance(schedule, DecidingSchedule) and not step.is_last:
                count = torch.minimum(schedule.reveal(context).clamp(min=1), now)
            rows = is_open.shape[0]
            ids, still_open = commit(
                state.batch.ids.view(rows, -1),
                proposed.view(rows, -1),
                ranks.view(rows, -1),
                is_open.view(rows, -1),
                count,
            )
            ids, committed = ids.view_as(is_open), is_open & ~still_open.view_as(is_open)
        carry = {**state.carry, **_observed(state.carry, order.observe(context), is_open)}
        if settles:
            chosen = best(ranks.masked_fill(committed, torch.inf), is_open, now - step.open_at_end)
            fresh = self.reuse.fresh(chosen, mine, state.batch)
            carry = {**carry, _CHOSEN: chosen, _RANKS: ranks, FRESH: fresh}
        state = replace(
            state,
            batch=replace(state.batch, ids=ids),
            is_open=state.is_open & ~committed,
            score=torch.where(committed, predicted["logprob"], state.score),
            step=state.step + 1,
            carry=carry,
        )
        return state, predicted


def _observed(carry: Mapping[str, Tensor], seen: Mapping[str, Tensor], is_open: Tensor) -> dict[str, Tensor]:
    """What the order carries on: new for the rows that this step asked, as it was for those with nothing open."""
    if not seen:
        return {}
    asked = is_open.flatten(1).any(1)
    return {
        name: torch.where(asked.view(-1, *[1] * (value.dim() - 1)), value, carry[name]) if name in carry else value
        for name, value in seen.items()
    }


def _guidance(stage: Stage) -> Guidance:
    assert stage.guidance is not None
    return stage.guidance


def _scale(stage: Stage, progress: Progress) -> float:
    return _guidance(stage).scale(progress.on(_guidance(stage).grid))


def _reopen(state: SamplerState, revoked: Tensor, layout: Layout) -> SamplerState:
    ids = torch.where(revoked, layout.mask_of(state.batch.ids), state.batch.ids)
    return replace(state, batch=replace(state.batch, ids=ids), is_open=state.is_open | revoked)

"""Sampler: the one loop that fills slots, for every modality.

Arrow: SamplerState --**Sampler.steps**--> SamplerState with nothing open. Does not know: modalities, media, networks
(a model is whatever gives logits of queried slots), kernels.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.layout import Layout
from tokenmask.masking.masked_batch import Queries
from tokenmask.masking.scores import Score, ScoreContext, best, slot_counters
from tokenmask.models import MaskedModel, NoReuse, Reuse, ReuseStep
from tokenmask.ops import commit
from tokenmask.sampling.constraint import AllowAll, Constraint
from tokenmask.sampling.guidance import Guidance, NoGuidance
from tokenmask.sampling.order import ConfidenceScore
from tokenmask.sampling.pick import Categorical
from tokenmask.sampling.revoke import NeverRevoke, Revoke
from tokenmask.sampling.schedule import ProcessSchedule, Schedule
from tokenmask.sampling.state import SamplerState
from tokenmask.threads import look_again


@dataclass(frozen=True)
class Stage:
    """A run of steps that fills some levels with one model; levels below are then given, levels above still hidden.

    Args:
        steps: number of steps.
        levels: levels that are filled, counted inside their group (:meth:`Layout.depths`); None fills all that is open.
        model: name of the model in the run.
    """

    steps: int = 12
    levels: tuple[int, ...] | None = None
    model: str = "main"

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"a stage needs at least 1 step, got {self.steps}")


@dataclass(frozen=True, eq=False)
class Step:
    """What the loop yields after each step.

    Args:
        index: number of this step over all stages, from 0.
        total: number of steps of all stages.
        state: after the step.
    """

    index: int
    total: int
    state: SamplerState


_CHOSEN, _RANKS, _FRESH = "reuse.chosen", "reuse.ranks", "reuse.fresh"  # what a full step settles for cheap ones


@dataclass(frozen=True, eq=False)
class _Run:
    """One step of a stage, as planned.

    Args:
        inside: bool [B, L, K], slots of the stage.
        open_after: slots of each row that stay open after this step.
        open_at_end: the same after the last cheap step that follows this one.
        cheap: whether this is a cheap step.
        cheap_follow: whether the next step is one.
        progress, steps: of the stage.
        guided: whether any step of the generation is guided.
    """

    inside: Tensor
    open_after: list[int]
    open_at_end: list[int]
    cheap: bool
    cheap_follow: bool
    progress: float
    steps: int
    guided: bool


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
    pick: Categorical = field(default_factory=Categorical)
    guidance: Guidance = field(default_factory=NoGuidance)
    constraint: Constraint = field(default_factory=AllowAll)
    revoke: Revoke = field(default_factory=NeverRevoke)
    reuse: Reuse = field(default_factory=NoReuse)

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"Sampler.steps must be at least 1, got {self.steps}")
        if self.reuse.order_first and (self.order.reads_predictions or not isinstance(self.revoke, NeverRevoke)):
            raise ValueError(
                f"{type(self.reuse).__name__} chooses slots before it scores them, once for all, so it needs an order "
                f"like RandomScore or QLDSScore and no revocation, got {self.order} and {self.revoke}"
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
        stages = self.stages or tuple(Stage(self.steps, (level,)) for level in _levels(layout, state))
        total, done = sum(stage.steps for stage in stages), 0
        scales = {self.guidance.scale(index / stage.steps) for stage in stages for index in range(stage.steps)}
        guided = scales != {1.0} or bool(self.guidance.further(state.batch))
        for number, stage in enumerate(stages):
            if stage.model not in models:
                raise ValueError(f"stage model must be one of {', '.join(models)}, got {stage.model!r}")
            if number and stage.model != stages[number - 1].model:
                state = replace(state, cache=None)
            inside = _stage_slots(layout, state, stage)
            counts = (inside & state.is_open).sum((1, 2)).tolist()
            plans = [self.schedule.plan(count, stage.steps) for count in counts]
            last = self.reuse.inner(stage.steps)
            for index in range(stage.steps):
                look_again()
                run = _Run(
                    inside=inside,
                    open_after=[plan[index] for plan in plans],
                    open_at_end=[plan[last[index]] for plan in plans],
                    cheap=index > 0 and last[index] == last[index - 1],
                    cheap_follow=last[index] > index,
                    progress=index / stage.steps,
                    steps=stage.steps,
                    guided=guided,
                )
                state = self._step(models[stage.model], layout, state, run)
                if index < stage.steps - 1 and last[index] == index:
                    revoked = self.revoke(state, inside, (index + 1) / stage.steps)
                    state = state if revoked is None else _reopen(state, revoked & inside, layout)
                yield Step(done, total, state)
                done += 1
        if bool(state.is_open.any()):
            raise ValueError("the sampler's stages must cover every level with open slots; add a stage for the rest")

    def run(self, models: Mapping[str, MaskedModel], layout: Layout, state: SamplerState) -> SamplerState:
        """The state after the last step of :meth:`iterate`."""
        for step in self.iterate(models, layout, state):
            state = step.state
        return state

    def _step(self, model: MaskedModel, layout: Layout, state: SamplerState, run: _Run) -> SamplerState:
        """Draw, score, commit: one step of one stage. Slots that are settled before are chosen first, then drawn."""
        is_open = state.is_open & run.inside
        if run.cheap:
            is_open = is_open & state.carry[_CHOSEN]
        if not bool(is_open.any()):
            return replace(state, step=state.step + 1)
        rows = is_open.shape[0]
        now = (state.is_open & run.inside).sum((1, 2))
        count = now - torch.tensor(run.open_after, device=is_open.device)
        context = ScoreContext(state.batch, is_open, state.seeds, state.keys, run.progress + 1 / run.steps)
        until = now - torch.tensor(run.open_at_end, device=now.device)
        settled = self.reuse.settles(context) if run.cheap_follow and not run.cheap else None
        if settled is not None:
            is_open = best(settled, is_open, until)
            context = replace(context, is_open=is_open)
        ranks = None
        if run.cheap:
            ranks = self.reuse.follows(state.carry[_RANKS])
        elif self.reuse.order_first:
            ranks = self.order(context)
        if ranks is not None:
            committed = best(ranks, is_open, count)
            proposed, predictions, state = self._propose(model, layout, state, committed, ranks, run)
            ids = torch.where(committed, proposed, state.batch.ids)
        else:
            proposed, predictions, state = self._propose(model, layout, state, is_open, None, run)
            ranks = self.order(replace(context, predictions=predictions))
            ids, still_open = commit(
                state.batch.ids.view(rows, -1),
                proposed.view(rows, -1),
                ranks.view(rows, -1),
                is_open.view(rows, -1),
                count,
            )
            ids, committed = ids.view_as(is_open), is_open & ~still_open.view_as(is_open)
        if run.cheap_follow and not run.cheap:
            chosen = best(ranks.masked_fill(committed, torch.inf), is_open, until)
            fresh = self.reuse.fresh(chosen, state.is_open & run.inside, state.batch)
            state = replace(state, carry={**state.carry, _CHOSEN: chosen, _RANKS: ranks, _FRESH: fresh})
        return replace(
            state,
            batch=replace(state.batch, ids=ids),
            is_open=state.is_open & ~committed,
            score=torch.where(committed, predictions["logprob"], state.score),
            step=state.step + 1,
        )

    def _propose(
        self,
        model: MaskedModel,
        layout: Layout,
        state: SamplerState,
        is_open: Tensor,
        order: Tensor | None,
        run: _Run,
    ) -> tuple[Tensor, dict[str, Tensor], SamplerState]:
        """Draws a code for every slot of ``is_open``: proposed ids [B, L, K] and the statistics of the draws."""
        _, length, levels = is_open.shape
        slots = is_open.flatten().nonzero().squeeze(1)
        queries = Queries(slots, layout.head_of(state.batch.ids.flatten()[slots]))
        scale, further = self.guidance.scale(run.progress), self.guidance.further(state.batch)
        guided = scale != 1.0 or bool(further) or (run.guided and self.reuse.keeps)  # a cache holds each row or none
        passes = [state.batch]
        if guided:
            passes += [self.guidance.unconditional(state.batch), *(batch for batch, _ in further)]
        inputs, times = functools.reduce(Batch.join, passes), len(passes)
        asked = Queries(
            torch.cat([slots + index * is_open.numel() for index in range(times)]), queries.heads.repeat(times)
        )
        step = ReuseStep(
            inputs,
            asked,
            t=torch.full((inputs.shape[0],), 1 - run.progress, device=inputs.device),
            order=None if order is None else order.repeat(times, 1, 1),
            fresh=state.carry[_FRESH].repeat(times, 1) if run.cheap else None,
            keep=run.cheap_follow and not run.cheap,
        )
        answer = self.reuse.score(model, step, state.cache)
        scored = {head: (index, logits) for head, index, logits in answer.groups}
        counters = slot_counters(state.keys, length, levels).flatten()[slots]
        seeds = state.seeds[torch.div(slots, length * levels, rounding_mode="floor")]
        proposed = state.batch.ids.flatten().clone()
        names = ("logprob", "entropy", "margin")
        predictions = {name: torch.zeros(is_open.numel(), device=is_open.device) for name in names}
        for head, (index, logits) in scored.items():
            uncond, strength = None, scale
            if guided:  # each pass repeats the queries of the first, head by head
                index = index[: len(index) // times]
                logits, uncond, *others = torch.split(logits, len(index))
                if others:
                    terms = [weight * (other - uncond) for other, (_, weight) in zip(others, further, strict=True)]
                    logits, uncond, strength = uncond + scale * (logits - uncond) + sum(terms), None, 1.0
            allowed = self.constraint.allowed(layout, head)
            codes, *statistics = self.pick(
                logits,
                uncond,
                guidance=strength,
                progress=run.progress,
                seeds=seeds[index],
                counters=counters[index],
                allowed=None if allowed is None else allowed.to(logits.device),
            )
            proposed[slots[index]] = codes + layout.ranges[head].offset
            for name, values in zip(names, statistics, strict=True):
                predictions[name][slots[index]] = values
        counted = dict(state.counters)
        for name, value in (
            ("forward_passes", answer.passes),
            ("computed_positions", answer.computed),
            ("queries", len(asked)),
        ):
            counted[name] = counted.get(name, 0) + value
        shaped = {name: value.view_as(is_open) for name, value in predictions.items()}
        return proposed.view_as(is_open), shaped, replace(state, counters=counted, cache=answer.cache)


def _levels(layout: Layout, state: SamplerState) -> list[int]:
    """Depths with open slots, coarse to fine."""
    depths: list[int] = layout.depth_of(state.batch.ids[state.is_open]).tolist()
    return sorted(set(depths))


def _stage_slots(layout: Layout, state: SamplerState, stage: Stage) -> Tensor:
    """bool [B, L, K], the slots that a stage may fill."""
    if stage.levels is None:
        return torch.ones_like(state.is_open)
    wanted = torch.tensor(stage.levels, device=state.is_open.device)
    return torch.isin(layout.depth_of(state.batch.ids), wanted)


def _reopen(state: SamplerState, revoked: Tensor, layout: Layout) -> SamplerState:
    ids = torch.where(revoked, layout.mask_of(state.batch.ids), state.batch.ids)
    return replace(state, batch=replace(state.batch, ids=ids), is_open=state.is_open | revoked)

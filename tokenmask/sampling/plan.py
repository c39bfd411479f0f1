"""Plan: stages, schedule and reuse become steps, each of which says what it may fill and how much of it.

Arrow: SamplerState + stages --**StagePlan**--> RunStep by RunStep. Does not know: answers of models, codes, scores.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.batch import ABSENT, FILL, Batch
from tokenmask.layout import Layout
from tokenmask.sampling.answers import found, look_at_plan, look_at_steps, refuse
from tokenmask.sampling.guidance import Guidance
from tokenmask.sampling.pick import Pick
from tokenmask.sampling.reuse import Reuse
from tokenmask.sampling.schedule import DecidingSchedule, Schedule
from tokenmask.sampling.state import SamplerState
from tokenmask.scores import Progress, Score, ScoreContext, blocks_of
from tokenmask.scores.arguments import is_a, whole

MOST_STEPS = 1 << 20  # of a stage; each is planned before the first is taken


@dataclass(frozen=True)
class Stage:
    """A run of steps that fills some levels with one model; levels below are then given, levels above still hidden.

    Args:
        steps: number of steps; where the schedule says its own number, what it is told.
        levels: levels that are filled, counted inside their group (:meth:`Layout.depths`); None fills all that is open.
            The first of them is the group that attention patterns see, as in training with ``LevelStages``.
        model: name of the model in the run.
        schedule, order, pick, guidance: of this stage; None takes the sampler's.
        block: positions of a block, counted from the first one of a row with a slot to fill: the stage is then taken
            for each block in turn, left to right, with all of its steps and a full step of the reuse at its beginning.
            None takes all positions at once. Source: semi-autoregressive blocks of LLaDA, arXiv:2502.09992, section
            2.4; caches that are made anew in each: Fast-dLLM, arXiv:2505.22618, section 3.2.
    """

    steps: int = 12
    levels: tuple[int, ...] | None = None
    model: str = "main"
    schedule: Schedule | None = None
    order: Score | None = None
    pick: Pick | None = None
    guidance: Guidance | None = None
    block: int | None = None

    def __post_init__(self) -> None:
        whole("Stage.steps", whole("Stage.steps", self.steps), most=MOST_STEPS)
        if self.block is not None:
            whole("Stage.block", self.block)
        for level in self.levels or ():
            whole("each of Stage.levels", level, least=0)
        for name, kind in (("schedule", Schedule), ("order", Score), ("pick", Pick), ("guidance", Guidance)):
            if getattr(self, name) is not None:
                is_a(f"Stage.{name}", getattr(self, name), kind)


@dataclass(frozen=True, eq=False)
class RunStep:
    """One step of a stage, as planned.

    Args:
        stage: the stage, with all of its parts.
        inside: bool [B, L, K], slots of the stage, of one block where it has blocks.
        around: bool [B, L, K], those of all blocks.
        open_after: int64 [B], slots of each row that stay open after this step.
        open_at_end: the same after the last cheap step of the inner run.
        inner: place in its inner run: 0 is a full step, what follows is cheap.
        cheap_follow: whether the next step is a cheap one.
        progress: where in the stage.
        group: int32 [B, L], for attention patterns; None means 0.
        whole: int64 [B], slots of ``around`` in streams that are filled, given ones too; what a share is a share of.
    """

    stage: Stage
    inside: Tensor
    around: Tensor
    open_after: Tensor
    open_at_end: Tensor
    inner: int
    cheap_follow: bool
    progress: Progress
    group: Tensor | None
    whole: Tensor

    @property
    def cheap(self) -> bool:
        """Whether it runs a few positions over what its full step kept."""
        return self.inner > 0

    @property
    def keeps(self) -> bool:
        """Whether it is a full step that cheap ones follow."""
        return self.cheap_follow and not self.cheap

    @property
    def revises(self) -> bool:
        """Whether slots that hold codes are drawn anew too."""
        return self.stage.pick is not None and self.stage.pick.revises

    @property
    def is_last(self) -> bool:
        """Whether the stage ends with this step."""
        return self.progress.index == self.progress.steps - 1


def levels_of(layout: Layout, state: SamplerState) -> list[int]:
    """Depths with open slots, coarse to fine."""
    depths: list[int] = layout.depth_of(state.batch.ids[state.is_open]).tolist()
    return sorted(set(depths))


@dataclass(frozen=True, eq=False)
class StagePlan:
    """A stage of a generation, or a block of one: which slots, and how many steps; :meth:`steps` makes them.

    Args:
        stage: with all of its parts.
        inside: bool [B, L, K], the slots that it may fill.
        around: bool [B, L, K], those that the stage may fill in all of its blocks.
        start: the state that it was planned in.
        counts: open slots of the stage in each row, there.
        length: number of steps; the most, where the schedule decides in the step.
    """

    stage: Stage
    inside: Tensor
    around: Tensor
    start: SamplerState
    counts: list[int]
    length: int

    @classmethod
    def of(cls, layout: Layout, state: SamplerState, stage: Stage) -> list[StagePlan]:
        """The stage, or each of its blocks in which a row has something open.

        Args:
            layout: of the models.
            state: at the start of the generation.
            stage: with all of its parts.
        """
        around, plans = stage_slots(layout, state, stage), list[StagePlan]()
        for inside in blocks_within(around, state, stage.block):
            counts = (inside & state.is_open).sum((1, 2)).tolist()
            if stage.block is None or any(counts):
                length = _length(schedule_of(stage), stage.steps, counts)
                plans.append(cls(stage, inside, around, state, counts, length))
        return plans

    def steps(self, layout: Layout, state: SamplerState, reuse: Reuse) -> Iterator[RunStep]:
        """The steps, one by one.

        Args:
            layout: of the models.
            state: at the start of the stage.
            reuse: says which steps are cheap.

        Raises:
            ValueError: as of :meth:`after`.
        """
        stage, inside = self.stage, self.inside
        after, last = self.after(state, reuse)
        steps = len(after)
        whole, group = self.whole(layout, state.batch), self.group(state.batch)
        inner = 0
        for index, open_after in enumerate(after.unbind()):
            inner = inner + 1 if index and last[index] == last[index - 1] else 0
            yield RunStep(
                stage=stage,
                inside=inside,
                around=self.around,
                open_after=open_after,
                open_at_end=after[last[index]],
                inner=inner,
                cheap_follow=last[index] > index,
                progress=Progress(index, steps),
                group=group,
                whole=whole,
            )

    def whole(self, layout: Layout, batch: Batch) -> Tensor:
        """int64 [B], slots of ``around`` in streams that are filled, given ones too; what a share is a share of."""
        member = batch.stream[:, :, None] == torch.arange(len(layout.names), device=batch.device)
        filled = (member & (batch.role == FILL).any(-1, keepdim=True)).any(1)
        mine = (member & filled[:, None]).any(-1, keepdim=True) & (batch.role != ABSENT)
        return (mine & self.around & batch.valid[:, :, None]).sum((1, 2))

    def group(self, batch: Batch) -> Tensor | None:
        """int32 [B, L], what attention patterns know as the group; None means 0."""
        depth = min(self.stage.levels or (0,))
        if not depth:
            return None
        return torch.full(batch.stream.shape, depth, dtype=torch.int32, device=batch.device)

    def after(self, state: SamplerState, reuse: Reuse) -> tuple[Tensor, list[int]]:
        """int64 [steps, B], slots of each row that stay open after each step, and the last step of its inner run.

        Args:
            state: at the start of the stage.
            reuse: says which steps are cheap.

        Raises:
            ValueError: a schedule that decides in each step, with a reuse that settles slots beforehand; either of them
                with a pick that revises.
        """
        stage, inside, schedule, device = self.stage, self.inside, schedule_of(self.stage), state.is_open.device
        counts, steps = self.counts, self.length
        if state is not self.start:  # a stage before it may have filled some of its slots
            counts = (inside & state.is_open).sum((1, 2)).tolist()
            steps = _length(schedule, stage.steps, counts)
        last = reuse.inner(steps)
        if not (isinstance(last, Sequence) and len(last) == steps and all(isinstance(one, int) for one in last)):
            refuse(reuse, f"the last step of an inner run for each of {steps} steps", found(last), "inner")
        to_the_end = reuse.reorders and all(end in (index, steps - 1) for index, end in enumerate(last))
        if isinstance(schedule, DecidingSchedule) and (
            reuse.order_first or not (last == list(range(steps)) or to_the_end)
        ):
            raise ValueError(
                f"{type(reuse).__name__} settles slots before their codes are scored, so it needs a schedule that "
                f"knows its counts beforehand, got {schedule}; take NoReuse, PrefixReuse, or StaleReuse with n_local "
                "None and reorder, which settles all that a stage fills"
            )
        settles = reuse.order_first or last != list(range(steps))
        if stage.pick is not None and stage.pick.revises and (settles or isinstance(schedule, DecidingSchedule)):
            raise ValueError(
                f"{type(stage.pick).__name__} draws every slot in every step, so it needs a schedule that knows its "
                f"counts beforehand and no cheap steps, got {schedule} and {reuse}; take UniformSchedule and NoReuse"
            )
        reads = stage.order is not None and stage.order.reads_predictions
        if stage.pick is not None and stage.pick.tests and (reads or isinstance(schedule, DecidingSchedule)):
            raise ValueError(
                f"{type(stage.pick).__name__} tests codes of the slots that a step reveals alone, so it needs an order "
                f"like RasterScore and counts that are known beforehand, got {stage.order} and {schedule}"
            )
        own = [max(1, look_at_steps(schedule, schedule.steps(count, stage.steps))) for count in counts]
        plans = [look_at_plan(schedule, schedule.plan(n, of), n, of) for n, of in zip(counts, own, strict=True)]
        after = torch.tensor([plan + [0] * (steps - len(plan)) for plan in plans], device=device).T.contiguous()
        return after, last


def schedule_of(stage: Stage) -> Schedule:
    """The schedule of a stage with all of its parts."""
    assert stage.schedule is not None
    return stage.schedule


def _length(schedule: Schedule, steps: int, counts: list[int]) -> int:
    return max(1, *(look_at_steps(schedule, schedule.steps(count, steps)) for count in counts))


def stage_slots(layout: Layout, state: SamplerState, stage: Stage) -> Tensor:
    """bool [B, L, K], the slots that a stage may fill."""
    if stage.levels is None:
        return torch.ones_like(state.is_open)
    wanted = torch.tensor(stage.levels, device=state.is_open.device)
    return torch.isin(layout.depth_of(state.batch.ids), wanted)


def blocks_within(slots: Tensor, state: SamplerState, block: int | None) -> list[Tensor]:
    """The slots bool [B, L, K] of each block, left to right; all of them where ``block`` is None."""
    if block is None:
        return [slots]
    number = blocks_of(ScoreContext(state.batch, slots, state.seeds, state.keys, Progress(0, 1)), block)
    return [slots & (number == one) for one in range(int(number.max()) + 1)]

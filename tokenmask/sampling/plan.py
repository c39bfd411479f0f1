"""Plan: stages, schedule and reuse become steps, each of which says what it may fill and how much of it.

Arrow: SamplerState + stages --**planned**--> RunStep by RunStep. Does not know: models' answers, codes, orders' scores.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.batch import ABSENT, FILL
from tokenmask.layout import Layout
from tokenmask.sampling.guidance import Guidance
from tokenmask.sampling.pick import Pick
from tokenmask.sampling.progress import Progress
from tokenmask.sampling.reuse import Reuse
from tokenmask.sampling.schedule import DecidingSchedule, Schedule
from tokenmask.sampling.state import SamplerState
from tokenmask.scores import Score


@dataclass(frozen=True)
class Stage:
    """A run of steps that fills some levels with one model; levels below are then given, levels above still hidden.

    Args:
        steps: number of steps; where the schedule says its own number, what it is told.
        levels: levels that are filled, counted inside their group (:meth:`Layout.depths`); None fills all that is open.
            The first of them is the group that attention patterns see, as in training with ``LevelStages``.
        model: name of the model in the run.
        schedule, order, pick, guidance: of this stage; None takes the sampler's.
    """

    steps: int = 12
    levels: tuple[int, ...] | None = None
    model: str = "main"
    schedule: Schedule | None = None
    order: Score | None = None
    pick: Pick | None = None
    guidance: Guidance | None = None

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"a stage needs at least 1 step, got {self.steps}")


@dataclass(frozen=True, eq=False)
class RunStep:
    """One step of a stage, as planned.

    Args:
        stage: the stage, with all of its parts.
        inside: bool [B, L, K], slots of the stage.
        open_after: int64 [B], slots of each row that stay open after this step.
        open_at_end: the same after the last cheap step that follows this one.
        cheap: whether this is a cheap step.
        cheap_follow: whether the next step is one.
        progress: where in the stage.
        group: int32 [B, L], for attention patterns; None means 0.
        whole: int64 [B], the slots of the stage in streams that are filled, given ones too; what a share is a share of.
    """

    stage: Stage
    inside: Tensor
    open_after: Tensor
    open_at_end: Tensor
    cheap: bool
    cheap_follow: bool
    progress: Progress
    group: Tensor | None
    whole: Tensor

    @property
    def is_last(self) -> bool:
        """Whether the stage ends with this step."""
        return self.progress.index == self.progress.steps - 1


def levels_of(layout: Layout, state: SamplerState) -> list[int]:
    """Depths with open slots, coarse to fine."""
    depths: list[int] = layout.depth_of(state.batch.ids[state.is_open]).tolist()
    return sorted(set(depths))


def steps_of(layout: Layout, state: SamplerState, stage: Stage) -> int:
    """The number of steps of a stage that begins in this state."""
    assert stage.schedule is not None
    counts = (stage_slots(layout, state, stage) & state.is_open).sum((1, 2)).tolist()
    return max(1, *(stage.schedule.steps(count, stage.steps) for count in counts))


def planned(layout: Layout, state: SamplerState, stage: Stage, reuse: Reuse) -> Iterator[RunStep]:
    """The steps of a stage that begins in this state.

    Args:
        layout: of the models.
        state: at the start of the stage.
        stage: with all of its parts.
        reuse: says which steps are cheap.

    Raises:
        ValueError: a schedule that decides in each step, with a reuse that settles slots beforehand.
    """
    schedule, inside, device = stage.schedule, stage_slots(layout, state, stage), state.is_open.device
    assert schedule is not None
    counts = (inside & state.is_open).sum((1, 2)).tolist()
    steps = max(1, *(schedule.steps(count, stage.steps) for count in counts))
    last = reuse.inner(steps)
    if isinstance(schedule, DecidingSchedule) and (reuse.order_first or last != list(range(steps))):
        raise ValueError(
            f"{type(reuse).__name__} settles slots before their codes are scored, so it needs a schedule that "
            f"knows its counts beforehand, got {schedule}; take NoReuse or PrefixReuse"
        )
    plans = [schedule.plan(count, max(1, schedule.steps(count, stage.steps))) for count in counts]
    after = torch.tensor([plan + [0] * (steps - len(plan)) for plan in plans], device=device).T
    member = state.batch.stream[:, :, None] == torch.arange(len(layout.names), device=device)
    filled = (member & (state.batch.role == FILL).any(-1, keepdim=True)).any(1)
    mine = (member & filled[:, None]).any(-1, keepdim=True) & (state.batch.role != ABSENT)
    whole = (mine & inside & state.batch.valid[:, :, None]).sum((1, 2))
    depth = min(stage.levels or (0,))
    group = torch.full(state.batch.stream.shape, depth, dtype=torch.int32, device=device) if depth else None
    for index in range(steps):
        yield RunStep(
            stage=stage,
            inside=inside,
            open_after=after[index],
            open_at_end=after[last[index]],
            cheap=index > 0 and last[index] == last[index - 1],
            cheap_follow=last[index] > index,
            progress=Progress(index, steps),
            group=group,
            whole=whole,
        )


def stage_slots(layout: Layout, state: SamplerState, stage: Stage) -> Tensor:
    """bool [B, L, K], the slots that a stage may fill."""
    if stage.levels is None:
        return torch.ones_like(state.is_open)
    wanted = torch.tensor(stage.levels, device=state.is_open.device)
    return torch.isin(layout.depth_of(state.batch.ids), wanted)

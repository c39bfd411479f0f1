"""Schedules: how many slots stay open after each step, known beforehand or decided in the step.

Does not know: which schedule.
"""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tokenmask.sampling import DecidingSchedule, Schedule
from tokenmask.scores import ScoreContext
from tokenmask.testing.alike import finite
from tokenmask.testing.anything import in_any_company, value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.world import World

CASES = [(initial, steps) for initial in (0, 1, 2, 5, 16, 64, 256) for steps in (1, 2, 3, 8, 16, 70)]
SHARES = torch.linspace(0, 1, 33)


def _steps(schedule: Schedule, initial: int, steps: int) -> int:
    """Steps of a row as the plan of a stage counts them."""
    return max(1, schedule.steps(initial, steps))


def _contexts(world: World) -> list[ScoreContext]:
    return [world.context(index, 4) for index in range(4)]


def _use(schedule: Schedule, world: World) -> list[Any]:
    plans = [schedule.plan(initial, _steps(schedule, initial, steps)) for initial, steps in CASES]
    decided = [schedule.reveal(c) for c in _contexts(world)] if isinstance(schedule, DecidingSchedule) else []
    return [plans, schedule.time(world.lend("shares", SHARES)), decided]


def plans_every_step(schedule: Schedule) -> None:
    """A count for each step, of steps that are a whole number of at least 0."""
    for initial, steps in CASES:
        own = schedule.steps(initial, steps)
        right = isinstance(own, int) and own >= 0
        require(right, f"steps({initial}, {steps}) must be a number of steps, got {own!r}")
        plan = schedule.plan(initial, max(1, own))
        whole = isinstance(plan, list) and all(isinstance(count, int) for count in plan)
        require(whole, f"plan({initial}, {steps}) must be a list of ints, on the host, got {plan!r}"[:200])
        got = f"got {len(plan)} for {max(1, own)}"
        require(len(plan) == max(1, own), f"plan({initial}, {steps}) must have an entry for each step, {got}")


def ends_with_nothing_open(schedule: Schedule) -> None:
    """The last entry is 0."""
    for initial, steps in CASES:
        left = schedule.plan(initial, _steps(schedule, initial, steps))[-1]
        require(left == 0, f"plan({initial}, {steps}) must end at 0 open slots, got {left}")


def never_opens_more(schedule: Schedule) -> None:
    """Counts lie in 0..initial and never rise."""
    for initial, steps in CASES:
        plan = [initial, *schedule.plan(initial, _steps(schedule, initial, steps))]
        inside = all(0 <= count <= initial for count in plan)
        require(inside, f"plan({initial}, {steps}) must stay in 0..{initial}, got {min(plan)} to {max(plan)}")
        rises = [(a, b) for a, b in itertools.pairwise(plan) if b > a]
        require(not rises, f"plan({initial}, {steps}) must never rise, got {rises[:1]}")


def tells_the_time_of_a_share(schedule: Schedule) -> None:
    """``time`` lies in 0..1, grows with the share that is open, and keeps the shape; each share counts alone."""
    time = schedule.time(SHARES)
    right = time.shape == SHARES.shape and time.dtype == SHARES.dtype and finite(time)
    require(right, f"time must be float32 of the shape of the shares, got {time.dtype} {list(time.shape)}")
    inside = bool(((time >= 0) & (time <= 1)).all())
    require(inside, f"time must lie in 0..1, got {float(time.min()):g} to {float(time.max()):g}")
    require(bool((time.diff() >= 0).all()), "time must not fall where more is open, but it does")
    require(torch.equal(schedule.time(SHARES[7:8]), time[7:8]), "time must follow from each share alone")


def reveals_within_bounds(schedule: Schedule) -> None:
    """A schedule that decides reveals int64 [B], 0..open slots of each row."""
    if not isinstance(schedule, DecidingSchedule):
        return
    for context in _contexts(World()):
        count, is_open = schedule.reveal(context), context.is_open.sum((1, 2))
        right = count.dtype == torch.int64 and count.shape == is_open.shape
        require(right, f"reveal must be int64 {list(is_open.shape)}, got {count.dtype} {list(count.shape)}")
        wrong = (count < 0) | (count > is_open)
        row = int(wrong.int().argmax())
        got = f"got {int(count[row])} of {int(is_open[row])}"
        require(not bool(wrong.any()), f"reveal must lie in 0..open slots of the row, {got}")
    sure = replace(context, predictions={name: value * 0 for name, value in context.predictions.items()})
    require(bool((schedule.reveal(sure) <= sure.is_open.sum((1, 2))).all()), "reveal must name open slots alone")


def rows_do_not_matter_to_one_another(schedule: Schedule) -> None:
    """What it reveals of a row follows from that row."""
    if not isinstance(schedule, DecidingSchedule):
        return

    def answers(world: World) -> list[Tensor]:
        return [schedule.reveal(context) for context in _contexts(world)]

    in_any_company(answers)


SCHEDULES = Contract(
    "schedule",
    Schedule,
    (
        plans_every_step,
        ends_with_nothing_open,
        never_opens_more,
        tells_the_time_of_a_share,
        reveals_within_bounds,
        rows_do_not_matter_to_one_another,
        *value_requirements(_use),
    ),
)


def check_schedule(schedule: Schedule) -> list[str]:
    """Runs every check of a schedule; see :meth:`Contract.check` for what it returns and raises."""
    return SCHEDULES.check(schedule)

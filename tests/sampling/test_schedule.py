"""Schedules: exact counts of the papers; every step reveals, the last one everything."""

import pytest

from tokenmask.masking import Arccos, Cosine, Linear, Logarithmic, Power
from tokenmask.sampling import ProcessSchedule, UniformSchedule

SCHEDULES = [
    *(
        ProcessSchedule(p, r)
        for p in (Cosine(), Linear(), Power(3.0), Arccos(), Logarithmic())
        for r in ("floor", "round", "ceil")
    ),
    UniformSchedule(),
]


def reveals(schedule, initial, steps):
    after = schedule.plan(initial, steps)
    assert len(after) == steps and after[-1] == 0
    return [before - now for before, now in zip([initial, *after], after, strict=False)]


def test_maskgit_counts():
    # Counts of the published loop for 256 unknown slots in 8 steps; its last slot comes with the final draw.
    assert reveals(ProcessSchedule(Cosine(), "floor"), 256, 8) == [5, 15, 24, 31, 39, 45, 48, 49]


def test_llada_counts():
    assert reveals(UniformSchedule(), 10, 4) == [3, 3, 2, 2]
    assert reveals(UniformSchedule(), 3, 5) == [1, 1, 1, 0, 0]


@pytest.mark.parametrize("schedule", SCHEDULES, ids=repr)
@pytest.mark.parametrize("initial", [0, 1, 2, 7, 64, 500])
@pytest.mark.parametrize("steps", [1, 2, 8, 13, 64])
def test_all_slots_are_revealed_once(schedule, initial, steps):
    counts = reveals(schedule, initial, steps)
    assert sum(counts) == initial and min(counts) >= 0
    if isinstance(schedule, ProcessSchedule) and steps <= initial:
        assert min(counts) >= 1

"""064 ReCAP: counts, groups of steps and temperatures of the published code; exactness is in test_reuse.py."""

from itertools import pairwise

import numpy
import pytest

from tokenmask.masking import Power
from tokenmask.recipes import load_recipe
from tokenmask.sampling import ProcessSchedule, StaleReuse
from tokenmask.scores import Progress


def published(steps: int, slots: int, pre_full: int, n_local: int) -> tuple[list[int], list[int]]:
    """How many slots each step reveals, and the sizes of groups of a full step and its cheap ones."""
    left = numpy.floor((1 - numpy.linspace(0, 1, steps + 1)[:-1] ** 2.5) * slots).astype(int)
    counts = [*(left[:-1] - left[1:]).tolist(), int(left[-1])]
    for place, count in enumerate(counts):
        if count == 0:
            counts[place], counts[-1] = 1, counts[-1] - 1
    groups, done = [], 0
    while done < steps:
        groups.append(1 if done + 1 <= pre_full else min(1 + n_local, steps - done))
        done += groups[-1]
    return counts, groups


def revealed(steps: int, slots: int) -> list[int]:
    plan = [slots, *ProcessSchedule(Power(2.5)).plan(slots, steps)]
    return [before - after for before, after in pairwise(plan)]


@pytest.mark.parametrize("steps", [8, 16])
def test_counts_are_those_of_the_published_code(steps):
    assert revealed(steps, 256) == published(steps, 256, 0, 0)[0]


@pytest.mark.parametrize("steps", [20, 24, 32])
def test_where_a_step_would_reveal_nothing_the_slot_is_taken_from_another_step(steps):
    """Theirs takes it from the last step, ours from the next ones that reveal more than one: the same law otherwise."""
    ours, theirs = revealed(steps, 256), published(steps, 256, 0, 0)[0]
    assert min(ours) == min(theirs) == 1 and sum(ours) == sum(theirs) == 256
    assert max(abs(a - b) for a, b in zip(ours[:-1], theirs[:-1], strict=True)) <= 1
    assert 0 < ours[-1] - theirs[-1] <= 3


@pytest.mark.parametrize(
    ("steps", "pre_full", "n_local"), [(32, 12, 1), (24, 10, 1), (20, 10, 1), (16, 8, 1), (16, 0, 2)]
)
def test_groups_of_steps_are_those_of_the_published_code(steps, pre_full, n_local):
    last = StaleReuse(pre_full, n_local).inner(steps)
    assert [last.count(one) for one in sorted(set(last))] == published(steps, 256, pre_full, n_local)[1]


def test_the_recipe_cools_and_guides_as_published():
    sampler = load_recipe("recap").sampler_of("image")
    cold = [sampler.pick.temperature_at(Progress(step, 16, sampler.pick.grid)) for step in range(16)]
    assert cold == pytest.approx((0.65 + (1 - numpy.linspace(0, 1, 16) ** 0.5) * 0.35).tolist())
    scales = [sampler.guidance.scale(Progress(step, 16, sampler.guidance.grid)) for step in range(16)]
    assert scales == pytest.approx((1 + numpy.linspace(0.05, 0.1, 16)).tolist())

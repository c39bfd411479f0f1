"""064 ReCAP: counts, groups of steps and temperatures of the published code; exactness is in test_reuse.py."""

from itertools import pairwise

import numpy
import pytest
import torch

from tokenmask.masking import Power
from tokenmask.ops import sample_codes
from tokenmask.recipes import load_recipe
from tokenmask.sampling import ProcessSchedule, StaleReuse
from tokenmask.sampling.predicted import HeadLogits, Predicted
from tokenmask.scores import ConfidenceScore, Progress, ScoreContext


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


def test_noise_fades_with_full_steps_where_it_is_said():
    reuse = StaleReuse(3, 1, by_group=True)
    paces = [reuse.pace(Progress(step, 7)).on("after") for step in range(7)]
    assert paces == [1 / 5, 2 / 5, 3 / 5, 4 / 5, 4 / 5, 1.0, 1.0]
    assert StaleReuse(3, 1).pace(Progress(3, 7)) == 3 / 7


def test_a_trial_ranks_slots_and_is_thrown_away():
    """At T = 0 all slots hold the best code, and are ranked by codes of the softmax: as often by each as it says."""
    law = torch.tensor([0.7, 0.2, 0.1, 1e-9])
    logits, seeds = law.log().expand(4000, 4).contiguous(), torch.arange(4000)
    drawn = torch.zeros(3, 1, 4000, 1)
    predicted = Predicted(drawn)
    slots, keys = torch.arange(4000), (seeds, torch.zeros(4000, dtype=torch.int64))
    predicted.add(slots, HeadLogits(0, slots, logits, None, 1.0), torch.zeros(4000), keys)
    found = predicted["trial_logprob"].exp().flatten()
    shares = [float((found - one).abs().lt(1e-5).float().mean()) for one in law[:3]]
    assert shares == pytest.approx(law[:3].tolist(), abs=0.03)  # 4 standard errors
    codes = sample_codes(logits, seed=~seeds, counters=keys[1])[0]
    assert torch.allclose(found, law[codes.long()], atol=1e-5)
    told = ScoreContext(None, torch.ones(1, 4000, 1), seeds, seeds, Progress(0, 1, "after"), predicted)
    assert torch.equal(ConfidenceScore(trial=True)(told), predicted["trial_logprob"])
    with pytest.raises(ValueError, match="got both; set one"):
        ConfidenceScore(plain=True, trial=True)


def test_the_recipe_cools_and_guides_as_published():
    sampler = load_recipe("recap").sampler_of("image")
    cold = [sampler.pick.temperature_at(Progress(step, 16, sampler.pick.grid)) for step in range(16)]
    assert cold == pytest.approx((0.65 + (1 - numpy.linspace(0, 1, 16) ** 0.5) * 0.35).tolist())
    scales = [sampler.guidance.scale(Progress(step, 16, sampler.guidance.grid)) for step in range(16)]
    assert scales == pytest.approx((1 + numpy.linspace(0.05, 0.1, 16)).tolist())

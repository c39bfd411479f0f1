"""A row becomes the same alone and beside any other row, on the model that ships, where parts decide in the step."""

from dataclasses import replace

import pytest
import torch

import tokenmask as tm
from tokenmask.generation import Request, fill
from tokenmask.masking import Linear
from tokenmask.sampling import Categorical, ConfidenceAbove, NoGuidance, Revoke, RevokeDrawn, Sampler, Stage
from tokenmask.scores import ConfidenceScore, RandomScore

DECIDING = Sampler(schedule=ConfidenceAbove(0.3), order=ConfidenceScore(noise=2.0), pick=Categorical(1.2, 0.4))


@pytest.fixture(scope="module")
def run():
    return tm.load()


def filled(run, sampler, *requests):
    return fill(requests, layout=run.layout, models=run.models, sampler=sampler, packing=run.recipe.packing)


def sound(run, frames: int, seed: int) -> Request:
    return Request.blank(run.layout, "audio", (frames,), seed=seed)


@pytest.mark.parametrize(
    "sampler", [DECIDING, replace(DECIDING, revoke=RevokeDrawn(0.5, Linear()))], ids=["deciding", "and revoking"]
)
def test_a_schedule_that_decides(run, sampler):
    """Of seven levels each; a row that is done leaves the others, and its next level begins where it would alone."""
    requests = [sound(run, 6, 1), sound(run, 6, 2), sound(run, 9, 3)]
    together = filled(run, sampler, *requests)
    assert together == [filled(run, sampler, one)[0] for one in requests]
    assert together[0] != together[1]


def test_rows_with_other_open_levels(run):
    whole = sound(run, 12, 1)
    sampler = Sampler(3, pick=Categorical(3.0))
    hole = torch.zeros(whole.hole.shape, dtype=torch.bool)
    hole[4:9, 2] = True
    part = Request("audio", filled(run, sampler, whole)[0], hole, seed=1)
    assert filled(run, sampler, part, whole) == [filled(run, sampler, one)[0] for one in (part, whole)]


def test_a_step_with_nothing_open_predicts_nothing(run):
    """A hole of three codes in eight steps: whoever reads predictions finds zeros there."""
    seen = []

    class Reads(Revoke):
        def __call__(self, context):
            predictions = context.predictions
            seen.append(float(predictions["logprob"].abs().sum() + predictions["logit"].abs().sum()))

    picture = Request.blank(run.layout, "image", (8, 8), seed=3)
    hole = torch.zeros(picture.hole.shape, dtype=torch.bool)
    hole[0, :3] = True
    filled(run, Sampler(8, revoke=Reads()), replace(picture, hole=hole))
    assert len(seen) == 7 and all(seen[:2]) and not any(seen[3:])


def test_a_stage_without_guidance_or_draws_keeps_to_that():
    """What a person asks for scales what stages have, and gives none of it to those that say that they have none."""
    stages = (Stage(4), Stage(2, guidance=NoGuidance(), pick=Categorical(0.0)))
    adapted = Sampler(stages=stages).adapted(guidance=3.0, temperature=0.5)
    assert adapted.guidance.scale(0.0) == 3.0 and adapted.pick == Categorical(0.5)
    assert adapted.stages == stages


class TurnsRound(RandomScore):
    """The other way round once it carries something."""

    def __call__(self, context):
        noise = super().__call__(context)
        return -noise if "seen" in context.carry else noise

    def observe(self, context):
        return {"seen": torch.ones(len(context.is_open), 1)}


def test_what_is_carried_begins_with_the_own_stages(run):
    """Rows with nothing open in the first stage carry nothing yet in their own first one, alone or in company."""
    stages = (Stage(3, (0,)), Stage(4, (1, 2, 3)), Stage(2, (4, 5, 6)))
    sampler = Sampler(stages=stages, order=TurnsRound(), pick=Categorical(1.5))
    whole = sound(run, 12, 1)
    requests = [whole]
    for levels in ([1, 2, 3], [4, 6]):
        hole = torch.zeros(whole.hole.shape, dtype=torch.bool)
        hole[:, levels] = True
        requests.append(Request("audio", filled(run, sampler, whole)[0], hole, seed=5))
    assert filled(run, sampler, *requests) == [filled(run, sampler, one)[0] for one in requests]

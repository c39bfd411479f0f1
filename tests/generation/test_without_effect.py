"""Options that change nothing, or less than one may think, are said: guidance without a condition, temperature 0."""

import warnings

import pytest
import torch

import tokenmask as tm
from tests.worlds import tiny_run
from tokenmask.sampling import ClassifierFree, ContextCorrupted, NoGuidance, Sampler
from tokenmask.scores import ConfidenceScore


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("without") / "tiny", "captions")


def told(draw) -> list[str]:
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        draw()
    return [str(one.message) for one in heard if "guidance" in str(one.message)]


def test_guidance_that_has_nothing_to_push_away_from_is_told_once(run):
    (said,) = told(lambda: run.generate("image", guidance=3.0, steps=2, num_samples=3))
    assert said == (
        "guidance=3 changes nothing: it pushes away from what the model says without conditions, and 'image' is given "
        "none; give one (given=..., --given NAME=VALUE), or leave guidance out"
    )
    (said,) = told(lambda: run.generate("image", [{}, {"text": "sun"}, {}], guidance=3.0, steps=2))
    assert said.startswith("guidance=3 changes nothing in 2 of 3 requests: ")
    image = run.generate("image", steps=2)[0]
    (said,) = told(lambda: run.edit(image, [(0, 0, 16, 16)], guidance=3.0, steps=2))
    assert said.startswith("guidance=3 changes nothing: ")
    (said,) = told(lambda: run.edit("sun moon", [(0, 3)], stream="text", length=(1, 2), num_samples=4, guidance=3.0))
    assert said.startswith("guidance=3 changes nothing: ")


@pytest.mark.parametrize(
    "options",
    [
        {"guidance": 3.0, "given": {"text": "sun"}},
        {"guidance": 3.0, "negative": {"text": "sun"}},
        {"guidance": 3.0, "also": [({"text": "sun"}, 1.0)]},
        {"guidance": 1.0},
        {"guidance": 3.0, "sampler": Sampler(2, guidance=ContextCorrupted())},
        {},
    ],
)
def test_guidance_that_works_or_is_none_is_not_told(run, options):
    assert told(lambda: run.generate("image", steps=2, **options)) == []


def test_hidden_conditions_are_what_is_given_of_the_stream_too(run):
    hidden = {"guidance": 3.0, "sampler": Sampler(2, guidance=ClassifierFree(conditions="hidden"))}
    assert told(lambda: run.generate("text", {"text": "blue"}, length=3, **hidden)) == []
    assert len(told(lambda: run.generate("text", length=3, **hidden))) == 1
    assert len(told(lambda: run.generate("text", {"text": "blue"}, length=3, guidance=3.0))) == 1


@pytest.mark.parametrize("given", [{}, {"text": "blue"}])
@pytest.mark.parametrize("guidance", [ClassifierFree(9.0), ClassifierFree(9.0, conditions="hidden"), NoGuidance()])
def test_guidance_that_says_that_it_changes_nothing_does_not(run, guidance, given):
    """And what it is told of with a beginning that is given is true."""
    plain, guided = (
        run.generate_tokens("text", given, length=24, num_samples=4, sampler=Sampler(8, guidance=one))
        for one in (NoGuidance(), guidance)
    )
    assert guidance.changes(False, bool(given)) == (guided != plain)


def test_at_temperature_0_an_order_without_noise_is_the_same_for_every_seed():
    run = tm.load()
    own = run.recipe.sampler_of("image")

    def drawn(sampler):
        asked = {"temperature": 0.0, "steps": 4, "seed": [0, 1, 2], "sampler": sampler}
        return [one.codes for one in run.generate_tokens("image", [{"text": "blue heart"}] * 3, **asked)]

    first, *others = drawn(own.ordered(ConfidenceScore()))
    assert all(torch.equal(first, other) for other in others)
    first, *others = drawn(own)
    assert not any(torch.equal(first, other) for other in others)

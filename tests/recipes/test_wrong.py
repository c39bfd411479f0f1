"""A recipe that is wrong is refused in one sentence: the field, what must hold, what was got, what to do."""

import pytest

from tokenmask.recipes import load_recipe
from tokenmask.recipes.learners import fit_options, learner


@pytest.mark.parametrize(
    ("field", "sentence"),
    [
        ("training.mix_by=foo", "training.mix_by must be one of 'records', 'positions', got foo; write one"),
        ("training.prefetch=x", "training.prefetch must be a whole number, got x; write one"),
        ("training.prefetch=100000000", "training.prefetch must lie in 0..1024, got 100000000; 0 prepares no batch"),
        ("training.steps=-1", "training.steps must be at least 1, got -1; raise it"),
        ("training.foo=3", "training has the fields steps, batch_size, "),
        ("stepz=3", "a recipe has the fields about, paper, streams, "),
        ("training=3", "must be a mapping of its fields, got int; write FIELD: VALUE lines"),
        ("model.layers=4", "model, a TransformerConfig, has the fields width, depth, "),
        ("sampler.order.init_args.noise=abc", "sampler.order.noise must be a number, got abc; write one"),
        (
            "masker.rate=3",
            "masker.rate must be of the kind Rate, got 3; name its class with masker.rate.class_path and",
        ),
        (
            "masker.rate.class_path=Foo",
            "masker.rate.class_path must be one of FixedRate, ProcessRate, or the path of a class, package.Class, got",
        ),
        ("samplers.image.schedule.class_path=Foo", "one of BlockSchedule, Blocks, "),
        ("training.accumulate=100000", "must be at most the records of a step, training.batch_size 256, got 100000"),
        (
            "objective.class_path=tokenmask.scores.RandomScore",
            "objective must be of the kind Objective, got tokenmask.scores.RandomScore; name one of MaskedCrossEntropy",
        ),
        ("streams=[]", "streams must be a mapping, got []; write one"),
        ("training.only=5", "training.only must be a list, got 5; write one"),
    ],
)
def test_a_field_that_is_set_is_blamed_and_not_the_page(field, sentence):
    with pytest.raises(ValueError, match="cannot be set") as caught:
        load_recipe("maskgit", overrides=["training.seed=3", field])
    told = str(caught.value)
    assert told.startswith((f"{field} cannot be set: ", "training.seed=3, ")) and sentence in told
    assert "Got value" not in told and "<class" not in told and "\n" not in told


def test_a_page_that_is_wrong_is_blamed_itself(tmp_path):
    page = tmp_path / "mine.yaml"
    page.write_text("base: maskgit\ntraining: {steps: many}\n")
    for fields in ([], ["training.seed=3"]):
        with pytest.raises(
            ValueError, match=r"recipe '.*mine\.yaml' must hold .* training\.steps must be a whole number"
        ):
            load_recipe(page, overrides=fields)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"pitched": {"steps": 2.5}}, "pitched.steps must be a whole number, got 2.5; write one"),
        ({"pitched": {"steps": 1}}, "steps of a pitched fit must be a whole number, at least 2, got 1"),
        ({"pitched": {"stepz": 1}}, "pitched, a PitchedFit, has the fields steps, .*, got 'stepz'; name one of these"),
        ({"pitched": 3}, "pitched must be the fields of a PitchedFit; write pitched.FIELD: VALUE"),
        ({"stepz": 3}, "options of AudioTokenizer.fit are config, .*, got stepz; name one of these"),
    ],
)
def test_options_of_a_fit_are_named_alike(options, sentence):
    with pytest.raises(ValueError, match=sentence) as told:
        fit_options(learner("audio"), options)
    assert "Union" not in str(told.value) and "class '" not in str(told.value)

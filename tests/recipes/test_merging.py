"""What a recipe changes of its base, and what the base's tiny part and samplers still mean then."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

from tokenmask.models import TransformerConfig
from tokenmask.recipes import Recipe, list_recipes, load_recipe
from tokenmask.recipes.merging import merge, replaced, without
from tokenmask.sampling import Categorical, Sampler
from tokenmask.training import AdamW

A, B = {"class_path": "A", "init_args": {"x": 1, "y": {"z": 2}}}, {"class_path": "B", "init_args": {"x": 5}}


@pytest.mark.parametrize(
    ("values", "changes", "merged", "places"),
    [
        ({"a": A}, {"a": B}, {"a": B}, [("a",)]),
        ({"a": A}, {"a": {"x": 3}}, {"a": {"class_path": "A", "init_args": {"x": 3, "y": {"z": 2}}}}, []),
        ({"a": A}, {"a": {"class_path": "A"}}, {"a": A}, []),
        ({"a": {"x": 1}}, {"a": B}, {"a": B}, [("a",)]),
        ({}, {"a": B}, {"a": B}, [("a",)]),
        ({"m": {"a": A}}, {"m": {"a": B, "b": 1}}, {"m": {"a": B, "b": 1}}, [("m", "a")]),
        ({"a": A}, {"a": None}, {"a": None}, [("a",)]),
        (
            {"a": {"class_path": "C", "init_args": {"inner": A, "n": 1}}},
            {"a": {"inner": B}},
            {"a": {"class_path": "C", "init_args": {"inner": B, "n": 1}}},
            [("a", "inner")],
        ),
        ({"a": 1, "b": [1]}, {"a": 2, "b": [2]}, {"a": 2, "b": [2]}, []),
    ],
)
def test_a_class_path_replaces_and_fields_are_merged(values: dict, changes: dict, merged: dict, places: list) -> None:
    assert merge(values, changes) == merged
    assert list(replaced(values, changes)) == places


def test_a_field_is_taken_out_with_the_names_of_what_it_held() -> None:
    tiny = {"model": {"width": 64, "depth": 2}, "sampler": {"steps": 8, "reuse": {"init_args": {"pre_full": 2}}}}
    assert without(tiny, ("model",)) == ({"sampler": tiny["sampler"]}, ["model.width", "model.depth"])
    assert without(tiny, ("sampler", "reuse")) == (
        {"model": tiny["model"], "sampler": {"steps": 8}},
        ["sampler.reuse.pre_full"],
    )
    assert without(tiny, ("sampler", "pick")) == (tiny, [])
    inside = {"a": {"class_path": "A", "init_args": {"b": {"c": 1}, "d": 2}}}
    assert without(inside, ("a", "b")) == ({"a": {"class_path": "A", "init_args": {"d": 2}}}, ["a.b.c"])


def own(folder: Path, text: str, **options: object) -> Recipe:
    path = folder / "own.yaml"
    path.write_text(text)
    return load_recipe(path, **options)


MODEL = "model: {class_path: TransformerConfig, init_args: {width: 128, depth: 1, heads: 2}}\n"


def test_tiny_of_a_base_goes_with_the_component_it_was_for(tmp_path: Path) -> None:
    text = f"base: captions\n{MODEL}"
    with pytest.warns(UserWarning, match=r"sets model\.width, model\.depth, model\.heads of components") as told:
        recipe = own(tmp_path, text, tiny=True)
    assert recipe.model == TransformerConfig(128, 1, 2) and recipe.training.steps == 20
    assert told[0].filename == __file__ and "say in its own tiny part" in str(told[0].message)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert own(tmp_path, text).model == TransformerConfig(128, 1, 2)
        small = own(tmp_path, f"{text}tiny: {{model: {{width: 64}}, training: {{steps: 3}}}}\n", tiny=True)
        assert small.model == TransformerConfig(64, 1, 2) and small.training.batch_size == 8
        assert small.training.steps == 3
        none = own(tmp_path, f"{text}tiny: {{model: {{}}}}\n", tiny=True)
        assert none.model == TransformerConfig(128, 1, 2)
        assert own(tmp_path, "base: recap\nsampler: {steps: 9}\n", tiny=True).sampler.reuse.pre_full == 2
    with pytest.warns(UserWarning, match=r"sampler\.reuse\.pre_full of components"):
        other = own(tmp_path, "base: recap\nsampler: {reuse: {class_path: NoReuse}}\n", tiny=True)
    assert other.sampler.steps == 8 and type(other.sampler.reuse).__name__ == "NoReuse"
    with pytest.raises(ValueError, match=r"tiny of a recipe must be a mapping of fields, got 3 in .*own\.yaml"):
        own(tmp_path, "base: captions\ntiny: 3\n")


def test_an_optimiser_of_a_recipe_replaces_that_of_its_base(tmp_path: Path) -> None:
    base = load_recipe("maskgit").training
    assert base.optimiser == AdamW(0.045, beta2=0.96)
    changed = own(tmp_path, "base: maskgit\ntraining: {optimiser: {beta2: 0.9}}\n").training
    assert changed.optimiser == AdamW(0.045, beta2=0.9) and changed.steps == base.steps
    text = "base: maskgit\ntraining: {optimiser: {class_path: AdamW, init_args: {beta2: 0.9}}}\n"
    assert own(tmp_path, text).training.optimiser == AdamW(beta2=0.9)


def test_a_sampler_that_no_stream_would_use_is_refused(tmp_path: Path) -> None:
    text = "base: captions\nsampler: {steps: 5}\n"
    with pytest.raises(ValueError, match=r"own\.yaml changes it where image, text have one; add samplers\.image=null"):
        own(tmp_path, text)
    with pytest.raises(ValueError, match=r"a field that is set changes it where image, text have one"):
        load_recipe("captions", overrides=["sampler.steps=5"])
    with pytest.raises(ValueError, match=r"changes it where text have one"):
        own(tmp_path, f"{text}samplers: {{image: {{}}}}\n")
    base = load_recipe("captions").samplers
    both = own(tmp_path, f"{text}samplers: {{image: null, text: {{pick: {{top_p: 0.5}}}}}}\n")
    assert both.sampler == Sampler(5) and "image" not in both.samplers
    assert both.sampler_of("image").steps == 5 and both.samplers["text"].pick == Categorical(0.8, top_p=0.5)
    said = load_recipe("captions", overrides=["sampler.steps=5", "samplers.image={}", "samplers.text=null"])
    assert said.samplers == {"image": base["image"]} and said.sampler_of("text").steps == 5
    assert load_recipe("five", overrides=["samplers.eeg.steps=3"]).samplers["eeg"].steps == 3
    assert load_recipe("maskgit", overrides=["sampler.steps=5"]).sampler.steps == 5


def test_every_recipe_that_ships_is_tiny_without_a_warning() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert all(load_recipe(name, tiny=True).training.steps <= 20 for name in list_recipes())

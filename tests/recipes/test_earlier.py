"""What recipes said before, in two places: it is read, with a warning, and means what it meant."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import yaml

import tokenmask as tm
from tokenmask.models import RangeHeadsConfig, TransformerConfig
from tokenmask.recipes import Recipe, load_recipe, recipe_yaml
from tokenmask.training import AdamW

START = "about: words\npaper: none\nstreams: {text: {tokenizer: text}}\n"


def read(folder: Path, text: str, warns: str | None) -> Recipe:
    path = folder / "old.yaml"
    path.write_text(text)
    if warns is None:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            return load_recipe(path)
    with pytest.warns(FutureWarning, match=warns) as told:
        recipe = load_recipe(path)
    assert [entry.filename for entry in told] == [__file__] * len(told)
    return recipe


@pytest.mark.parametrize(
    ("text", "optimiser"),
    [
        (f"{START}training: {{muon: true, beta2: 0.9}}\n", AdamW(beta2=0.9, muon=True)),
        ("base: captions\ntraining: {muon: false}\n", AdamW()),
        ("base: maskgit\ntraining: {weight_decay: 0.5}\n", AdamW(0.5, beta2=0.96)),
        (f"{START}training: {{weight_decay: 0.1, beta1: 0.5, beta2: 0.9, muon: false, optimiser: null}}\n", None),
        ("base: captions\ntraining: {muon: false, optimiser: {class_path: AdamW, init_args: {beta1: 0.1}}}\n", "own"),
        ("base: captions\ntiny: {training: {muon: false}}\n", AdamW(muon=True)),
    ],
)
def test_settings_beside_the_optimiser_are_those_of_adamw(tmp_path: Path, text: str, optimiser: object) -> None:
    expected = {None: AdamW(0.1, 0.5, 0.9), "own": AdamW(beta1=0.1)}.get(optimiser, optimiser)
    found = read(tmp_path, text, r"training\..* of .*old\.yaml has another name .*; write training\.optimiser\.")
    assert found.training.optimiser == expected


def test_settings_beside_another_optimiser_are_refused(tmp_path: Path) -> None:
    text = f"{START}training: {{beta1: 0.5, optimiser: {{class_path: AdamW}}}}\n"
    with pytest.raises(ValueError, match=r"settings of an optimiser are its own, .*; leave out training\.beta1"):
        read(tmp_path, text, r"training\.beta1")


def test_settings_of_a_head_in_the_model_are_those_of_range_heads(tmp_path: Path) -> None:
    warns = r"model\.tied or head_transform of .*old\.yaml has another name .*; write head\."
    model = "{width: 64, depth: 1, heads: 2, tied: false, head_transform: false}"
    found = read(tmp_path, f"{START}model: {model}\n", warns)
    assert found.head == RangeHeadsConfig(tied=False) and found.model == TransformerConfig(64, 1, 2)
    named = f"{{class_path: tokenmask.models.TransformerConfig, init_args: {model}}}"
    assert read(tmp_path, f"base: captions\nmodel: {named}\nhead: null\n", warns).head == RangeHeadsConfig(tied=False)
    usual = "{width: 64, depth: 1, heads: 2, tied: true, head_transform: false}"
    assert read(tmp_path, f"{START}model: {usual}\nhead: null\n", warns).head is None
    own = "head: {class_path: RangeHeadsConfig, init_args: {transform: true}}\n"
    assert read(tmp_path, f"{START}model: {usual}\n{own}", warns).head == RangeHeadsConfig(transform=True)
    with pytest.raises(ValueError, match=r"a head is named in one place, .*leave out model\.tied"):
        read(tmp_path, f"{START}model: {model}\n{own}", warns)
    with pytest.warns(FutureWarning, match="the field model.tied=false"):
        overrides = ["head.transform=true", "model.tied=false"]
        assert load_recipe("captions", overrides=overrides).head == RangeHeadsConfig(False, True)
    assert load_recipe("captions", overrides=["head.tied=false"]).head == RangeHeadsConfig(False)


def test_nothing_is_said_twice_in_what_is_written(tmp_path: Path) -> None:
    written = yaml.safe_load(recipe_yaml(load_recipe("captions")))
    assert set(written["training"]) & {"muon", "beta1", "beta2", "weight_decay"} == set()
    assert set(written["model"]["init_args"]) & {"tied", "head_transform"} == set()
    assert written["training"]["optimiser"]["init_args"]["muon"] is True
    read(tmp_path, recipe_yaml(load_recipe("captions")), None)


def test_a_run_of_before_opens_without_a_warning() -> None:
    """The recipe of the model that ships may say it in two places: nobody is to blame for its day."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = tm.load()
    assert run.recipe.training.optimiser == AdamW(muon=True) and run.recipe.head is None

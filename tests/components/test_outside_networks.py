"""A backbone, a head, an optimiser and stages of an installed package, from a recipe to a run and back."""

import importlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

import tokenmask as tm
from tests.components.outside import install
from tests.models import outside
from tests.worlds import emoji, tokenizers
from tokenmask.corpus import build_corpus
from tokenmask.fitting import fit
from tokenmask.masking import LevelStages
from tokenmask.models import MaskedModel, TransformerConfig, transfer
from tokenmask.recipes import load_recipe, recipe_yaml, same_recipe
from tokenmask.run import train
from tokenmask.run.training import prepare
from tokenmask.sampling import StaleReuse
from tokenmask.swapping import kept
from tokenmask.tensor_files import load_tensors
from tokenmask.training import AdamW

NAME = "networks_of_another_package"
RECIPE = """
base: captions
model: {{class_path: {0}.ConvConfig, init_args: {{depth: 2}}}}
head: {{class_path: {0}.NarrowHeadConfig, init_args: {{rank: 24}}}}
masker: {{stages: {{class_path: {0}.Halves}}}}
training:
  steps: 20
  batch_size: 8
  warmup_steps: 2
  peak_lr: 0.3
  checkpoint_every: 7
  optimiser: {{class_path: {0}.Descent, init_args: {{momentum: 0.8}}}}
"""


@pytest.fixture(scope="module")
def plug(tmp_path_factory):
    """An installed package with the text of ``tests/models/outside.py``."""
    site = tmp_path_factory.mktemp("networks") / "site"
    install(site, NAME, text=Path(outside.__file__).read_text())
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(site)
        yield importlib.import_module(NAME)


@pytest.fixture(scope="module")
def recipe(plug, tmp_path_factory):
    path = tmp_path_factory.mktemp("networks") / "own.yaml"
    path.write_text(RECIPE.format(NAME))
    return load_recipe(path)


@pytest.fixture(scope="module")
def corpora(tmp_path_factory):
    from tests.worlds import _items

    folder = tmp_path_factory.mktemp("networks") / "corpus"
    build_corpus(_items({"text", "image"})["emoji"], tokenizers(), folder, progress=False, on_error="raise")
    return [(folder, 1.0)]


@pytest.fixture(scope="module")
def run(recipe, corpora, tmp_path_factory):
    return train(tmp_path_factory.mktemp("networks") / "run", recipe, tokenizers(), corpora, progress=False)


def test_a_recipe_names_them_and_comes_back(plug, recipe, tmp_path):
    assert recipe.model == plug.ConvConfig(depth=2) and recipe.head == plug.NarrowHeadConfig(24)
    assert recipe.masker.stages == plug.Halves() and recipe.training.optimiser == plug.Descent(0.8)
    (tmp_path / "resolved.yaml").write_text(recipe_yaml(recipe))
    assert same_recipe(load_recipe(tmp_path / "resolved.yaml"), recipe)
    assert not same_recipe(recipe, replace(recipe, head=None))


def test_they_train_and_generate_and_come_back(plug, run):
    losses = [json.loads(line)["loss"] for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
    assert len(losses) == 20 and sum(losses[-5:]) < sum(losses[:5]) - 1.0
    again = tm.load(run.folder)
    model = again.models["main"]
    assert (
        type(model.backbone) is plug.Conv
        and type(model.heads) is plug.NarrowHead
        and same_recipe(again.recipe, run.recipe)
    )
    assert all(
        torch.equal(one, two) for one, two in zip(model.parameters(), run.models["main"].parameters(), strict=True)
    )
    tokens = run.generate_tokens("image", steps=3, seed=4, num_samples=2)
    assert again.generate_tokens("image", steps=3, seed=4, num_samples=2) == tokens
    assert len({stream.codes.unique().numel() for stream in tokens} - {1}) > 0


def test_a_stopped_training_goes_on_bit_for_bit(recipe, corpora, run, tmp_path):
    trainer = prepare(tmp_path / "cut", recipe, tokenizers(), corpora)
    assert list(trainer.optimizers) == ["descent"]
    fit(trainer, steps=9, folder=tmp_path / "cut", checkpoint_every=7, progress=False)
    tensors, _ = load_tensors(tmp_path / "cut" / "checkpoint.safetensors")
    assert "task.descent.0.momentum_buffer" in tensors
    resumed = train(tmp_path / "cut", recipe, tokenizers(), corpora, progress=False)
    assert (resumed.folder / "metrics.jsonl").read_bytes() == (run.folder / "metrics.jsonl").read_bytes()
    for one, two in zip(resumed.models["main"].parameters(), run.models["main"].parameters(), strict=True):
        assert torch.equal(one, two)


def test_a_reuse_that_needs_a_cache_is_refused(run):
    sampler = replace(run.recipe.sampler_of("image"), reuse=StaleReuse())
    with pytest.raises(ValueError, match=r"Conv keeps no keys and values .* set sampler\.reuse to NoReuse") as caught:
        run.generate_tokens("image", steps=4, sampler=sampler)
    assert "\n" not in str(caught.value)


def test_its_rows_follow_their_names(run):
    """Another tokenizer of one stream leaves the rest as it is; a model with more streams starts from this one."""
    from tokenmask.modalities.image import Image, ImageTokenizer, ImageTokenizerConfig

    pictures = [Image(torch.from_numpy(one.pixels)) for one in emoji()[:60]]
    other = ImageTokenizer.fit(pictures, config=ImageTokenizerConfig(codes=96, width=64), steps=3, progress=False)
    swapped = run.swap_tokenizer("image", other, media=pictures)
    old, new = run.models["main"], swapped.models["main"]
    assert kept(old, new, ["image"]) and new.heads.table.shape == (swapped.layout.num_ids, 24)
    before, after = (one.layout.range("text") for one in (old, new))
    for one, place in ((old, before), (new, after)):
        assert one.heads.table[place.offset : place.mask_id].std() > 0.01
    rows = [one.heads.table[place.offset : place.mask_id] for one, place in ((old, before), (new, after))]
    assert torch.equal(*rows)
    fresh = MaskedModel.create(old.config, run.layout, head=old.head, seed=9)
    assert transfer(old, fresh) == tuple(run.layout.names) and kept(old, fresh)
    with pytest.raises(ValueError, match=r"its rank is 8 and that of the other 24; set head\.rank=24"):
        transfer(old, MaskedModel.create(old.config, run.layout, head=replace(old.head, rank=8)))
    with pytest.raises(ValueError, match="its model is a TransformerConfig and that of the other a ConvConfig"):
        transfer(old, MaskedModel.create(TransformerConfig(64, 1, 2), run.layout, head=old.head))


def test_what_a_run_says_of_them(run, capsys):
    from tokenmask.cli import main

    assert main(["info", str(run.folder)]) == 0
    size = sum(own.numel() for own in run.models["main"].parameters())
    assert f"model main: {size:,} parameters, width 64, 2 convolutions of 9\n" in capsys.readouterr().out


def test_a_dry_run_says_what_it_does_not_know(run, corpora, tmp_path, capsys):
    from tokenmask.cli import main

    (tmp_path / "own.yaml").write_text(RECIPE.format(NAME))
    words = ["train", str(tmp_path / "own.yaml"), "--out", str(tmp_path / "new"), "--corpus", str(corpora[0][0])]
    for name in ("text", "image"):
        words += ["--tokenizer", f"{name}={run.folder / 'tokenizers' / name}"]
    assert main([*words, "--dry-run"]) == 0
    printed = capsys.readouterr().out
    assert f"parameters: {sum(own.numel() for own in run.models['main'].parameters()):,}\n" in printed
    assert "for weights, gradients and optimiser; ConvConfig does not say what else it keeps\n" in printed


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ("training.optimiser.muon=true", "a Descent, has the fields momentum, got .muon."),
        ("training.recompute=true", "Conv can't; leave it false"),
        ("pattern={class_path: Causal}", "Conv sees its neighbours"),
    ],
)
def test_what_does_not_go_together_is_refused(change, sentence, recipe, corpora, tmp_path):
    (tmp_path / "own.yaml").write_text(RECIPE.format(NAME))
    with pytest.raises(ValueError, match=sentence) as caught:
        prepare(tmp_path / "run", load_recipe(tmp_path / "own.yaml", overrides=[change]), tokenizers(), corpora).step(0)
    assert "\n" not in str(caught.value)


# What recipes and models said before ----------------------------------------------------------------------------------


def test_recipes_without_class_paths_name_what_they_named_before(tmp_path):
    recipe = load_recipe("five", overrides=["masker.stages.whole_from=1", "model.depth=3"])
    assert recipe.masker.stages == LevelStages((4.0, 2.0), whole_from=1)
    assert recipe.model == TransformerConfig(128, 3, 4) and recipe.head is None
    assert recipe.training.optimiser == AdamW(muon=True)
    (tmp_path / "resolved.yaml").write_text(recipe_yaml(recipe))
    again = load_recipe(tmp_path / "resolved.yaml", overrides=["masker.stages.odds=[1.0, 2.0]"])
    assert again.masker.stages == LevelStages((1.0, 2.0), whole_from=1)
    masker = "{class_path: tokenmask.masking.Masker, init_args: {stages: {odds: [3.0]}}}"
    assert load_recipe("captions", overrides=[f"masker={masker}"]).masker.stages == LevelStages((3.0,))

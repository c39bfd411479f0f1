"""Procedures: what they add arrives at the objective, what they keep survives a stop; weights are averaged."""

from dataclasses import dataclass, replace

import pytest
import torch

import tokenmask as tm
from tests.training import worlds
from tests.worlds import tiny_run
from tokenmask.fitting import fit
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel
from tokenmask.objectives import MaskedCrossEntropy
from tokenmask.procedures import Plain, Procedure
from tokenmask.recipes import load_recipe, recipe_yaml
from tokenmask.streams import StreamSpec
from tokenmask.training import Training


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "corpus"
    worlds.write_corpus(folder)
    return folder


@dataclass(frozen=True)
class Pull(Procedure):
    """Adds the distance to where one bias was, which it follows by half after every step."""

    def state(self, model):
        return {"bias": model.heads.bias.detach().clone(), "calls": torch.zeros(())}

    def loss(self, model, masked, objective, kept):
        own = objective(model, masked, {"calls": kept["calls"]})
        return replace(own, sum=own.sum + own.weight * (model.heads.bias - kept["bias"]).square().sum())

    def after(self, model, kept):
        kept["bias"].lerp_(model.heads.bias.detach(), 0.5)
        kept["calls"] += 1


def test_what_is_kept_is_saved_and_resumed_bit_for_bit(corpus, tmp_path):
    options = {"steps": 8, "procedure": Pull(), "ema": 0.9}
    whole = worlds.make_trainer(corpus, **options)
    history = whole.fit(tmp_path / "whole", progress=False)
    fit(worlds.make_trainer(corpus, **options), steps=5, folder=tmp_path / "cut", checkpoint_every=5, progress=False)
    second = worlds.make_trainer(corpus, **options)
    assert second.fit(tmp_path / "cut", progress=False) == history
    assert worlds.files(tmp_path / "cut") == worlds.files(tmp_path / "whole")
    assert whole.kept["calls"] == second.kept["calls"] == 8
    plain = worlds.make_trainer(corpus, steps=8)
    other = plain.fit(tmp_path / "plain", progress=False)
    assert other[0]["loss"] == history[0]["loss"] and other[5]["loss"] != history[5]["loss"]
    with pytest.raises(ValueError, match="lacks"):
        worlds.make_trainer(corpus, **options).fit(tmp_path / "plain", progress=False)


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"image": (1.0,)}, r"may name the levels word\.0, picture\.0, .*got 'image'"),
        ({"word.9": (1.0,) * 12}, r"got 'word\.9'"),
        ({"word.first": (1.0,) * 12}, r"got 'word\.first'"),
        ({"word": (1.0,) * 11}, "must be 12, one for each code, got 11"),
        ({"word": (1.0,) * 12, "word.0": (2.0,) * 12}, "name each level once, got 'word.0' again"),
    ],
)
def test_class_weights_of_no_level_are_refused(weights, sentence):
    with pytest.raises(ValueError, match=sentence):
        Plain(weights)._extra(worlds.LAYOUT)


def test_averaged_weights_are_the_running_mean_and_are_what_is_saved(corpus, tmp_path):
    trainer = worlds.make_trainer(corpus, steps=3, ema=0.5)
    mean = {name: value.detach().clone() for name, value in trainer.model.named_parameters()}
    for index in range(3):
        trainer.step(index)
        decay = min(0.5, (1 + index) / (10 + index))
        for name, value in trainer.model.named_parameters():
            mean[name] = decay * mean[name] + (1 - decay) * value.detach()
    trainer.save_model(tmp_path / "model.safetensors")
    saved = dict(MaskedModel.load(tmp_path / "model.safetensors").named_parameters())
    moved = dict(trainer.model.named_parameters())
    for name, value in mean.items():
        torch.testing.assert_close(saved[name], value, rtol=1e-5, atol=1e-7)
    assert not torch.equal(saved["heads.bias"], moved["heads.bias"])
    with pytest.raises(ValueError, match=r"^training\.ema"):
        Training(ema=1.0)


def test_a_run_generates_with_averaged_weights(tmp_path):
    from tokenmask.run import train

    plain = tiny_run(tmp_path / "run", "captions", steps=4)
    recipe = replace(plain.recipe, training=replace(plain.recipe.training, ema=0.99))
    corpora = [(tmp_path / "run" / "corpus" / "emoji", 1.0)]
    train(tmp_path / "mean", recipe, plain.tokenizers, corpora, progress=False)
    run = tm.load(tmp_path / "mean")
    assert run.recipe.training.ema == 0.99
    assert not torch.equal(run.models["main"].heads.bias, plain.models["main"].heads.bias)
    assert run.generate_tokens("image", steps=2)[0].codes.shape == (8, 8, 1)


def test_class_weights_arrive_in_a_run(corpus, tmp_path):
    objective = MaskedCrossEntropy(weight="class")
    without = worlds.make_trainer(corpus, steps=1).fit(progress=False)[0]["loss"]
    ones = Plain({"word": (1.0,) * 12, "picture": (1.0,) * 10})
    even = worlds.make_trainer(corpus, steps=1, objective=objective, procedure=ones).fit(progress=False)[0]["loss"]
    assert even == pytest.approx(without, rel=1e-6)
    only = Plain({"word": (0.0,) * 11 + (1.0,), "picture": (0.0,) * 9 + (1.0,)})
    trainer = worlds.make_trainer(corpus, steps=1, objective=objective, procedure=only)
    assert trainer.fit(progress=False)[0]["loss"] != pytest.approx(without, rel=1e-3)
    short = worlds.make_trainer(corpus, steps=1, objective=objective, procedure=Plain({"word": (1.0,)}))
    with pytest.raises(ValueError, match="must be 12, one for each code, got 1"):
        short.fit(progress=False)
    with pytest.raises(ValueError, match="not all 0"):
        Plain({"word": (0.0,)})
    recipe = load_recipe("captions", overrides=["procedure.class_weights.text=[1.0, 2.0]", "objective.weight=class"])
    assert recipe.procedure == Plain({"text": (1.0, 2.0)}) and recipe.objective.weight == "class"
    (tmp_path / "again.yaml").write_text(recipe_yaml(recipe))
    assert load_recipe(tmp_path / "again.yaml") == recipe


def test_class_weights_find_their_level():
    """Streams of one level by their name or its number; others by both."""
    sound = StreamSpec("audio", (2, 3), ("time",), rate_hz=50.0)
    layout = Layout({"text": StreamSpec("text", (4,), ("index",)), "sound": sound})
    weights = {"text": (0.0, 1.0, 2.0, 3.0), "sound.1": (5.0, 6.0, 7.0)}
    found = Plain(weights)._extra(layout)["class_weights"]
    assert {head: one.tolist() for head, one in found.items()} == {0: [0, 1, 2, 3], 2: [5, 6, 7]}
    assert Plain({"text.0": (1.0,) * 4})._extra(layout)["class_weights"][0].tolist() == [1] * 4
    assert Plain({"sound.0": (0.0, 0.5)})._extra(layout)["class_weights"][1].tolist() == [0, 0.5]
    assert Plain()._extra(layout) == {}
    known = r"the levels text\.0, sound\.0, sound\.1, got "
    for name in ("sound", "sound.2", "text.1", "sound.", "smell.0"):
        with pytest.raises(ValueError, match=known + f"'{name}'"):
            Plain({name: (1.0,) * 4})._extra(layout)


@pytest.mark.parametrize("wrong", [(), (0.0, 0.0), (1.0, -0.5)])
def test_class_weights_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="class_weights of 'text' must be numbers from 0 on and not all 0"):
        Plain({"text": wrong})
    assert Plain({"text": (0.0, 0.5)}).class_weights["text"] == (0.0, 0.5)

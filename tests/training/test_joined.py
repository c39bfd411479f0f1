"""Joined records: the training of padded ones, whatever the recipe."""

from dataclasses import replace

import pytest
import torch

from tests.models.outside import ConvConfig
from tests.training import worlds
from tests.worlds import coded, tiny_trainer
from tokenmask.fitting import fit
from tokenmask.models import MaskedModel
from tokenmask.recipes import list_recipes, load_recipe
from tokenmask.run.training import prepare
from tokenmask.training import Trainer, Training


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "corpus"
    worlds.write_corpus(folder)
    return folder


def learned(trainer: Trainer, masked) -> tuple[float, dict[str, torch.Tensor]]:
    trainer.model.zero_grad(set_to_none=True)
    loss = trainer.procedure.loss(trainer.model, masked, trainer.objective, trainer.kept).total
    torch.autograd.backward(loss)
    return float(loss.detach()), {n: p.grad for n, p in trainer.model.named_parameters() if p.grad is not None}


def recipes():
    """One of each mechanism; all in the long form."""
    few = ("captions", "five", "llada", "m2t", "magnet", "momask", "worlddreamer")
    return [name if name in few else pytest.param(name, marks=pytest.mark.slow) for name in list_recipes()]


@pytest.mark.parametrize("name", recipes())
def test_every_recipe_has_the_losses_and_gradients_of_padded_records(name, tmp_path):
    trainer = tiny_trainer(tmp_path, name)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.add_(torch.randn(parameter.shape, generator=generator) * 0.02)
    draw = next(trainer.mixture)
    padded, _ = trainer.preparing.masked(draw, 3)
    joined, _ = replace(trainer.preparing, joined=True).masked(draw, 3)
    assert torch.equal(joined.inputs.ids, padded.inputs.ids) and torch.equal(joined.t, padded.t)
    assert torch.equal(joined.queries.slots, padded.queries.slots)
    loss, gradients = learned(trainer, padded)
    ours, mine = learned(trainer, joined)
    assert ours == pytest.approx(loss, rel=1e-6)
    assert mine.keys() == gradients.keys()
    most = max(float(value.abs().max()) for value in gradients.values())
    for weight, value in gradients.items():
        assert torch.allclose(mine[weight], value, rtol=0, atol=1e-6 * most), weight


def test_a_joined_training_is_the_padded_one_and_resumes_bit_for_bit(corpus, tmp_path):
    padded = worlds.make_trainer(corpus, steps=12).fit(progress=False)
    whole = worlds.make_trainer(corpus, steps=12, records="joined")
    history = whole.fit(tmp_path / "whole", progress=False)
    for step, (one, other) in enumerate(zip(history, padded, strict=True)):
        assert one == pytest.approx(other, rel=1e-5, abs=1e-7), step
    fit(worlds.make_trainer(corpus, steps=12, records="joined"), steps=7, folder=tmp_path / "cut", progress=False)
    again = worlds.make_trainer(corpus, steps=12, records="joined")
    assert again.fit(tmp_path / "cut", progress=False) == history
    assert worlds.files(tmp_path / "cut") == worlds.files(tmp_path / "whole")
    parts = worlds.make_trainer(corpus, steps=12, records="joined", accumulate=3).fit(progress=False)
    assert [one["loss"] for one in parts] == pytest.approx([one["loss"] for one in padded], rel=1e-5)


def test_mixed_lengths_are_taken_as_they_are_drawn(tmp_path):
    trainers = {}
    for lengths in ("alike", "mixed"):
        recipe = load_recipe(
            "captions", tiny=True, overrides=[f"training.lengths={lengths}", "training.records=joined"]
        )
        trainers[lengths] = prepare(tmp_path / lengths, recipe, *coded(tmp_path / lengths, recipe))
    mixed = [next(trainers["mixed"].mixture) for _ in range(20)]
    assert sorted(int(draw.sample_ids[0]) for draw in mixed) != [int(draw.sample_ids[0]) for draw in mixed]  # shuffled
    assert all((draw.sample_ids.diff() == 1).all() for draw in mixed)  # and inside a batch as drawn
    assert not all((next(trainers["alike"].mixture).sample_ids.diff() == 1).all() for _ in range(20))


def test_what_cannot_be_joined_is_refused(corpus):
    with pytest.raises(ValueError, match=r"training.records joined gives blocks another shape .* training.compile"):
        Training(records="joined", compile="blocks")
    trainer = worlds.make_trainer(corpus)
    with pytest.raises(ValueError, match=r"training.records joined needs a backbone that .* but Conv can't; leave it"):
        Trainer(
            MaskedModel.create(ConvConfig(), worlds.LAYOUT),
            trainer.mixture,
            packing=trainer.packing,
            conditioning=trainer.preparing.conditioning,
            masker=trainer.preparing.masker,
            objective=trainer.objective,
            training=Training(records="joined"),
        )

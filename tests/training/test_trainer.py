"""Trainer: learns, resumes bit for bit, and is judged beside a unigram."""

import math
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.training import worlds
from tokenmask.corpus import HELD_OUT, TRAIN, Corpus, statistics
from tokenmask.fitting import fit
from tokenmask.training import Training, held_out_scores


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "corpus"
    worlds.write_corpus(folder)
    return folder


@pytest.fixture(scope="module")
def trained(corpus):
    trainer = worlds.make_trainer(corpus, steps=120, batch_size=24)
    return trainer, trainer.fit(progress=False)


def test_learns_what_the_streams_tell_of_each_other(trained, corpus):
    trainer, history = trained
    early, late = (sum(step["loss"] for step in part) / 10 for part in (history[:10], history[-10:]))
    assert late < 0.5 * early
    records = list(Corpus(corpus, split=HELD_OUT))
    counts = statistics(Corpus(corpus, split=TRAIN))
    scores = {(s.stream, s.given): s for s in held_out_scores(trainer.model, trainer.packing, records, counts)}
    assert set(scores) == {("word", ()), ("word", ("picture",)), ("picture", ()), ("picture", ("word",))}
    for score in scores.values():
        assert score.cross_entropy < score.unigram and score.margin > 5 * score.margin_error
        assert score.num_records == len(records) == 20
    given, alone = scores["picture", ("word",)], scores["picture", ()]
    assert given.cross_entropy < alone.cross_entropy - 0.2 and given.num_codes == alone.num_codes
    assert given.gain > 5 * given.gain_error and alone.gain is None
    again = held_out_scores(trainer.model, trainer.packing, records, counts, batch_size=7)
    assert [a.num_codes for a in again] == [s.num_codes for s in scores.values()]
    for mine, other in zip(again, scores.values(), strict=True):
        assert mine.cross_entropy == pytest.approx(other.cross_entropy, rel=1e-5)


def test_resumes_bit_for_bit(corpus, tmp_path):
    whole = worlds.make_trainer(corpus, steps=12)
    history = whole.fit(tmp_path / "whole", progress=False)
    first = worlds.make_trainer(corpus, steps=12)
    fit(first, steps=7, folder=tmp_path / "cut", checkpoint_every=4, progress=False)
    second = worlds.make_trainer(corpus, steps=12)
    assert second.fit(tmp_path / "cut", progress=False) == history
    assert worlds.files(tmp_path / "cut") == worlds.files(tmp_path / "whole")
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])


def test_recomputing_gives_the_same_run(corpus):
    kept, spared = (worlds.make_trainer(corpus, steps=4, recompute=recompute) for recompute in (False, True))
    assert all(block.feed_forward.spares for block in spared.model.backbone.blocks)
    assert kept.fit(progress=False) == spared.fit(progress=False)
    for name, value in kept.model.state_dict().items():
        assert torch.equal(value, spared.model.state_dict()[name])


def test_killed_at_random_moments_and_resumed_it_is_the_same_run(tmp_path):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.training.worlds", str(tmp_path), "16"]
    root = Path(__file__).parents[2]
    subprocess.run(command, check=True, timeout=180, env=environment, cwd=root)


def test_a_checkpoint_of_another_layout_is_refused(corpus, tmp_path):
    trainer = worlds.make_trainer(corpus, steps=4)
    tensors, about = trainer.state()
    wider = trainer.layout.replace("word", replace(worlds.WORD, fingerprint="others"))
    with pytest.raises(ValueError, match="layout it was started with"):
        trainer.load_state(tensors, {**about, "layout": wider.to_json()})


def test_learning_rate_warms_up_and_falls_along_a_cosine():
    training = Training(steps=110, warmup_steps=10, peak_lr=1.0, final_lr_share=0.1)
    assert training.lr(0) == pytest.approx(0.1) and training.lr(9) == pytest.approx(1.0)
    assert training.lr(60) == pytest.approx(0.55) and training.lr(110) == pytest.approx(0.1)
    assert all(training.lr(step) > training.lr(step + 1) for step in range(10, 109))


def test_learning_rate_is_held_and_falls_in_the_last_part():
    training = Training(steps=110, warmup_steps=10, peak_lr=1.0, final_lr_share=0.1, decay_share=0.4)
    assert training.lr(9) == training.lr(10) == training.lr(69) == training.lr(70) == 1.0
    assert [training.lr(step) for step in (80, 90, 100, 110)] == pytest.approx([0.868198, 0.55, 0.231802, 0.1])
    assert all(training.lr(step) > training.lr(step + 1) for step in range(70, 109))


def test_learning_rate_that_falls_from_the_warm_up_on_is_that_of_earlier_versions():
    training = Training(steps=777, warmup_steps=13, peak_lr=3e-3)
    for step in range(13, 777):
        share = 0.05 + (1 - 0.05) * (1 + math.cos(math.pi * ((step - 13) / (777 - 13)))) / 2
        assert training.lr(step) == 3e-3 * share


WRONG = [
    {"steps": 0},
    {"batch_size": 0},
    {"peak_lr": 0.0},
    {"checkpoint_every": 0},
    {"decay_share": 0.0},
    {"accumulate": 33},
]


@pytest.mark.parametrize("options", [*WRONG, {"decay_share": 1.5}, {"accumulate": 33}])
def test_wrong_training_gets_one_sentence(options):
    with pytest.raises(ValueError, match=r"^training"):
        Training(**options)


def test_epochs_are_steps_of_the_records_that_there_are():
    """180 records in batches of 8: 22.5 a pass."""
    training = Training(epochs=2, batch_size=8)
    assert training.of_records(180).steps == 45 and training.of_records(180).epochs == 2
    assert Training(epochs=0.1, batch_size=8).of_records(180).steps == 3
    assert Training(epochs=0.001, batch_size=8).of_records(180).steps == 1
    assert Training(steps=7).of_records(180) == Training(steps=7)
    for wrong in (-1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match=r"training\.epochs must be at least 0, got .*; 0 counts"):
            Training(epochs=wrong)


@pytest.mark.parametrize("count", [2, 3, 8])
def test_parts_of_a_batch_train_as_the_whole(count, corpus):
    whole, parts = (worlds.make_trainer(corpus, accumulate=one, prefetch=0) for one in (1, count))
    assert len(worlds.make_trainer(corpus, prefetch=0).prepared(0).parts(count + 42)) == 8
    assert len(worlds.make_trainer(corpus, prefetch=0).prepared(0).parts(count)) == count
    for step in range(4):
        assert parts.step(step) == pytest.approx(whole.step(step), rel=2e-5), step

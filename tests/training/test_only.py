"""training.only: the rows of some streams move, all else stays bit for bit, and a stop changes nothing."""

import pytest
import torch

from tests.training import worlds
from tokenmask.fitting import fit


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "corpus"
    worlds.write_corpus(folder)
    return folder


def moved(before, trainer):
    """Names of tensors -> numbers of the rows that differ."""
    after = trainer.model.state_dict()
    rows = {
        name: (before[name] != value).reshape(len(value), -1).any(1) for name, value in after.items() if value.dim()
    }
    return {name: found.nonzero().flatten().tolist() for name, found in rows.items() if bool(found.any())}


@pytest.mark.parametrize("muon", [False, True])
def test_only_the_rows_of_the_stream_move(corpus, muon):
    trainer = worlds.make_trainer(corpus, steps=4, only=("picture",), muon=muon)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    losses = [one["loss"] for one in trainer.fit(progress=False)]
    held = worlds.LAYOUT.range("picture")
    ids, rows = set(range(held.offset, held.offset + held.size + 1)), trainer.model.layout_rows()
    found = moved(before, trainer)
    assert set(found) <= {*rows.ids, *rows.ranges, *rows.streams} and len(losses) == 4
    for name, places in found.items():
        if name in rows.ids:
            assert set(places) <= ids and len(places) >= held.size
        elif name in rows.streams:
            assert places == [1 + worlds.LAYOUT.index("picture")]
        else:
            assert places == [worlds.LAYOUT.head("picture")]
    assert any(name in rows.ids for name in found) and any(name in rows.streams for name in found)


def test_without_it_the_trunk_moves_and_the_rows_that_stay_would_not(corpus):
    """The opposite: so what the test above looks at does move where nothing holds it."""
    trainer = worlds.make_trainer(corpus, steps=2)
    before = {name: value.clone() for name, value in trainer.model.state_dict().items()}
    trainer.fit(progress=False)
    rows, found = trainer.model.layout_rows(), moved(before, trainer)
    assert set(found) - {*rows.ids, *rows.ranges, *rows.streams}
    assert set(found[rows.ids[0]]) & set(range(worlds.LAYOUT.range("word").offset, worlds.LAYOUT.range("word").mask_id))


def test_it_learns_and_resumes_bit_for_bit(corpus, tmp_path):
    whole = worlds.make_trainer(corpus, steps=12, only=("picture",))
    history = whole.fit(tmp_path / "whole", progress=False)
    first = worlds.make_trainer(corpus, steps=12, only=("picture",))
    fit(first, steps=7, folder=tmp_path / "cut", checkpoint_every=4, progress=False)
    second = worlds.make_trainer(corpus, steps=12, only=("picture",))
    assert second.fit(tmp_path / "cut", progress=False) == history
    assert worlds.files(tmp_path / "cut") == worlds.files(tmp_path / "whole")
    for name, value in whole.model.state_dict().items():
        assert torch.equal(value, second.model.state_dict()[name])


def test_a_stream_that_is_not_there_is_refused(corpus):
    with pytest.raises(ValueError, match=r"must name streams of the model \(word, picture\), got sound; take it out"):
        worlds.make_trainer(corpus, only=("sound",))

"""A run that starts from another: what it has from there besides weights."""

import tokenmask as tm
from tokenmask.corpus import build_corpus
from tokenmask.demo import items
from tokenmask.recipes import load_recipe
from tokenmask.run import SHIPPED, train


def test_names_of_electrodes_and_lengths_come_with_the_weights(tmp_path):
    """The demo trains on motions alone and then draws EEG."""
    shipped = tm.load()
    tokenizers = {name: shipped.tokenizers[name] for name in (*items.STREAMS, "label")}
    pair = {name: tokenizers[name] for name in ("text", "motion")}
    records = items.corpora()["motion"][:4]
    build_corpus(records, pair, tmp_path / "corpus", progress=False, on_error="raise")
    recipe = load_recipe("five", overrides=["training.steps=1", "training.batch_size=2"])
    corpora = [(tmp_path / "corpus", 1.0)]
    alone = train(tmp_path / "alone", recipe, tokenizers, corpora, progress=False)
    assert alone.labels == {} and ("eeg",) not in alone.lengths.seen
    run = train(tmp_path / "started", recipe, tokenizers, corpora, start=SHIPPED, progress=False)
    assert shipped.labels["eeg"]["channel"] and run.labels == shipped.labels
    assert run.lengths.seen["motion", "text"] == alone.lengths.seen["motion", "text"]
    assert run.lengths.seen["eeg", "label"] == shipped.lengths.seen["eeg", "label"]
    assert set(run.lengths.shares) == set(shipped.lengths.shares)

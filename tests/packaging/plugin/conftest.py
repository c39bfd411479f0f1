"""Verses as a corpus, once for all checks of the package."""

import pytest

from tests.worlds import tokenizers
from tokenmask import data
from tokenmask.corpus import HELD_OUT, TRAIN, Item, build_corpus
from tokenmask.modalities.text import Text


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    place = tmp_path_factory.mktemp("words")
    verses = [Text(verse) for verse in data.gospel_verses()[:300]]
    splits = [HELD_OUT if number % 10 == 9 else TRAIN for number in range(len(verses))]
    items = [Item(str(n), {"text": verse}, split) for n, (verse, split) in enumerate(zip(verses, splits, strict=True))]
    build_corpus(items, {"text": tokenizers()["text"]}, place / "corpus", progress=False, on_error="raise")
    return place / "corpus"

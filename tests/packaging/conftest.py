"""examples/plugin, installed as its users install it, once for all tests that need it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.worlds import tokenizers
from tokenmask import data
from tokenmask.corpus import HELD_OUT, TRAIN, Item, build_corpus
from tokenmask.modalities.text import Text

PLUGIN = Path(__file__).parents[2] / "examples" / "plugin"


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """Where the package is installed, by pip."""
    place = tmp_path_factory.mktemp("plugin")
    shutil.copytree(PLUGIN, place / "source", ignore=shutil.ignore_patterns("build", "*.egg-info", "__pycache__"))
    install = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps", "--no-build-isolation"]
    subprocess.run([*install, "--target", place / "site", place / "source"], check=True, capture_output=True)
    return place / "site"


@pytest.fixture
def installed(site, monkeypatch):
    """This process sees the installed package, for one test."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(site))
    yield
    for name in set(sys.modules) - before:
        if name.partition(".")[0] == "tokenmask_example":
            del sys.modules[name]


@pytest.fixture(scope="session")
def corpus(tmp_path_factory):
    place = tmp_path_factory.mktemp("words")
    verses = [Text(verse) for verse in data.gospel_verses()[:300]]
    splits = [HELD_OUT if number % 10 == 9 else TRAIN for number in range(len(verses))]
    items = [Item(str(n), {"text": verse}, split) for n, (verse, split) in enumerate(zip(verses, splits, strict=True))]
    build_corpus(items, {"text": tokenizers()["text"]}, place / "corpus", progress=False, on_error="raise")
    return place / "corpus"

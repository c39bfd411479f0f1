"""What the tests of commands share: a place like the demo's, hardly trained, and forty captioned pictures."""

import json
from pathlib import Path

import pytest
from PIL import Image as Picture

from tests.worlds import emoji, tokenizers
from tokenmask import data
from tokenmask.cli import main
from tokenmask.corpus import HELD_OUT, TRAIN, Item, build_corpus
from tokenmask.modalities.image import Image
from tokenmask.modalities.text import Text
from tokenmask.recipes import load_recipe
from tokenmask.run import Run, train

SAMPLES = ("blue-heart", "dog-face", "sun", "pizza", "red-apple", "grinning-face", "full-moon", "rose")


@pytest.fixture(scope="session")
def options(tmp_path_factory) -> tuple[str, ...]:
    """The options that name the two tokenizers."""
    folder = tmp_path_factory.mktemp("tokenizers")
    for name, tokenizer in tokenizers().items():
        tokenizer.save(folder / name)
    return ("--tokenizer", f"text={folder / 'text'}", "--tokenizer", f"image={folder / 'image'}")


@pytest.fixture(scope="session")
def workplace(tmp_path_factory) -> Path:
    """A folder with ``runs/demo`` in it, as ``tokenmask demo`` leaves it."""
    place = tmp_path_factory.mktemp("workplace")
    folder = place / "runs/demo"
    (folder / "samples").mkdir(parents=True)
    pairs = []
    for entry, name in zip(emoji(), [*SAMPLES, *[""] * len(emoji())], strict=False):
        path = folder / "samples" / f"{name}.png"
        if name:
            Picture.fromarray(entry.pixels).save(path)
        pairs.append((entry, Image.from_pillow(Picture.fromarray(entry.pixels))))
    captioned = [Item(e.name, {"text": Text(e.name), "image": image}, e.split) for e, image in pairs]
    verses = [
        Item(f"verse {number}", {"text": Text(verse)}, HELD_OUT if number >= 50 else TRAIN)
        for number, verse in enumerate(data.gospel_verses()[:60])
    ]
    build_corpus(captioned, tokenizers(), folder / "corpus/emoji", progress=False)
    build_corpus(verses, {"text": tokenizers()["text"]}, folder / "corpus/verses", progress=False)
    recipe = load_recipe("captions", tiny=True, overrides=["training.steps=4"])
    corpora = [(folder / "corpus/emoji", 3.0), (folder / "corpus/verses", 1.0)]
    train(folder, recipe, tokenizers(), corpora, progress=False)
    return place


@pytest.fixture(scope="session")
def run(workplace) -> Run:
    return Run.load(workplace / "runs/demo")


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """Forty pictures with captions, and a manifest of them."""
    folder = tmp_path_factory.mktemp("pictures")
    rows = []
    for number, entry in enumerate(emoji()[:40]):
        Picture.fromarray(entry.pixels).save(folder / f"{number:02}.png")
        (folder / f"{number:02}.txt").write_text(entry.name + "\n")
        rows.append({"image": f"{number:02}.png", "text": entry.name, "key": f"k{number}", "year": 2020})
    (folder / "manifest.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n")
    return folder


@pytest.fixture
def call():
    """Runs a command in this process."""
    return lambda *words: main([str(word) for word in words])


@pytest.fixture
def refusal(call, capsys):
    """The sentence of a command that must fail with code 2."""

    def refused(*words: object) -> str:
        capsys.readouterr()
        assert call(*words) == 2
        text: str = capsys.readouterr().err
        last = text.splitlines()[-1]
        assert last.startswith("tokenmask: ") and text.count("tokenmask: ") == 1 and "Traceback" not in text
        return last

    return refused


@pytest.fixture
def spoilt(tmp_path) -> Path:
    """A folder of things that go wrong: empty, cut short, not what they say."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty.txt").write_text("")
    (tmp_path / "words.txt").write_text("a\nb\n")
    (tmp_path / "long.txt").write_text("long " * 400 + "\n" + "long " * 400)
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9\n")
    (tmp_path / "bad.jsonl").write_text("{oh\n")
    (tmp_path / "number.jsonl").write_text('{"text": 3}\n')
    (tmp_path / "split.jsonl").write_text('{"text": "a", "split": "all"}\n')
    whole = tmp_path / "whole.png"
    Picture.fromarray(emoji()[0].pixels).save(whole)
    (tmp_path / "cut.png").write_bytes(whole.read_bytes()[:200])
    (tmp_path / "recipe.yaml").write_text("streams: [\n")
    return tmp_path

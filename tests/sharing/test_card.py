"""The model card and what is shared: what a run is, in words, and nothing that could run."""

import json
import re
from dataclasses import replace

import pytest
import yaml
from PIL import Image as pillow
from safetensors.torch import save_file

import tokenmask as tm
from tests.modalities import small_cosmos
from tests.worlds import tiny_run, tokenizers
from tokenmask.analysis.figures import Evaluation, Figure, StreamFigures
from tokenmask.cli import main
from tokenmask.modalities.image import ImageTokenizer
from tokenmask.recipes.recipe import StreamOptions
from tokenmask.sharing import card_text, files_of, stage
from tokenmask.sharing.staging import belongs, check_harmless


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return tiny_run(tmp_path_factory.mktemp("run") / "mine", "captions", steps=3)


def front_of(text: str) -> dict:
    return yaml.safe_load(re.match(r"---\n(.*?)---\n", text, re.S)[1])


def test_a_card_says_what_the_run_is(run):
    card = tm.Card("My <run>", "CC-BY-4.0", {"em|oji": "apache-2.0"}, ["No faces."])
    text = card_text(run, card)
    assert front_of(text) == {
        "license": "cc-by-4.0",
        "library_name": "tokenmask",
        "tags": ["masked-modeling", "discrete-tokens", "text", "image"],
        "pipeline_tag": "any-to-any",
    }
    assert "# My &lt;run>\n" in text and "- em\\|oji: apache-2.0\n" in text and "- No faces.\n" in text
    assert "| image | image | 1 level(s) of 64 | ImageTokenizer |" in text
    assert "trained for 3 steps of" in text and "None were measured" in text
    counts = re.search(r"- Corpus `emoji`, weight 1: (\d+) training and (\d+) held-out records of text, image\.", text)
    assert [int(one) for one in counts.groups()] == [len(run.records(split)) for split in ("train", "held-out")]
    assert str(run.folder) not in text
    assert "Sources and their licences are not stated" in card_text(run, tm.Card("x"))


@pytest.mark.parametrize(
    ("fields", "kind", "sentence"),
    [
        ({"title": 3}, TypeError, "title of a card must be words, got 3"),
        ({"licence": None}, TypeError, "licence of a card must be words, got None"),
        ({"data": "mit"}, TypeError, "a licence for each source, got 'mit'; write a dict"),
        ({"data": {"emoji": 3}}, TypeError, "the licence of 'emoji' in data of a card must be words, got 3"),
        ({"limits": "none"}, TypeError, r"a list of sentences, got 'none'; write \['none'\]"),
        ({"samples": float("nan")}, TypeError, "samples of a card must be a whole number, got nan"),
        ({"samples": -1}, ValueError, r"samples of a card must be in 0\.\.100, got -1; 0 draws none"),
        ({"samples": 10**12}, ValueError, r"in 0\.\.100, got 1000000000000"),
    ],
)
def test_what_is_no_card_is_refused(fields, kind, sentence):
    with pytest.raises(kind, match=sentence):
        tm.Card(**fields)


def test_nothing_is_written_without_a_folder_or_a_card(run, tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder, card, kind, sentence in (
        ("", None, TypeError, "folder must be the path of a run folder, got ''; name one"),
        (3, None, TypeError, "the path of a run folder, got 3"),
        (
            tmp_path / "file" / "deep",
            None,
            ValueError,
            "a run is saved as a folder, but .*file is a file; name another",
        ),
        (tmp_path / "new", "a title", TypeError, "card must be a Card, got 'a title'"),
    ):
        with pytest.raises(kind, match=sentence):
            run.save(folder, card=card)
    assert [one.name for one in tmp_path.iterdir()] == ["file"] and (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["small", "me/a/b", "", "me/"])
def test_a_name_that_no_hub_has_is_refused_dry_too(run, name, capsys):
    assert main(["push", str(run.folder), name, "--dry-run"]) == 2
    told = capsys.readouterr()
    assert f'a run on a hub is called "user/name", got {name!r}; write it so' in told.err and told.out == ""


def test_figures_are_told_of_the_weights_that_they_were_measured_on(run, tmp_path):
    (made := run.save(tmp_path / "own"))
    bits = Figure("bits a code", 5.25, (5.0, 5.5), 22, "held-out records", "unigram 5.5")
    Evaluation((StreamFigures("image", "image", "", (bits,)),), (), {"seed": 0}).save(made.folder / "evaluation.json")
    told = card_text(made, tm.Card("x"))
    assert "| bits a code | 5.25 | 5 .. 5.5 | 22 held-out records | unigram 5.5 |" in told
    other = made.swap_tokenizer("image", tokenizers()["image"], media=[])
    assert other.fresh == ("image",) and "None were measured" in card_text(other, tm.Card("x"))
    assert "The rows of image are new" in card_text(other, tm.Card("x"))


def test_a_saved_run_has_a_card_and_samples_that_open(run, tmp_path):
    saved = run.save(tmp_path / "own", card=tm.Card(samples=2, seed=1))
    text = (saved.folder / "README.md").read_text(encoding="utf-8")
    assert "# own\n" in text and text.count("**text, given image**: \u201c") == 2
    shown = re.findall(r"\*\*image, given text \u201c[^\u201d]+\u201d\*\*: !\[image\]\((samples/image-\d\.png)\)", text)
    assert shown == ["samples/image-0.png", "samples/image-1.png"]
    for name in shown:
        with pillow.open(saved.folder / name) as picture:
            assert picture.size == (32, 32)
    (saved.folder / "README.md").write_text("mine")
    run.save(tmp_path / "own")
    assert (saved.folder / "README.md").read_text() == "mine"  # a person's words stay
    with pytest.raises(ValueError, match=r"samples of a card must be in 0\.\.100, got -1"):
        tm.Card(samples=-1)


def test_no_path_of_this_machine_is_shared(run, tmp_path):
    """Neither where a published tokenizer came from nor what a recipe fits it from; a reference there is refused."""
    home = tmp_path / "here"
    home.mkdir()
    save_file(small_cosmos.weights(), home / "model.safetensors")
    (home / "config.json").write_text(json.dumps({"levels": small_cosmos.LEVELS}))
    own = run.swap_tokenizer("image", tm.tokenizer("cosmos", home, size=16), media=list(run.generate("image", seed=0)))
    streams = {**own.recipe.streams, "image": StreamOptions("cosmos", {"source": str(home), "size": 16})}
    own = replace(own, recipe=replace(own.recipe, streams=streams)).save(tmp_path / "own")
    names = stage(own, tmp_path / "sent")
    assert "tokenizers/image/tensors.safetensors" in names
    for name in names:
        assert str(tmp_path).encode() not in (tmp_path / "sent" / name).read_bytes(), name
    assert tm.load(tmp_path / "sent").recipe.streams["image"].fit["source"] == "here"
    light = own.swap_tokenizer("image", tm.tokenizer("cosmos", home, size=16, keep="reference"), media=[])
    with pytest.raises(ValueError, match=r"must open elsewhere, but its tokenizer of 'image' refers to .*here; swap"):
        stage(light, tmp_path / "light")


def test_what_is_shared_is_its_own_files_alone(run, tmp_path):
    names = stage(run, tmp_path / "sent")
    assert names == files_of(tmp_path / "sent") and all(belongs(name) for name in names)
    assert {name.partition("/")[0] for name in names} == {
        *("README.md", "recipe.yaml", "layout.json", "run.json", "lengths.safetensors", "models", "tokenizers")
    }
    assert (run.folder / "checkpoint.safetensors").is_file() or (run.folder / "metrics.jsonl").is_file()
    text = b"".join((tmp_path / "sent" / name).read_bytes() for name in names)
    assert str(run.folder).encode() not in text and b"corpus/emoji" not in text
    opened = tm.load(tmp_path / "sent")
    asked = {"given": {"text": "sun"}, "steps": 2, "seed": 1}
    assert opened.generate_tokens("image", **asked) == run.generate_tokens("image", **asked) and opened.corpora == ()
    assert opened.lengths.seen == run.lengths.seen and ("text", "image") in run.lengths.seen


def test_the_card_of_a_person_is_sent_as_it_is(run, tmp_path):
    home = run.save(tmp_path / "home")
    (home.folder / "README.md").write_text("---\nlicense: mit\n---\nmine")
    stage(home, tmp_path / "sent")
    assert (tmp_path / "sent" / "README.md").read_text() == "---\nlicense: mit\n---\nmine"
    stage(home, tmp_path / "other", tm.Card(title="Made"))
    assert "# Made" in (tmp_path / "other" / "README.md").read_text()


@pytest.mark.parametrize(
    ("name", "content"), [("a.bin", b"x"), ("a.PKL", b"x"), ("a", b"\x80\x04."), ("a", b"#!/bin/sh"), ("a.py", b"")]
)
def test_what_could_run_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"a shared run holds data only, but {name} may run"):
        check_harmless(tmp_path / name, name)


def test_a_foreign_tokenizer_that_keeps_a_pickle_is_not_sent(run, tmp_path, monkeypatch):
    usual = ImageTokenizer.save

    def pickling(self, folder):
        usual(self, folder)
        (folder / "more").write_bytes(b"\x80\x05\x95")

    monkeypatch.setattr(ImageTokenizer, "save", pickling)
    with pytest.raises(ValueError, match="but tokenizers/image/more may run a program"):
        stage(run, tmp_path / "sent")


def test_names_of_files_of_a_run():
    good = ["run.json", "README.md", "models/main.safetensors", "tokenizers/a/b.json", "samples/x.png"]
    bad = [
        "notes.txt",
        "/run.json",
        "models/main.bin",
        "tokenizers/../x",
        ".git/x",
        "tokenizers/.x",
        "a\\b",
        "corpus/x",
    ]
    assert [belongs(name) for name in good + bad] == [True] * len(good) + [False] * len(bad)

"""Captions in one object of JSON, by the names of the files that they are of."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.laid_out import BOTH, SPOKEN, png, put, read, wav, words_of
from tokenmask.cli.layouts import find
from tokenmask.cli.sources import items, unseen


def test_captions_by_names_of_pictures(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, {f"{number}.png": png(number) for number in range(4)})
    told = {"0.png": "red heart", "1": ["a dog", "a brown dog"], "2.png": {"caption": "a sea", "tags": ["blue"]}}
    put(tmp_path, {"captions.json": json.dumps(told)})
    found = items([tmp_path], BOTH)
    wanted = {"0.png": ("red heart", 0), "1.png": ("a dog", 1), "1.png#2": ("a brown dog", 1), "2.png": ("a sea", 2)}
    assert words_of(found) == wanted
    assert [item.metadata for item in found][-1] == {"tags": ["blue"]}
    said = capsys.readouterr().out
    assert "is read as captions.json (captions by names of files): 4 items" in said
    assert "left out: 1 that no caption is given for (3.png)" in said
    assert unseen([tmp_path], found) == ", 1 file not looked at (.png)"


@pytest.mark.parametrize("name", ["labels.json", "captions_train.json", "meta_cap.json"])
def test_a_list_is_known_by_its_names_of_files_or_its_own(tmp_path: Path, name: str) -> None:
    put(tmp_path / "images", {f"{number}.png": png(number) for number in range(2)})
    put(tmp_path, {name: json.dumps({"0.png": "zero", str((tmp_path / "images/1.png").resolve()): "one"})})
    wanted = {"images/0.png": ("zero", 0), "images/1.png": ("one", 1)}
    assert words_of(items([tmp_path], BOTH)) == wanted


def test_lists_of_splits_and_sounds(tmp_path: Path) -> None:
    for number, split in enumerate(("train", "val")):
        put(tmp_path / split, {"1.wav": wav(number), "captions.json": json.dumps({"1.wav": f"words {number}"})})
    wanted = {"train/1.wav": ("words 0", 0, "train"), "val/1.wav": ("words 1", 1, "held-out")}
    assert read(items([tmp_path], SPOKEN)) == wanted


def test_wrong_entries_fail_alone_and_names_that_come_again_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    put(tmp_path, {f"{number}.png": png(number) for number in range(3)})
    text = (
        '{"0.png": "old", "0.png": "new", "1.png": {"tags": 3}, "gone.png": "x", "2.png": [["deep"]], "../0.png": "y"}'
    )
    put(tmp_path, {"captions.json": text})
    good, wrong = {}, {}
    for item in items([tmp_path], BOTH):
        try:
            good |= read([item])
        except ValueError as error:
            wrong[item.key.partition("/")[2]] = str(error)
    assert {key: words for key, (words, *_) in good.items()} == {"0.png": "new", "1.png": None}
    table = tmp_path / "captions.json"
    sentence = f"{table} must name files that are there, each by a name of its own, but '{{}}' is none; write its path"
    sentence += " below the folder, or take it out"
    assert wrong == {
        "captions.json:3": sentence.format("gone.png"),
        "captions.json:4": f"{table}, '2.png': words must be a string or a list of strings, got ['deep'] among them; "
        "mend it",
        "captions.json:5": sentence.format("../0.png"),
    }
    assert "captions.json names 0.png again; the last counts" in capsys.readouterr().out


def test_what_is_no_list_of_captions(tmp_path: Path) -> None:
    put(tmp_path, {"0.png": png(0), "captions.json": '{"0.png": "cut'})
    with pytest.raises(ValueError, match=r"captions\.json must be an object of JSON, .* mend it, or take it out"):
        items([tmp_path], BOTH)
    for others in ({"captions.json": '{"a": 1}'}, {"captions.json": '{"0.png": "x"}', "0.txt": "own words"}):
        put(tmp_path, others)
        assert find(tmp_path, ["text", "image"]) is None
    assert find(tmp_path, ["image"]) is None


def test_null_for_a_caption_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, {f"{number}.png": png(number) for number in range(4)})
    told = {"0.png": None, "1.png": "one", "2.png": [None, " "], "3.png": {"caption": None}}
    put(tmp_path, {"captions.json": json.dumps(told)})
    wanted = {"0.png": (None, 0), "1.png": ("one", 1), "2.png": (None, 2), "3.png": (None, 3)}
    assert words_of(items([tmp_path], BOTH)) == wanted
    assert "  3 have null or blanks for a caption, so no words (0.png, ...)\n" in capsys.readouterr().out

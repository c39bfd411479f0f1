"""Sounds and pictures of which a table or a neighbour tells the words in a form of its own."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.laid_out import BOTH, SPOKEN, png, put, read, wav, words_of
from tokenmask.cli.sources import items


def test_clotho_has_a_record_for_each_of_five_captions(tmp_path: Path) -> None:
    head = "file_name," + ",".join(f"caption_{number}" for number in range(1, 6))
    put(tmp_path / "d", {"clotho_captions.csv": f"{head}\na b.wav,one,two,,nan,five\n", "sounds/a b.wav": wav(0)})
    found = items([tmp_path / "d"], SPOKEN)
    assert [(item.key, item.media["text"].value) for item in found] == [
        ("d/sounds/a b.wav", "one"),
        ("d/sounds/a b.wav#2", "two"),
        ("d/sounds/a b.wav#3", "five"),
    ]
    assert found[0].metadata == {}


def test_urbansound_has_its_sounds_in_folders_of_folds(tmp_path: Path) -> None:
    rows = "slice_file_name,fsID,fold,classID,class\n1-3-0-0.wav,1,1,3,dog_bark\n2-1-0-0.wav,2,2,1,car_horn\n"
    sounds = {"audio/fold1/1-3-0-0.wav": wav(0), "audio/fold2/2-1-0-0.wav": wav(1)}
    put(tmp_path / "d", {"metadata/UrbanSound8K.csv": rows, **sounds})
    found = items([tmp_path / "d"], SPOKEN)
    assert words_of(found) == {"audio/fold1/1-3-0-0.wav": ("dog_bark", 0), "audio/fold2/2-1-0-0.wav": ("car_horn", 1)}
    assert [item.metadata["fold"] for item in found] == ["1", "2"]


def test_ids_of_coco_are_the_same_in_quotes(tmp_path: Path) -> None:
    held = {
        "images": [{"id": 7, "file_name": "0.png"}, {"id": "8", "file_name": "1.png"}],
        "annotations": [{"id": 1, "image_id": "7", "caption": "red"}, {"id": 2, "image_id": 8, "caption": "green"}],
    }
    put(tmp_path, {"annotations/captions_val.json": json.dumps(held), "val/0.png": png(0), "val/1.png": png(1)})
    assert words_of(items([tmp_path], BOTH)) == {"val/1": ("red", 0), "val/2": ("green", 1)}


def test_libritts_has_its_words_normalized(tmp_path: Path) -> None:
    held = {"1_2_0.wav": wav(0), "1_2_0.normalized.txt": "twenty\n", "1_2_0.original.txt": "20\n", "1_2_1.wav": wav(1)}
    for split in ("train-clean-100", "dev-clean"):
        put(tmp_path / split / "1" / "2", held)
    assert read(items([tmp_path], SPOKEN)) == {
        "train-clean-100/1/2/1_2_0": ("twenty", 0, "train"),
        "train-clean-100/1/2/1_2_1": (None, 1, "train"),
        "dev-clean/1/2/1_2_0": ("twenty", 0, "held-out"),
        "dev-clean/1/2/1_2_1": (None, 1, "held-out"),
    }


def test_objects_beside_pictures_have_their_words(tmp_path: Path) -> None:
    about = [{"caption": "red", "url": "x"}, {"caption": ["green", "g"], "width": 4}, {"caption": None, "url": "y"}]
    files: dict[str, str | bytes] = {f"0000/{number}.png": png(number) for number in range(4)}
    files |= {f"0000/{number}.json": json.dumps(one) for number, one in enumerate(about)}
    put(tmp_path, {**files, "0000/3.json": "{"})
    found = {item.key.partition("/")[2]: item for item in items([tmp_path], BOTH)}
    broken = found.pop("0000/3.png")
    assert words_of(found.values()) == {
        "0000/0.png": ("red", 0),
        "0000/1.png": ("green", 1),
        "0000/1.png#2": ("g", 1),
        "0000/2.png": (None, 2),
    }
    assert [item.metadata for item in found.values()] == [
        {"url": "x"},
        {"width": 4},
        {"width": 4},
        {"caption": None, "url": "y"},
    ]
    with pytest.raises(ValueError, match=r"0000/3\.json must be an object of JSON"):
        next(iter(broken.media.values()))()


def test_objects_without_words_beside_sounds_are_no_layout(tmp_path: Path) -> None:
    put(tmp_path, {"a.wav": wav(0), "a.json": '{"rate": 16000}', "b.wav": wav(1), "b.txt": "of b"})
    assert words_of(items([tmp_path], SPOKEN)) == {"a.wav": (None, 0), "b.wav": ("of b", 1)}


@pytest.mark.parametrize(
    ("above", "head"),
    [
        ("# Segments, created\n# num=2, labels=3\n", "# YTID, start, labels"),
        ("# one\n# of, three\n", "YTID, start, labels"),
    ],
)
def test_audioset_has_comments_above_its_names(tmp_path: Path, above: str, head: str) -> None:
    rows = '--PJ, 30.000, "/m/1,/m/2"\nxyz, 0.000, "/m/3"\n'
    put(tmp_path, {"eval.csv": f"{above}{head}\n{rows}", "--PJ.wav": wav(0), "xyz.wav": wav(1)})
    with pytest.warns(UserWarning, match=r"eval\.csv: passed over above its names: 2 lines of comment \(#\)"):
        found = items([tmp_path], SPOKEN, columns={"text": "labels"})
    assert {item.key.partition("/")[2]: item.media["text"].value for item in found} == {
        "--PJ.wav": "/m/1,/m/2",
        "xyz.wav": "/m/3",
    }
    assert [item.metadata for item in found] == [{"start": "30.000"}, {"start": "0.000"}]


def test_names_that_begin_with_a_sign_are_no_comment(tmp_path: Path) -> None:
    put(tmp_path, {"m.csv": "#,text\n1,one\n"})
    (item,) = items([tmp_path / "m.csv"], {"text": "text"})
    assert item.media["text"].value == "one" and item.metadata == {"#": "1"}

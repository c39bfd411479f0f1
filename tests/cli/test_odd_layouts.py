"""Layouts that say things twice, say nothing, or name what is not there: each is told, or fails alone."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.laid_out import BOTH, SPOKEN, png, put, wav
from tokenmask.cli.manifests import rows
from tokenmask.cli.sources import items

TWO = {"1.wav": wav(0), "2.wav": wav(1)}
pytestmark = pytest.mark.filterwarnings("ignore:.*a constant 0.25 of full scale")


def read(folder: Path, streams: dict[str, str]) -> tuple[dict[str, str | None], list[str]]:
    """Words by key without the folder's name, and what is wrong with the others; all media are read."""
    good: dict[str, str | None] = {}
    wrong: list[str] = []
    for item in items([folder], streams):
        try:
            held = {name: loader() for name, loader in item.media.items()}
        except ValueError as error:
            wrong.append(str(error))
        else:
            good[item.key.partition("/")[2]] = str(held["text"]) if "text" in held else None
    return good, wrong


def test_ids_of_kaldi_that_come_twice_or_name_nothing_fail_alone(tmp_path: Path) -> None:
    scp = "a 1.wav\na 2.wav\nb 2.wav\nc\nd 1.wav\n"
    put(tmp_path, {**TWO, "wav.scp": scp, "text": "a one\nb two\nc three\nd four\nd five\n"})
    good, wrong = read(tmp_path, SPOKEN)
    assert good == {"b": "two"}
    assert wrong == [
        f"'a' must have one line in {tmp_path / 'wav.scp'}, but has several; keep one",
        f"'c' of {tmp_path / 'wav.scp'} must be followed by the path of a file, but is not; write it",
        f"'d' must have one line in {tmp_path / 'text'}, but has several; keep one",
    ]


def test_ids_of_librispeech_that_come_twice_fail_alone(tmp_path: Path) -> None:
    place = "dev-clean/1/2"
    put(tmp_path, {f"{place}/1-2-{number}.wav": wav(number) for number in range(2)})
    put(tmp_path, {f"{place}/1-2.trans.txt": "1-2-0 ONE\n1-2-1 TWO\n1-2-0 OTHER\n"})
    good, wrong = read(tmp_path, SPOKEN)
    assert good == {f"{place}/1-2-1": "TWO"}
    assert wrong == [f"'1-2-0' must have one line in {tmp_path / place / '1-2.trans.txt'}, but has several; keep one"]


def test_texts_of_vctk_without_a_sound_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, {"txt/p1/p1_001.txt": "one", "txt/p1/p1_003.txt": "three", "wav48/p1/p1_001.wav": wav(0)})
    put(tmp_path, {"wav48/p1/p1_002_mic1.wav": wav(1), "txt/p1/p1_002.txt": "two"})
    assert read(tmp_path, SPOKEN) == ({"wav48/p1/p1_001": "one", "wav48/p1/p1_002_mic1": "two"}, [])
    assert "  left out: 1 texts without a sound (txt/p1/p1_003.txt)\n" in capsys.readouterr().out


def test_captions_of_coco_that_are_no_words(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """None is no word, nor are an object and its brackets."""
    pictures = [{"id": 1, "file_name": "1.png"}, {"id": 2, "file_name": "2.png"}, {"id": 2, "file_name": "1.png"}]
    said: list[object] = ["a", None, 7, {"x": 1}, ["b  c", "d"], " "]
    told = [{"id": number, "image_id": 1, "caption": one} for number, one in enumerate(said)]
    held = json.dumps({"images": pictures, "annotations": told}).replace('"id": 0,', '"id": 9, "id": 0,')
    put(tmp_path, {"annotations/captions_val.json": held, "val/1.png": png(0), "val/2.png": png(1)})
    good, wrong = read(tmp_path, BOTH)
    assert good == {"val/0": "a", "val/2": "7", "val/4": "b c", "val/4#2": "d"}
    table = tmp_path / "annotations/captions_val.json"
    assert len(wrong) == 1 and wrong[0].startswith(f"annotation 4 of {table}: words must be a string or a list")
    said_of_it = capsys.readouterr().out
    name = "annotations/captions_val.json"
    assert f"  {name} says id again in an object; the last counts\n" in said_of_it
    assert f"  {name} lists 1 picture again under an id; the last counts\n" in said_of_it
    assert "  left out: 2 captions that hold nothing\n" in said_of_it


def test_blank_captions_of_flickr_are_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put(tmp_path, {"Flickr8k.token.txt": "1.png#0\tone\n1.png#1\t \n", "im/1.png": png(0)})
    assert read(tmp_path, BOTH) == ({"im/1.png": "one"}, [])
    assert "  left out: 1 caption of blanks only\n" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["gone\\a.png", "../a.png", "gone/a.png"])
def test_a_table_that_names_no_file_is_told(tmp_path: Path, name: str) -> None:
    put(tmp_path / "d", {"sub/a.png": png(0), "metadata.jsonl": json.dumps({"file_name": name, "text": "one"})})
    told = rf"d/metadata\.jsonl is not read, for no file that it names is there \(its first is {name!r}\); write their"
    with pytest.warns(UserWarning, match=told.replace("\\\\", r"\\\\")):
        assert read(tmp_path / "d", BOTH) == ({"sub/a.png": None}, [])


def test_a_copy_in_part_is_told_by_rows_from_all_over(tmp_path: Path) -> None:
    gone = "".join(f"x\tgone{number}.wav\tno\n" for number in range(300))
    there = "x\t1.wav\tone\ny\t2.wav\ttwo\n"
    put(tmp_path, {"train.tsv": f"client_id\tpath\tsentence\n{gone}{10 * there}"})
    put(tmp_path, {f"clips/{name}": content for name, content in TWO.items()})
    found = list(items([tmp_path], SPOKEN))
    assert len(found) == 320 and [str(item.media["text"]()) for item in found[-2:]] == ["one", "two"]
    assert [item.media["audio"]().samples.shape[1] - 800 for item in found[-2:]] == [0, 1]
    put(tmp_path, {"train.tsv": f"client_id\tpath\tsentence\n{gone}"})
    with pytest.warns(UserWarning, match=r"train\.tsv is not read, for no file .* \(its first is 'gone0\.wav'\)"):
        assert read(tmp_path, SPOKEN) == ({"clips/1.wav": None, "clips/2.wav": None}, [])


@pytest.mark.parametrize("path", [".", "..", "x/.."])
def test_paths_that_are_no_files_fail_alone(tmp_path: Path, path: str) -> None:
    put(tmp_path, {"a.png": png(0), "m.csv": f"image,text\n{path},no\na.png,one\n"})
    good, wrong = [], []
    for item in items([tmp_path / "m.csv"], BOTH):
        try:
            good.append((item.media["image"]().pixels.shape[0], str(item.media["text"]())))
        except ValueError as error:
            wrong.append(str(error))
    assert good == [(64, "one")] and len(wrong) == 1 and "an image is read from a file, but" in wrong[0]


def test_columns_of_one_name_in_parquet_are_refused(tmp_path: Path) -> None:
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["text", "text"])
    pq.write_table(table, tmp_path / "m.parquet")
    with pytest.raises(ValueError, match=r"m\.parquet must be a whole .*\(several columns are called text\)"):
        list(rows(tmp_path / "m.parquet", ["text"]))


def test_lists_without_words_fail_alone(tmp_path: Path) -> None:
    (tmp_path / "m.jsonl").write_text('{"text": []}\n{"text": [null, " "]}\n{"key": "c", "text": ["one", null]}\n')
    good, wrong = {}, []
    for item in items([tmp_path / "m.jsonl"], {"text": "text"}):
        try:
            good[item.key] = str(item.media["text"]())
        except ValueError as error:
            wrong.append(str(error))
    assert good == {"c": "one"}
    told = "must have one of text, but the list in it holds nothing; fill it, or take the row out"
    assert wrong == [f"line {number} of {tmp_path / 'm.jsonl'} {told}" for number in (1, 2)]


def test_a_table_whose_sounds_are_not_all_there_is_read(tmp_path: Path) -> None:
    """Of AudioCaps films have gone since; its other captions are not lost with them."""
    told = "audiocap_id,youtube_id,start_time,caption\n1,abc,10,a\n2,def,30,b\n3,ghi,30,c\n"
    put(tmp_path, {"train.csv": told, "Yabc_10.wav": wav(0), "Ydef_30.wav": wav(1)})
    good, wrong = read(tmp_path, SPOKEN)
    assert good == {"Yabc_10.wav": "a", "Ydef_30.wav": "b"}
    assert wrong == [f"audio is read from a file, but {tmp_path / 'ghi'} is none; check the path"]


@pytest.mark.parametrize("table", ["id,n\n1,5\n7,1\n8,2\n9,3\n", "id,n\n1,2\n2,1\n", "n\n1\na\nb\n"])
def test_a_table_of_something_else_is_none(tmp_path: Path, table: str) -> None:
    """Numbers some of which are names, too, two columns of names alike, less than half of the rows."""
    put(tmp_path, {"t.csv": table, **TWO})
    assert read(tmp_path, {"audio": "audio"}) == ({"1.wav": None, "2.wav": None}, [])


def test_names_in_the_lists_of_two_splits_are_held_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lists = {"Flickr_8k.trainImages.txt": "1.png\n2.png\n", "Flickr_8k.testImages.txt": "2.png\n3.png\n"}
    captions = "".join(f"{number}.png#0\tword {number}\n" for number in (1, 2, 3))
    put(tmp_path, {f"im/{number}.png": png(number) for number in (1, 2, 3)} | {"Flickr8k.token.txt": captions, **lists})
    splits = {item.key.rpartition("/")[2]: item.split for item in items([tmp_path], BOTH)}
    assert splits == {"1.png": "train", "2.png": "held-out", "3.png": "held-out"}
    assert "  1 are in the lists of several splits, and held out (2.png)\n" in capsys.readouterr().out

"""Folders of others with a fault in them: nothing is lost in silence, and one fault does not end the work."""

import gzip
import json
import os
from datetime import timedelta
from decimal import Decimal

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli import foreign
from tests.cli.laid_out import BOTH, SPOKEN, png, put, shard, wav, words_of
from tests.worlds import tokenizers
from tokenmask.cli.corpora import build
from tokenmask.cli.layouts import find
from tokenmask.cli.learning import worse_than_baseline
from tokenmask.cli.show import failures
from tokenmask.cli.sources import items, unseen
from tokenmask.corpus import Corpus


def test_a_name_that_is_not_utf8_fails_alone(tmp_path, capsys):
    folder = tmp_path / "d"
    put(folder, {"a.png": png(0), "b.png": png(1)})
    (folder / "b.png").rename(folder / os.fsdecode(b"b\xff.png"))
    (folder / os.fsdecode(b"notes.\xff")).write_text("x")
    found = items([folder], BOTH)
    assert build(found, tokenizers(), tmp_path / "corpus", 1, [str(folder)]) == 1
    said = capsys.readouterr()
    assert said.err.splitlines()[-1] == (
        r"failed: d/b\udcff.png: must be a name in UTF-8 to be the key of a record, but is not; rename the file"
    )
    assert r"1 records written, 0 there before, 1 failed, 1 file not looked at (.\udcff): " in said.out
    assert [record.key for record in Corpus(tmp_path / "corpus")] == ["d/a.png"]


def test_endings_in_capitals_are_captions_and_sources(tmp_path):
    put(tmp_path / "d", {"A.PNG": png(0), "A.TXT": "a red one\n", "b.png": png(1), "b.txt": "this", "b.TXT": "that"})
    assert words_of(items([tmp_path / "d"], BOTH)) == {"A.PNG": ("a red one", 0), "b.png": ("this", 1)}
    put(tmp_path, {"LINES.TXT": "one\n\ntwo\n"})
    found = items([tmp_path / "LINES.TXT"], BOTH)
    assert [(item.key, item.media["text"]().text) for item in found] == [("LINES.TXT:1", "one"), ("LINES.TXT:3", "two")]


def test_a_blank_caption_is_said(tmp_path, capsys):
    put(tmp_path / "d", {"a.png": png(0), "a.txt": " \n", "b.png": png(1), "b.txt": "two", "c.txt": "of nothing"})
    found = items([tmp_path / "d"], BOTH)
    assert words_of(found) == {"a.png": (None, 0), "b.png": ("two", 1)}
    assert capsys.readouterr().out == (
        f"{tmp_path / 'd'}: 1 caption without a file of the same name (c.txt)\n"
        f"{tmp_path / 'd'}: 1 caption holds nothing but blanks (a.txt)\n"
    )
    assert unseen([tmp_path / "d"], found) == ", 1 file not looked at (.txt)"  # c.txt


def test_captions_of_no_picture_are_named(tmp_path, capsys):
    """Letters count: on some file systems b.TXT of B.png would be another file."""
    pictures = {f"{name}.png": png(0) for name in ("a", "b", "e")}
    alone = {"B.TXT": "B", "orphan.txt": "x", "sub/a.caption": "y", "z.txt": "z"}
    put(tmp_path / "d", {**pictures, "a.TXT": "one", **alone})
    found = items([tmp_path / "d"], BOTH)
    assert words_of(found) == {"a.png": ("one", 0), "b.png": (None, 0), "e.png": (None, 0)}
    said = capsys.readouterr().out
    assert (
        said
        == f"{tmp_path / 'd'}: 4 captions without a file of the same name (B.TXT, orphan.txt, sub/a.caption, ...)\n"
    )
    assert unseen([tmp_path / "d"], found) == ", 4 files not looked at (.caption, .txt)"


def test_a_failure_names_its_path_once(capsys):
    failed = [
        ("/d/x.png", "/d/x.png must be whole"),
        ("d/y.png", "/here/d/y.png must be whole"),
        ("z.png", "no memory"),
    ]
    failed.append(("a.png", "/d/a.png.b must be whole"))
    failed.append(("", "a key must be there"))
    assert failures(failed, 9) == 1
    assert capsys.readouterr().err.splitlines() == [
        *("failed: /d/x.png: must be whole", "failed: d/y.png: must be whole", "failed: z.png: no memory"),
        *("failed: a.png: /d/a.png.b must be whole", "failed: : a key must be there"),
    ]


def reason(item):
    with pytest.raises(ValueError) as caught:
        next(iter(item.media.values()))()
    return str(caught.value)


def test_class_folders_beside_loose_pictures_and_other_texts(tmp_path, capsys):
    inside = {"cat/1.png": png(0), "cat/2.png": png(1), "dog/1.png": png(2)}
    put(tmp_path / "d", {**inside, "top.png": png(3), "README.txt": "of pets", "dog/1.txt": "a good dog"})
    wanted = {"cat/1.png": ("cat", 0), "cat/2.png": ("cat", 1), "dog/1.png": ("a good dog", 2), "top.png": (None, 3)}
    assert words_of(items([tmp_path / "d"], BOTH)) == wanted
    assert capsys.readouterr().out.splitlines() == [
        f"{tmp_path / 'd'} is read as 2 folders whose names are captions (ImageFolder): 4 items",
        "  1 in no class folder, without its name as words: top.png",
        "  1 with captions of their own, which go before the names",
    ]


def test_a_list_of_files_in_a_row_is_refused(tmp_path):
    rows = json.dumps({"file_names": ["0.png", "1.png"], "text": "two"})
    put(tmp_path, {"0.png": png(0), "1.png": png(1), "metadata.jsonl": rows})
    with pytest.raises(ValueError, match=r"one file a row, but its column 'file_names' holds lists \(0\.png, 1\.png\)"):
        items([tmp_path], BOTH)


def test_words_of_kaldi_without_a_sound_fail_by_name(tmp_path):
    put(tmp_path, {"0.wav": wav(0), "wav.scp": "u0\t0.wav\n", "text": "u0\thello  there\nu9 gone\n"})
    found = {item.key.partition("/")[2]: item for item in items([tmp_path], SPOKEN)}
    assert words_of([found["u0"]]) == {"u0": ("hello there", 0)} and len(found) == 2
    assert (
        reason(found["u9"]) == f"'u9' of {tmp_path}/text must have a line in {tmp_path}/wav.scp, but has no sound there"
    )
    assert unseen([tmp_path], items([tmp_path], SPOKEN)) == ""


def test_one_odd_annotation_of_coco_fails_alone(tmp_path, capsys):
    images = [{"id": number, "file_name": f"{number}.png"} for number in range(3)]
    notes = [{"image_id": 0, "caption": "one"}, {"id": 5, "image_id": 9, "caption": "of none"}]
    put(tmp_path, {f"train/{number}.png": png(number) for number in range(3)})
    put(tmp_path, {"annotations/captions_train.json": json.dumps({"images": images, "annotations": notes})})
    good, odd = items([tmp_path], BOTH)
    assert words_of([good]) == {"train/annotation 1": ("one", 0)}
    assert reason(odd).startswith(f"annotation 2 of {tmp_path}/annotations/captions_train.json must have a caption and")
    assert "left out: 2 pictures of annotations/captions_train.json without a caption\n" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("events", "words", "told"),
    [
        ("onset\ttrial_type\n1\tgo\n2\tstop\n", "go, stop", ""),
        (
            "onset\ttrial_type\n1\tgo\nn/a\tstop\nsoon\twait\n",
            "go, stop, wait",
            "2 of 3 events have no onset in seconds (line 3), so when they are is not known; their kinds are words in",
        ),
        ("onset\ttrial_type\n2\tgo\n1\tstop\n", "go, stop", "its events are not in the order of their onsets; words"),
        ("onset\tvalue\n2\tgo\n", None, "no trial_type in it, so no words; its columns are onset, value (--map text"),
        ("onset\ttrial_type\n1\tgo\tx\n2\tstop\n", "stop", "not read: line 2 of "),
    ],
)
def test_events_of_bids_that_are_odd_are_said(tmp_path, capsys, events, words, told):
    foreign.eeg(tmp_path / "files")
    recording = sorted((tmp_path / "files").glob("*.edf"))[0]
    put(tmp_path / "d", {"sub-1/eeg/sub-1_task-x_eeg.edf": recording.read_bytes(), "dataset_description.json": "{}"})
    put(tmp_path / "d", {"sub-1/eeg/sub-1_task-x_events.tsv": events})
    (found,) = items([tmp_path / "d"], {"text": "text", "eeg": "eeg"})
    assert (found.media["text"]().text if "text" in found.media else None) == words
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  sub-1")]
    assert len(said) == bool(told)
    assert all(line.startswith(f"  sub-1/eeg/sub-1_task-x_events.tsv: {told}") for line in said)


def test_derivatives_of_bids_are_left_out(tmp_path, capsys):
    names = ("sub-01/eeg/sub-01_eeg.edf", "derivatives/clean/sub-01/eeg/sub-01_eeg.edf")
    put(tmp_path, {"dataset_description.json": "{}", **dict.fromkeys(names, "no recording")})
    found = items([tmp_path], {"eeg": "eeg"})
    assert [item.media["eeg"].value for item in found] == [tmp_path / names[0]]
    assert "left out: 1 recordings in derivatives and sourcedata\n" in capsys.readouterr().out
    assert unseen([tmp_path], found) == ", 1 file not looked at (.edf)"


def test_tables_of_spreadsheets(tmp_path):
    put(tmp_path, {"0.png": png(0), "m.csv": 'image;text\n0.png;"one, and ; two"\n'})
    (item,) = items([tmp_path / "m.csv"], BOTH)
    assert item.media["text"]().text == "one, and ; two" and item.media["image"]().pixels[0, 0].tolist() == [
        200,
        30,
        40,
    ]
    (tmp_path / "m.csv").write_bytes("image,text\n0.png,caf\xe9\n".encode("utf-16"))  # with its mark
    (item,) = items([tmp_path / "m.csv"], BOTH)
    assert item.media["text"]().text == "caf\xe9"
    said = (
        "must be text in UTF-8, but its byte 4 is 0xe9; if 'caf\xe9' is right it is Windows-1252 or Latin-1: convert "
        "it with iconv -f WINDOWS-1252 -t UTF-8, else save it as UTF-8"
    )
    for name, sign in (("m.csv", ","), ("m.tsv", "\t")):
        path = tmp_path / name
        held = f"image{sign}text\n0.png{sign}caf\xe9\n0.png{sign}tea\n"
        path.write_bytes(held.encode("latin-1"))
        odd, item = items([path], BOTH)  # the row with the byte fails alone
        assert item.media["text"]().text == "tea" and reason(odd) == f"a cell of line 2 of {path} {said}"
        path.write_bytes(f"image{sign}texte\xe9\n0.png{sign}a\n".encode("latin-1"))
        with pytest.raises(ValueError, match=rf"the first line of {path} must be text in UTF-8, but its byte 11 is"):
            items([path], BOTH)
    path = tmp_path / "m.jsonl"
    path.write_bytes('{"image": "0.png", "text": "caf\xe9"}\n{"image": "0.png", "text": "tea"}\n'.encode("latin-1"))
    odd, item = items([path], BOTH)
    assert item.media["text"]().text == "tea"
    assert reason(odd).startswith(f"line 1 of {path} must be text in UTF-8, but its byte 32 is 0xe9; if ")


def test_addresses_are_not_fetched(tmp_path):
    put(tmp_path, {"0.png": png(0), "m.csv": "image,text\n0.png,one\nhttps://x.org/1.png,two\n"})
    good, odd = items([tmp_path / "m.csv"], BOTH)
    assert good.media["text"]().text == "one"
    assert reason(odd) == (
        f"line 3 of {tmp_path}/m.csv must give the path of a file for 'image', got the address https://x.org/1.png; "
        "addresses are not fetched, download the file first"
    )


def test_members_that_nobody_takes_are_counted(tmp_path, capsys):
    (tmp_path / "d").mkdir()
    path = tmp_path / "d/x.tar"
    shard(path, {"a.png": png(0), "A.txt": "other", "a.txt": "one", "a.xyz": "?", "b.npyz": "?", ".c.png": "?"})
    with gzip.open(tmp_path / "packed.tar", "wb") as file:
        file.write(path.read_bytes())
    shard(path.with_name("y.tar"), {"a.png": png(0), "a.PNG": png(1)})
    said = [
        "x.tar: 3 members not looked at (.npyz, .png, .xyz)",
        "y.tar: 1 members come again, the last one counts (a.PNG)",
    ]
    found = items([path], BOTH)
    assert words_of(found)["x/a"] == ("one", 0) and capsys.readouterr().out.splitlines() == said[:1]
    found = items([tmp_path / "d"], BOTH)
    assert words_of(found) == {"x/a": ("one", 0), "x/A": ("other", None), "y/a": (None, 1)}
    assert capsys.readouterr().out.splitlines()[1:] == [f"  {one}" for one in said]
    with pytest.raises(
        ValueError, match=r"packed\.tar must be a \.tar archive that is not compressed, but is one of gzip"
    ):
        items([tmp_path / "packed.tar"], BOTH)


def test_a_tokenizer_that_is_worse_than_its_baseline():
    assert worse_than_baseline({"psnr_db": 19.6, "pca_psnr_db": 100.0}) == (
        "worse than its baseline: psnr_db is 19.6, pca_psnr_db 100; "
        "fit with more steps (fit --steps, train --set streams.NAME.fit.steps=N) or on more items"
    )
    assert "mel_l1 is 2, mean_mel_l1 1.5;" in worse_than_baseline({"mel_l1": 2.0, "pca_mel_l1": 3, "mean_mel_l1": 1.5})
    good = {"psnr_db": 30.0, "pca_psnr_db": 25.0, "mpjpe_mm": 20.0, "pca_mpjpe_mm": 30.0, "mean_pose_mpjpe_mm": 90.0}
    assert worse_than_baseline(good) == "" == worse_than_baseline({"psnr_db": 1.0})


def test_a_column_of_names_without_endings(tmp_path, capsys):
    rows = "audiocap_id,youtube_id,start_time,caption\n9,abc,30,a dog\n7,xyz,0,rain\n8,xyz,0,more rain\n"
    put(tmp_path / "d", {"audio/abc.wav": wav(0), "audio/Yxyz_0.wav": wav(1), "train.csv": rows})
    found = items([tmp_path / "d"], SPOKEN)
    words = {"audio/abc.wav": ("a dog", 0), "audio/Yxyz_0.wav": ("rain", 1), "audio/Yxyz_0.wav#2": ("more rain", 1)}
    assert words_of(found) == words
    assert found[0].metadata == {"audiocap_id": "9", "start_time": "30"}
    assert "train.csv (youtube_id is audio, caption is text): 3 items" in capsys.readouterr().out
    put(tmp_path / "d", {"audio/30.wav": wav(2), "audio/0.wav": wav(3)})  # now start_time could be meant too
    assert find(tmp_path / "d", ["text", "audio"]) is None
    assert find(tmp_path / "d", ["text", "audio"], {"audio": "youtube_id"}).columns == ["youtube_id", "caption"]


def test_a_table_of_which_no_row_can_be_read_is_not_passed_over(tmp_path):
    """An open quote in its first row takes all others with it: pictures without words would be left."""
    put(tmp_path / "d", {"0.png": png(0), "1.png": png(1), "metadata.csv": 'file_name,text\n0.png,"a\n1.png,b\n'})
    with pytest.raises(ValueError, match=r"line 2 of .*metadata\.csv opens a quote"):
        items([tmp_path / "d"], BOTH)
    (tmp_path / "d/metadata.csv").rename(tmp_path / "d/train.csv")
    with pytest.warns(UserWarning, match=r"d/train\.csv tells of no files: line 2 of .*train\.csv opens a quote"):
        assert len(items([tmp_path / "d"], BOTH)) == 2


def test_files_that_a_table_names_by_a_way_up_have_keys_of_their_own(tmp_path):
    """meta/../images/0.png is images/0.png; a file outside of the folder is called by its line."""
    put(tmp_path, {"d/images/0.png": png(0), "other/1.png": png(1)})
    rows = [{"file_name": "../images/0.png", "text": "a"}, {"file_name": "../../other/1.png", "text": "b"}]
    put(tmp_path / "d", {"meta/metadata.jsonl": "\n".join(map(json.dumps, rows))})
    found = items([tmp_path / "d"], BOTH)
    assert [(item.key, item.media["text"]().text) for item in found] == [
        ("d/images/0.png", "a"),
        ("d/meta/metadata.jsonl:2", "b"),
    ]
    assert build(found, tokenizers(), tmp_path / "corpus", 1, [str(tmp_path / "d")]) == 0
    assert len(Corpus(tmp_path / "corpus")) == 2


def test_cells_of_odd_kinds_fail_alone_or_are_kept_as_words(tmp_path):
    put(tmp_path, {"0.png": png(0)})
    image = {"image": "0.png", "text": "a"}
    rows = [image | {"split": ""}, image | {"key": ["k"]}, {"image": "", "text": "b"}, image | {"text": 5}]
    (tmp_path / "m.jsonl").write_text("\n".join(map(json.dumps, rows)))
    reasons = [getattr(next(iter(item.media.values())), "reason", "") for item in items([tmp_path / "m.jsonl"], BOTH)]
    assert reasons[0] == "" and [reason.partition(" of ")[0] for reason in reasons[1:]] == [
        "line 2",
        "line 3",
        "line 4",
    ]
    assert "must have words or a number as its key, got ['k']; write one" in reasons[1]
    assert "must give the path of a file for 'image', got ''; leave the cell out" in reasons[2]
    assert "for 'text', got int; write it in quotes" in reasons[3]
    others = {"price": Decimal("1.50"), "took": timedelta(seconds=3), "pairs": [("a", 1)]}
    columns = {name: pa.array([one]) for name, one in others.items() if name != "pairs"}
    columns["pairs"] = pa.array([others["pairs"]], pa.map_(pa.string(), pa.int64()))
    pq.write_table(pa.table({"image": ["0.png"], "text": ["a"], **columns}), tmp_path / "m.parquet")
    found = items([tmp_path / "m.parquet"], BOTH)
    assert build(found, tokenizers(), tmp_path / "corpus", 1) == 0
    (record,) = Corpus(tmp_path / "corpus")
    assert record.metadata == {"price": "1.50", "took": "0:00:03", "pairs": [["a", 1]]}


def test_names_of_columns_in_capitals_and_paths_of_windows(tmp_path):
    held = "File_Name,Text\nimgs\\0.png,one\n"
    put(tmp_path, {"d/imgs/0.png": png(0), "d/metadata.csv": held, "m.csv": "Image, text\nd\\imgs\\0.png,one\n"})
    for source in ("d", "m.csv"):
        (item,) = items([tmp_path / source], BOTH)
        assert (item.media["text"]().text, item.media["image"].value) == ("one", tmp_path / "d/imgs/0.png")
    put(tmp_path, {"two.csv": "image,Text,TEXT\nd/imgs/0.png,one,two\n"})  # which of them is not known
    (item,) = items([tmp_path / "two.csv"], BOTH)
    assert set(item.media) == {"image"} and item.metadata == {"Text": "one", "TEXT": "two"}


@pytest.mark.parametrize(("name", "sign"), [("labels.csv", ","), ("train.tsv", "\t")])
def test_a_table_without_a_line_of_names_is_said(tmp_path, name, sign):
    put(tmp_path, {"0.png": png(0), "1.png": png(1), name: f"0.png{sign}a cat\n1.png{sign}a dog\n"})
    with pytest.warns(
        UserWarning, match=rf"{name} is not read, for its first line names no columns but a file \(0.png"
    ):
        found = items([tmp_path], BOTH)
    assert [sorted(item.media) for item in found] == [["image"], ["image"]]


def test_tables_below_a_folder_of_data(tmp_path):
    row = '{{"file_name": "0.png", "text": "{}"}}\n'
    held = {f"data/{split}/metadata.jsonl": row.format(split) for split in ("train", "test")}
    put(tmp_path, {**held, "data/train/0.png": png(0), "data/test/0.png": png(1)})
    found = items([tmp_path], BOTH)
    assert [(item.media["text"]().text, item.split) for item in found] == [("test", "held-out"), ("train", "train")]

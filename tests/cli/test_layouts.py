"""Folders as other people lay them out: which words belong to which file, which split, what is said."""

import io
import json
import tarfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tests.cli import foreign
from tests.cli.laid_out import BOTH, SPOKEN, png, put, read, wav, words_of
from tests.modalities.test_humanml import error_of, walk
from tokenmask.cli.layouts import find
from tokenmask.cli.media import is_held_out
from tokenmask.cli.sources import items, unseen


def test_class_folders_are_captions(tmp_path, capsys):
    put(tmp_path / "d", {"red_cat/1.png": png(0), "red_cat/2.png": png(1), "dog/1.png": png(2)})
    found = items([tmp_path / "d"], BOTH)
    wanted = {"red_cat/1.png": ("red cat", 0), "red_cat/2.png": ("red cat", 1), "dog/1.png": ("dog", 2)}
    assert words_of(found) == wanted
    assert (
        capsys.readouterr().out
        == f"{tmp_path / 'd'} is read as 2 folders whose names are captions (ImageFolder): 3 items\n"
    )
    put(tmp_path / "s", {"train/cat/1.png": png(0), "train/dog/2.png": png(1), "val/dog/3.png": png(2)})
    assert read(items([tmp_path / "s"], BOTH)) == {
        "train/cat/1.png": ("cat", 0, "train"),
        "train/dog/2.png": ("dog", 1, "train"),
        "val/dog/3.png": ("dog", 2, "held-out"),
    }
    for others in ({"dog/1.txt": "a caption"}, {"deep/er/1.png": png(0)}):
        place = tmp_path / next(iter(others)).replace("/", "-")
        put(place, {"cat/1.png": png(0), "dog/1.png": png(1), **others})
        assert find(place, ["text", "image"]) is None
    assert find(tmp_path / "d", ["image"]) is None  # nobody asked for words


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_metadata_of_hugging_face(tmp_path, capsys, kind):
    rows = [{"file_name": f"{number}.png", "text": f"picture {number}", "year": number} for number in range(3)]
    put(tmp_path, {f"train/{number}.png": png(number) for number in range(3)})
    put(tmp_path, {"train/3.png": png(3), "test/0.png": png(3)})
    for split, some in (("train", rows), ("test", rows[:1])):
        if kind == "csv":
            lines = ["file_name,text,year", *(",".join(map(str, row.values())) for row in some)]
            put(tmp_path, {f"{split}/metadata.csv": "\n".join(lines)})
        elif kind == "jsonl":
            put(tmp_path, {f"{split}/metadata.jsonl": "\n".join(map(json.dumps, some))})
        else:
            pq.write_table(pa.Table.from_pylist(some), tmp_path / split / "metadata.parquet")
    found = items([tmp_path], BOTH)
    assert read(found) == {
        "test/0.png": ("picture 0", 3, "held-out"),
        **{f"train/{number}.png": (f"picture {number}", number, "train") for number in range(3)},
    }
    assert [str(item.metadata["year"]) for item in found] == ["0", "0", "1", "2"]
    assert "(file_name is image, text is text): 4 items" in capsys.readouterr().out
    assert unseen([tmp_path], found) == ", 1 file not looked at (.png)"  # the one that no row names


def test_tables_of_sounds_and_a_column_that_is_mapped(tmp_path):
    put(tmp_path / "esc", {f"audio/1-{number}.wav": wav(number) for number in range(3)})
    table = "filename,fold,target,category\n" + "".join(f"1-{number}.wav,1,0,dog_bark\n" for number in range(3))
    put(tmp_path / "esc", {"meta/esc50.csv": table})
    assert words_of(items([tmp_path / "esc"], SPOKEN))["audio/1-2.wav"] == ("dog_bark", 2)
    found = items([tmp_path / "esc"], SPOKEN, columns={"text": "fold"})
    assert words_of(found)["audio/1-1.wav"] == ("1", 1) and found[0].metadata["category"] == "dog_bark"
    head = "client_id\tpath\tsentence\n"
    tables = {
        f"{name}.tsv": f"{head}a\t{number}.wav\twords {number}\n" for number, name in enumerate(("train", "test"))
    }
    put(tmp_path / "cv", {"clips/0.wav": wav(0), "clips/1.wav": wav(1), "clips/2.wav": wav(2), **tables})
    put(tmp_path / "cv", {"invalidated.tsv": f"{head}a\t2.wav\twrong\n", "validated.tsv": f"{head}a\t0.wav\twords 0\n"})
    found = items([tmp_path / "cv"], SPOKEN)
    assert read(found) == {"clips/1.wav": ("words 1", 1, "held-out"), "clips/0.wav": ("words 0", 0, "train")}
    assert unseen([tmp_path / "cv"], found) == ", 3 files not looked at (.tsv, .wav)"


def test_a_row_without_its_file_fails_alone(tmp_path):
    put(tmp_path, {"0.png": png(0), "metadata.csv": "file_name,text\n0.png,a\n1.png,b\n,c\n"})
    found = items([tmp_path], BOTH)
    assert found[0].media["text"]().text == "a" and len(found) == 3
    for item, reason in zip(found[1:], ("1.png is none", "line 4 of .* must name a file"), strict=True):
        with pytest.raises(ValueError, match=reason):
            item.media.get("image", next(iter(item.media.values())))()


def test_ljspeech(tmp_path, capsys):
    rows = 'LJ-0|In 1999, "he" said|In nineteen ninety nine, "he" said\nLJ-1|only one|\nLJ-2|gone|gone\n'
    put(tmp_path, {"wavs/LJ-0.wav": wav(0), "wavs/LJ-1.wav": wav(1), "metadata.csv": rows, "README": "x"})
    found = items([tmp_path], SPOKEN)
    assert words_of(found[:2]) == {
        "LJ-0": ('In nineteen ninety nine, "he" said', 0),
        "LJ-1": ("only one", 1),
    }
    with pytest.raises(ValueError, match=r"LJ-2\.wav is none"):
        found[2].media["audio"]()
    assert "is read as LJSpeech (metadata.csv and wavs): 3 items" in capsys.readouterr().out
    assert unseen([tmp_path], found) == ", 1 file not looked at (none)"


def test_kaldi(tmp_path):
    put(tmp_path, {"sounds/0.wav": wav(0), "sounds/1.wav": wav(1)})
    put(tmp_path, {"train/wav.scp": f"u0 {tmp_path}/sounds/0.wav\n", "train/text": "u0 hello  there\n"})
    put(tmp_path, {"dev/wav.scp": "u1 sounds/1.wav\nu2 sph2pipe -f wav x.sph |\n", "dev/text": "u1 bye\n"})
    found = items([tmp_path], SPOKEN)
    assert read([item for item in found if "u2" not in item.key]) == {
        "dev/u1": ("bye", 1, "held-out"),
        "train/u0": ("hello there", 0, "train"),
    }
    broken = next(item for item in found if "u2" in item.key)
    with pytest.raises(ValueError, match="must be the path of a file, got a command"):
        next(iter(broken.media.values()))()
    put(tmp_path, {"train/segments": "u0-a u0 0.0 0.1\n"})
    with pytest.raises(ValueError, match="segments of longer recordings, which are not cut"):
        items([tmp_path], SPOKEN)


def test_librispeech_and_vctk(tmp_path):
    put(tmp_path / "l", {"train-clean-5/19/198/19-198-0.wav": wav(0), "dev-clean/1/2/1-2-0.wav": wav(1)})
    put(tmp_path / "l", {"train-clean-5/19/198/19-198.trans.txt": "19-198-0 NORTHANGER ABBEY\n"})
    put(tmp_path / "l", {"dev-clean/1/2/1-2.trans.txt": "1-2-0 OTHER WORDS\n"})
    assert read(items([tmp_path / "l"], SPOKEN)) == {
        "dev-clean/1/2/1-2-0": ("OTHER WORDS", 1, "held-out"),
        "train-clean-5/19/198/19-198-0": ("NORTHANGER ABBEY", 0, "train"),
    }
    put(
        tmp_path / "v",
        {"wav48/p1/p1_001.wav": wav(0), "wav48/p1/p1_002_mic1.wav": wav(1), "wav48/p2/p2_001.wav": wav(2)},
    )
    put(tmp_path / "v", {"txt/p1/p1_001.txt": "please call\n", "txt/p1/p1_002.txt": "ask her\n"})
    assert words_of(items([tmp_path / "v"], SPOKEN)) == {
        "wav48/p1/p1_001": ("please call", 0),
        "wav48/p1/p1_002_mic1": ("ask her", 1),
        "wav48/p2/p2_001": (None, 2),
    }


def test_coco(tmp_path):
    images = [{"id": 7, "file_name": "a.png"}, {"id": 8, "file_name": "b.png"}]
    notes = [{"id": 1, "image_id": 7, "caption": "one\n"}, {"id": 2, "image_id": 7, "caption": "two"}]
    notes += [{"id": 3, "image_id": 8, "caption": "three"}]
    put(tmp_path, {"train2017/a.png": png(0), "train2017/b.png": png(1)})
    put(tmp_path, {"annotations/captions_train2017.json": json.dumps({"images": images, "annotations": notes})})
    found = items([tmp_path], BOTH)
    assert words_of(found) == {"train2017/1": ("one", 0), "train2017/2": ("two", 0), "train2017/3": ("three", 1)}
    assert found[0].split == found[1].split == ("held-out" if is_held_out("train2017/a") else "train")


@pytest.mark.parametrize("split", ["train", "test"])
def test_one_split_alone_is_split_as_other_folders_are(tmp_path, split):
    put(tmp_path, {f"{split}/cat/{number}.png": png(0) for number in range(40)})
    put(tmp_path, {f"{split}/dog/{number}.png": png(1) for number in range(40)})
    found = items([tmp_path], BOTH)
    held_out = {item.key.partition("/")[2] for item in found if item.split == "held-out"}
    names = [f"{split}/{word}/{number}" for word in ("cat", "dog") for number in range(40)]
    assert held_out == {f"{name}.png" for name in names if is_held_out(name)} and 2 < len(held_out) < 20


def test_bids(tmp_path, capsys):
    events = "onset\tduration\ttrial_type\n0.5\t1\tgo\n1.5\tn/a\tstop\n2\t1\tgo\n3\t1\tn/a\n"
    foreign.eeg(tmp_path / "files")
    recording = sorted((tmp_path / "files").glob("*.edf"))[0]
    for subject in ("sub-01", "sub-02"):
        put(tmp_path / "d", {f"{subject}/eeg/{subject}_task-x_eeg.edf": recording.read_bytes()})
    put(tmp_path / "d", {"sub-01/eeg/sub-01_task-x_events.tsv": events, "dataset_description.json": "{}"})
    put(tmp_path / "d", {"participants.tsv": "participant_id\tage\nsub-01\t30\nsub-02\tn/a\n", "README": "x"})
    found = items([tmp_path / "d"], {"text": "text", "eeg": "eeg"})
    assert [item.key for item in found] == [f"d/{name}/eeg/{name}_task-x_eeg.edf" for name in ("sub-01", "sub-02")]
    assert found[0].media["text"]().text == "go, stop" and "text" not in found[1].media
    assert [item.metadata for item in found] == [{"age": "30"}, {"age": "n/a"}]
    assert found[0].media["eeg"]().channels == found[1].media["eeg"]().channels
    assert "is read as BIDS (recordings, trial_type of their events is text): 2 items" in capsys.readouterr().out
    assert unseen([tmp_path / "d"], found) == ", 1 file not looked at (none)"
    found = items([tmp_path / "d"], {"text": "text", "eeg": "eeg"}, columns={"text": "duration"})
    assert found[0].media["text"]().text == "1"
    put(tmp_path / "d", {"task-x_events.tsv": events.replace("go", "rest"), "task-y_events.tsv": events})
    found = items([tmp_path / "d"], {"text": "text", "eeg": "eeg"})  # what stands above holds where nothing is nearer
    assert [item.media["text"]().text for item in found] == ["go, stop", "rest, stop"]


def test_humanml3d(tmp_path, capsys):
    points = walk().joint_positions().numpy()
    for name in ("000001", "000002", "M000001"):
        (tmp_path / "d/new_joints").mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / f"d/new_joints/{name}.npy", points)
    np.save(tmp_path / "d/Mean.npy", np.zeros(263))
    lines = "a man walks.#a/DET man/NOUN walk/VERB#0.0#0.0\nhe turns.#he/PRON#1.0#2.5\nsomeone goes.#x#0.0#0.0\n"
    put(tmp_path / "d", {"texts/000001.txt": lines, "texts/000002.txt": "a jump#a/DET#0.0#0.0\n"})
    put(tmp_path / "d", {"train.txt": "000001\nM000001\n", "test.txt": "000002\n", "all.txt": "000001\n"})
    found = items([tmp_path / "d"], {"text": "text", "motion": "motion"})
    words = [item.media["text"]().text if "text" in item.media else None for item in found]
    assert words == ["a man walks.", "someone goes.", "a jump", None]
    assert [item.key for item in found] == ["d/000001", "d/000001#2", "d/000002", "d/M000001"]
    assert [item.split for item in found] == ["train", "train", "held-out", "train"]
    assert found[0].metadata == {"pieces": ["he turns.#he/PRON#1.0#2.5"]} and found[2].metadata == {}
    clip = found[2].media["motion"]()
    assert float(error_of(clip, torch.from_numpy(points).double()).max()) < 1e-5
    assert "(new_joints and texts; 1 sentences on pieces are only kept" in capsys.readouterr().out
    put(tmp_path / "d", {"train.txt": "000001\n000002\nM000001\n"})
    again = items([tmp_path / "d"], {"text": "text", "motion": "motion"})
    assert [item.split for item in again] == ["train", "train", "held-out", "train"]
    assert "  1 are in train.txt and in another list, and held out (000002)\n" in capsys.readouterr().out
    assert unseen([tmp_path / "d"], found) == ", 2 files not looked at (.npy, .txt)"


def test_lists_of_captions_are_records_of_their_own(tmp_path):
    """Each is words, never the list as Python prints it; a class without a name, as -1 in test sets, is no words."""
    rows = [{"file_name": "1.png", "caption": ["a cat", "one cat"]}, {"file_name": "2.png", "caption": [" "]}]
    put(tmp_path / "d", {"1.png": png(0), "2.png": png(1), "metadata.jsonl": "\n".join(map(json.dumps, rows))})
    assert words_of(items([tmp_path / "d"], BOTH)) == {
        "1.png": ("a cat", 0),
        "1.png#2": ("one cat", 0),
        "2.png": (None, 1),
    }
    about = json.dumps({"captions": ["red", "very red"]}).encode()
    with tarfile.open(tmp_path / "0.tar", "w") as archive:
        for name, data in (("x.png", png(0)), ("x.json", about)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    assert words_of(items([tmp_path / "0.tar"], BOTH)) == {"0/x": ("red", 0), "0/x#2": ("very red", 0)}
    picture = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    cells = pa.array([{"bytes": png(number), "path": "x.png"} for number in range(3)], picture)
    table = pa.table({"image": cells, "label": [0, -1, 1]})
    info = {"info": {"features": {"label": {"names": ["cat", "dog"], "_type": "ClassLabel"}}}}
    (tmp_path / "p").mkdir()
    pq.write_table(table.replace_schema_metadata({"huggingface": json.dumps(info)}), tmp_path / "p/train-0.parquet")
    assert [words for words, _ in words_of(items([tmp_path / "p"], BOTH)).values()] == ["cat", None, "dog"]
    pq.write_table(pa.table({"image": cells, "text": [["a", "b"], None, ["c"]]}), tmp_path / "p/train-0.parquet")
    found = words_of(items([tmp_path / "p"], BOTH))
    assert sorted(words or "" for words, _ in found.values()) == ["", "a", "b", "c"]


def test_blank_captions_of_coco_and_absent_motions_are_said(tmp_path, capsys):
    pictures = [{"id": 1, "file_name": "1.png"}]
    told = [{"id": 7, "image_id": 1, "caption": "a cat"}, {"id": 8, "image_id": 1, "caption": " \n"}]
    captions = json.dumps({"images": pictures, "annotations": told})
    put(tmp_path / "c", {"val/1.png": png(0), "annotations/captions_val.json": captions})
    assert words_of(items([tmp_path / "c"], BOTH)) == {"val/7": ("a cat", 0)}
    assert "left out: 1 caption that holds nothing\n" in capsys.readouterr().out
    (tmp_path / "m/new_joints").mkdir(parents=True)
    np.save(tmp_path / "m/new_joints/000001.npy", np.zeros((30, 22, 3), np.float32))
    put(tmp_path / "m", {"texts/000001.txt": "a man stands#a/DET#0.0#0.0\n", "train.txt": "000001\n000002\n"})
    items([tmp_path / "m"], {"motion": "motion", "text": "text"})
    assert "1 of the lists have no motion in new_joints (000002)\n" in capsys.readouterr().out


def test_captions_of_another_ending_and_arrays_of_json(tmp_path):
    """.caption is what programs that train adapters write; .txt goes before it."""
    put(tmp_path / "d", {"1.png": png(0), "1.caption": "one", "2.png": png(1), "2.txt": "two", "2.caption": "other"})
    found = items([tmp_path / "d"], BOTH)
    assert words_of(found) == {"1.png": ("one", 0), "2.png": ("two", 1)}
    assert unseen([tmp_path / "d"], found) == ", 1 file not looked at (.caption)"
    for kind in "ab":
        put(tmp_path / "many" / kind, {"1.png": png(0), "1.caption": kind * 3, "2.png": png(1), "2.caption": kind * 3})
    assert {words for words, _ in words_of(items([tmp_path / "many"], BOTH)).values()} == {"aaa", "bbb"}
    rows = [{"image": f"{number}.png", "caption": f"words {number}"} for number in (1, 2)]
    put(tmp_path / "j", {"1.png": png(0), "2.png": png(1), "data.json": json.dumps(rows, indent=1), "1.json": "{}"})
    assert words_of(items([tmp_path / "j"], BOTH)) == {"1.png": ("words 1", 0), "2.png": ("words 2", 1)}

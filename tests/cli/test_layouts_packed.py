"""Data sets whose media lie inside of archives and tables: what is read, and what is said of damaged ones."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cli.laid_out import BOTH, COLOURS, FEATURES, MEDIA, png, put, read, saved, shard, words_of
from tokenmask.cli.sources import items, unseen
from tokenmask.corpus import Corpus


def rows(some, folder):
    put(folder, {f"{number}.png": png(number) for number in some})
    cells = [{"bytes": png(number), "path": f"{number}.png"} for number in some]
    cells[-1] = {"bytes": None, "path": str(folder / f"{some[-1]}.png")}  # a file that stayed where it was
    columns = {"image": pa.array(cells, MEDIA), "label": pa.array([number % 2 for number in some])}
    return pa.table({**columns, "note": pa.array([f"n{number}" for number in some])})


def test_shards_of_webdataset(tmp_path, options, run, call, capsys):
    folder = tmp_path / "shards"
    folder.mkdir()
    shard(
        folder / "train-0.tar",
        {"a/0.png": png(0), "a/0.txt": "a red\none", "a/0.json": '{"w": NaN}', "a/1.png": png(1)},
    )
    shard(
        folder / "train-1.tar",
        {"2.png": png(2), "2.json": '{"caption": "a blue one"}', "2.cls": "5", "3.png": b"no picture"},
    )
    found = items([folder], BOTH)
    assert words_of(found[:3]) == {
        "train-0/a/0": ("a red one", 0),
        "train-0/a/1": (None, 1),
        "train-1/2": ("a blue one", 2),
    }
    assert [dict(item.metadata) for item in found[:3]] == [{"w": None}, {}, {"cls": "5"}]
    with pytest.raises(ValueError, match=r"train-1\.tar/3\.png must be a whole image file"):
        found[3].media["image"]()
    assert call("corpus", "build", folder, "--out", tmp_path / "c", *options) == 1
    assert "3 records written, 0 there before, 1 failed:" in capsys.readouterr().out
    assert call("corpus", "build", folder / "train-0.tar", "--out", tmp_path / "d", *options) == 0
    assert [record.key for record in Corpus(tmp_path / "d")] == ["train-0.tar/train-0/a/0", "train-0.tar/train-0/a/1"]
    one = ("--tokenizer", run.folder / "tokenizers/image", "--out", tmp_path / "tokens")
    assert call("encode", folder / "train-0.tar", *one) == 0
    assert "2 encoded, 0 done before, 0 failed: " in capsys.readouterr().out
    whole = (folder / "train-0.tar").read_bytes()
    (folder / "train-0.tar").write_bytes(whole[: whole.index(png(1)) + 100])  # cut inside of the last member
    found = items([folder / "train-0.tar"], BOTH)
    assert words_of(found[:1])["train-0/a/0"] == ("a red one", 0) and len(found) > 1
    with pytest.raises(ValueError, match=r"train-0\.tar"):
        [loader() for item in found[1:] for loader in item.media.values()]


def test_an_archive_that_is_none_is_refused(tmp_path):
    (tmp_path / "a.tar").write_bytes(b"no archive" * 100)
    with pytest.raises(ValueError, match=r"a\.tar must be a whole \.tar archive, but cannot be read"):
        items([tmp_path / "a.tar"], BOTH)
    shard(tmp_path / "b.tar", {"x.png": png(0), "x.json": "{oh"})
    with pytest.raises(ValueError, match=r"b\.tar/x\.json must be JSON"):
        items([tmp_path / "b.tar"], BOTH)


def test_data_sets_that_were_saved_to_disk(tmp_path, options, call, capsys):
    saved(tmp_path / "d/train", rows([0, 1, 2], tmp_path / "files"))
    saved(tmp_path / "d/test", rows([3], tmp_path / "files"))
    put(tmp_path / "d", {"dataset_dict.json": json.dumps({"splits": ["train", "test"]})})
    found = items([tmp_path / "d"], BOTH)
    name = "data-00000-of-00001"
    assert read(found) == {
        f"test/{name}/0": ("dog", 3, "held-out"),
        f"train/{name}/0": ("cat", 0, "train"),
        f"train/{name}/1": ("dog", 1, "train"),
        f"train/{name}/2": ("cat", 2, "train"),
    }
    assert found[1].metadata == {"note": "n0"} and unseen([tmp_path / "d"], found) == ""
    assert words_of(items([tmp_path / "d"], BOTH, columns={"text": "note"}))[f"train/{name}/1"] == ("n1", 1)
    assert call("corpus", "build", tmp_path / "d", "--out", tmp_path / "c", *options) == 0
    said = capsys.readouterr().out
    assert "is read as `datasets` (image is image, label is text): 4 items" in said and "4 records written" in said


def test_tables_of_a_hub_with_media_in_them(tmp_path):
    table = rows([0, 1, 2], tmp_path / "files")
    cells = [{"bytes": png(number), "path": f"{number}.png"} for number in range(3)]
    table = table.set_column(0, "image", pa.array(cells, MEDIA))
    about = {b"huggingface": json.dumps({"info": {"features": FEATURES}})}
    (tmp_path / "hub/data").mkdir(parents=True)
    pq.write_table(table.replace_schema_metadata(about), tmp_path / "hub/data/train-0.parquet", row_group_size=2)
    pq.write_table(table[:1].replace_schema_metadata(about), tmp_path / "hub/data/test-0.parquet")
    assert read(items([tmp_path / "hub"], BOTH)) == {
        "data/test-0/0": ("cat", 0, "held-out"),
        "data/train-0/0": ("cat", 0, "train"),
        "data/train-0/1": ("dog", 1, "train"),
        "data/train-0/2": ("cat", 2, "train"),
    }


def test_a_damaged_shard_fails_alone(tmp_path):
    """One of Parquet that is cut off, one that says nonsense of its columns; rows of the others are read."""
    hub = tmp_path / "hub"
    hub.mkdir()
    table = pa.table({"image": pa.array([{"bytes": png(n), "path": f"{n}.png"} for n in (0, 1)], MEDIA)})
    pq.write_table(table, hub / "train-0.parquet")
    (hub / "train-1.parquet").write_bytes((hub / "train-0.parquet").read_bytes()[:-20])
    pq.write_table(table.replace_schema_metadata({b"huggingface": b"{"}), hub / "train-2.parquet")
    found = {item.key.partition("/")[2]: item for item in items([hub], {"image": "image"})}
    assert sorted(found) == ["train-0/0", "train-0/1", "train-1.parquet", "train-2.parquet"]
    pixels = [found[f"train-0/{row}"].media["image"]().pixels for row in (0, 1)]
    assert [tuple(one[0, 0].tolist()) for one in pixels] == list(COLOURS[:2])
    for key, words in {"train-1.parquet": "whole Parquet table", "train-2.parquet": "say in JSON"}.items():
        with pytest.raises(ValueError, match=rf"{key} must (be a )?{words}.*; copy it again"):
            found[key].media["image"]()


@pytest.mark.parametrize("about", [b"{", b"[]", b'{"info": 3}', b'{"info": {"features": [1]}}', b'{"info": "\xac"}'])
def test_a_table_that_says_nonsense_of_its_columns_is_refused(tmp_path, about):
    cells = pa.array([{"bytes": png(0), "path": "0.png"}], MEDIA)
    table = pa.table({"image": cells}).replace_schema_metadata({b"huggingface": about})
    pq.write_table(table, tmp_path / "train-0.parquet")
    with pytest.raises(ValueError, match=r"train-0\.parquet must say in JSON what its columns are .*; copy it again"):
        items([tmp_path], BOTH)


def test_a_damaged_shard_of_a_data_set_is_refused(tmp_path):
    saved(tmp_path / "d", rows([0, 1, 2], tmp_path / "files"))
    path = tmp_path / "d/data-00000-of-00001.arrow"
    whole = path.read_bytes()
    offsets = np.array([0, *np.cumsum([len(png(0)), len(png(1))])], np.int32).tobytes()  # of the bytes of the pictures
    assert whole.count(offsets) == 1
    for damaged in (whole[:100], whole[:-200], whole.replace(offsets, np.array([0, -9, 1 << 30], np.int32).tobytes())):
        path.unlink()
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"data-00000-of-00001\.arrow must be a whole table, but cannot be read"):
            items([tmp_path / "d"], BOTH)


def test_two_columns_of_one_name_are_refused_in_a_sentence(tmp_path):
    """Which of them is the picture nobody can tell; found by a damaged file."""
    cells = pa.array([{"bytes": png(0), "path": "x.png"}], pa.struct([("bytes", pa.binary()), ("path", pa.string())]))
    table = pa.Table.from_arrays([cells, cells], ["image", "image"])
    (tmp_path / "d").mkdir()
    with pa.OSFile(str(tmp_path / "d/data-0.arrow"), "wb") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    put(tmp_path / "d", {"state.json": json.dumps({"_data_files": [{"filename": "data-0.arrow"}]})})
    with pytest.raises(ValueError, match=r"data-0\.arrow must be a whole table, .*several columns are called image"):
        items([tmp_path / "d"], BOTH)

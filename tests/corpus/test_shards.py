"""What is written comes back, whole or not at all; what is damaged or foreign is refused in a sentence."""

import json
import os
import random
import re
import resource
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from tokenmask.corpus import Corpus, CorpusWriter, Record, keys
from tokenmask.corpus.columns import LISTED, shard_schema, to_table
from tokenmask.corpus.keys import Keys
from tokenmask.corpus.table import RecordTable
from tokenmask.streams import StreamSpec, TokenStream

Specs = dict[str, StreamSpec]
Records = Callable[..., list[Record]]
Write = Callable[..., Corpus]


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def refusal(folder: Path, **arguments: object) -> str:
    with pytest.raises(ValueError) as caught:
        list(Corpus(folder, **arguments))  # type: ignore[arg-type]
    text = str(caught.value)
    assert "\n" not in text
    return text


# Round trips ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 7, 64, 130])
def test_records_come_back(tmp_path: Path, count: int, specs: Specs, random_records: Records, write: Write) -> None:
    records = random_records(count)
    corpus = write(tmp_path, records, records_per_shard=50, row_group=16)
    assert list(corpus) == records
    assert len(corpus) == count and corpus.specs == specs
    assert [group.num_records for group in corpus.row_groups] == [
        len(corpus.read(i)) for i in range(len(corpus.row_groups))
    ]
    assert max(group.num_records for group in corpus.row_groups) <= 16
    rows = [group.rows for split in ("train", "held-out") for group in Corpus(tmp_path, split).row_groups]
    assert all(own is not None and own.dtype == np.uint8 for own in rows)  # a number for each record of all shards
    assert sum(map(len, rows)) == count
    assert all(stream.codes.dtype == torch.int32 for record in corpus for stream in record.streams.values())


def test_records_do_not_share_memory(tmp_path: Path, random_records: Records, write: Write) -> None:
    corpus = write(tmp_path, random_records(4))
    first, second = corpus.read(0), corpus.read(0)
    first[0].streams["image"].codes.zero_()
    assert second[1:] == first[1:] and list(corpus) == second


def test_splits(tmp_path: Path, random_records: Records, write: Write) -> None:
    records = random_records(45)
    corpus = write(tmp_path, records, records_per_shard=20, row_group=8)
    for split in ("train", "held-out"):
        part = Corpus(tmp_path, split)
        assert list(part) == [record for record in records if record.split == split] and len(part) == len(list(part))
    assert len(corpus) == 45
    assert "split must be" in refusal(tmp_path, split="test")


def test_any_engine_reads_the_columns(tmp_path: Path, specs: Specs, random_records: Records, write: Write) -> None:
    records = random_records(10)
    write(tmp_path, records)
    table = pq.read_table(tmp_path / "shard-000000.parquet")
    columns = [name for name in table.schema.names if ".codes" in name]
    assert columns == [
        "image.codes",
        "sound.codes",
        "sound.codes_8",
        "caption.codes",
        "caption.codes_8",
        "caption.codes_16",
    ]
    row = table.to_pylist()[3]
    sound = records[3].streams["sound"]
    assert row["key"] == "record 3" and row["split"] == "train" and json.loads(row["metadata"]) == records[3].metadata
    flat = sound.codes.flatten().tolist()
    assert row["sound.codes"] == bytes(code % 256 for code in flat) and row["sound.grid"] == [2, 3]
    assert row["sound.codes_8"] == bytes(code // 256 for code in flat)
    assert row["sound.start_seconds"] == 1.0 and json.loads(row["sound.labels"]) == {"channel": ["left", "right"]}
    assert table.to_pylist()[1]["sound.codes"] is None and table.to_pylist()[1]["sound.grid"] is None
    stored = json.loads(table.schema.metadata[b"tokenmask_specs"])
    assert stored["format_version"] == 2 and StreamSpec.from_json(stored["specs"]["sound"]) == specs["sound"]


def test_shards_of_the_format_before_are_read(tmp_path: Path, specs: Specs, random_records: Records) -> None:
    """There codes are lists of numbers; a folder may hold both, and what is written goes on in the new one."""
    records, schema = random_records(30), shard_schema(specs, LISTED)
    columns = {name: to_table(records[:20], specs).column(name) for name in schema.names if ".codes" not in name}
    for name in specs:
        streams = [record.streams.get(name) for record in records[:20]]
        columns[f"{name}.codes"] = pa.chunked_array([[one and one.codes.flatten().tolist() for one in streams]])
    table = pa.table([columns[name].cast(schema.field(name).type) for name in schema.names], schema=schema)
    assert [str(schema.field(f"{name}.codes").type.value_type) for name in specs] == ["uint8", "uint16", "int32"]
    pq.write_table(table, tmp_path / "shard-000000.parquet", row_group_size=8)
    assert list(Corpus(tmp_path)) == records[:20]
    with CorpusWriter(tmp_path, specs) as writer:
        for record in records[20:]:
            writer.add(record)
    corpus = Corpus(tmp_path)
    assert list(corpus) == records and Corpus(tmp_path, "train").read_table(0).records() == [
        record for record in records[:8] if record.split == "train"
    ]
    tables = RecordTable.join(corpus.read_tables(range(len(corpus.row_groups))))
    assert tables.records() == records
    totals = {name: sum(corpus.read_codes(group)[name].sum() for group in range(4)) for name in specs}
    assert totals == {name: sum(r.streams[name].codes.sum() for r in records if name in r.streams) for name in specs}


def test_codes_are_stored_in_few_bits(tmp_path: Path) -> None:
    spec = StreamSpec("audio", (1024,) * 4, ("time",))
    codes = torch.randint(1024, (256, 500, 4), generator=torch.Generator().manual_seed(0), dtype=torch.int32)
    with CorpusWriter(tmp_path, {"audio": spec}, row_group=256) as writer:
        for i, one in enumerate(codes):
            writer.add(Record(str(i), {"audio": TokenStream(spec, one)}))
    bits = 8 * (tmp_path / "shard-000000.parquet").stat().st_size / codes.numel()
    assert bits < 10.7  # random codes of 10 bits cannot take less than 10


@pytest.mark.parametrize("level", [0, 1, 2])
def test_codes_beyond_their_own_level_are_refused(tmp_path: Path, level: int) -> None:
    """Also where another level has codes as large."""
    spec, wide = StreamSpec("audio", (9, 40, 7), ("time",)), StreamSpec("audio", (64,) * 3, ("time",))
    right = torch.tensor([[8, 39, 6], [0, 0, 0]], dtype=torch.int32)
    for number, most in enumerate((right, right + torch.eye(3, dtype=torch.int32)[level])):
        folder = tmp_path / str(number)
        with CorpusWriter(folder, {"audio": wide}) as writer:
            writer.add(Record("x", {"audio": TokenStream(wide, most)}))
        table = pq.read_table(folder / "shard-000000.parquet")
        if number:
            with pytest.raises(ValueError, match=r"audio has codes beyond \(9, 40, 7\)"):
                RecordTable.from_arrow(table, {"audio": spec})
        else:
            assert torch.equal(
                RecordTable.from_arrow(table, {"audio": spec}).records()[0].streams["audio"].codes, right
            )


def test_a_folder_is_continued(tmp_path: Path, specs: Specs, random_records: Records, write: Write) -> None:
    records = random_records(60)
    write(tmp_path, records[:30], records_per_shard=20)
    assert list(write(tmp_path, records[30:], records_per_shard=20)) == records
    with CorpusWriter(tmp_path, specs) as writer, pytest.raises(ValueError, match=r"unique in .*'record 5' twice"):
        writer.add(records[5])


def test_nothing_added_leaves_nothing(tmp_path: Path, specs: Specs) -> None:
    with CorpusWriter(tmp_path / "new", specs):
        pass
    assert names(tmp_path / "new") == []
    assert "holds no *.parquet shard; build the corpus first" in refusal(tmp_path / "new")
    assert "is not a folder" in refusal(tmp_path / "none")


# Whole or not at all --------------------------------------------------------------------------------------------------


def test_an_exception_leaves_whole_shards(tmp_path: Path, specs: Specs, random_records: Records) -> None:
    records = random_records(50)
    with pytest.raises(KeyError), CorpusWriter(tmp_path, specs, records_per_shard=20, row_group=4) as writer:
        for record in records:
            writer.add(record)
        raise KeyError
    assert names(tmp_path) == ["shard-000000.parquet", "shard-000001.parquet"]
    assert list(Corpus(tmp_path)) == records[:40]
    with pytest.raises(ValueError, match="before the writer is closed"):
        writer.add(Record("late", {}))


CHILD = """
import sys
sys.path[:0] = {path!r}
from tokenmask.corpus import CorpusWriter, Record
from tokenmask.streams import StreamSpec
specs = {{"text": StreamSpec("text", (9,), ("index",))}}
with CorpusWriter(sys.argv[1], specs, records_per_shard=20, row_group=4) as writer:
    for i in range(50):
        writer.add(Record(str(i), {{}}))
    print("in the third shard", flush=True)
    sys.stdin.read()
"""


def test_a_kill_leaves_whole_shards(tmp_path: Path) -> None:
    specs = {"text": StreamSpec("text", (9,), ("index",))}
    command = [sys.executable, "-c", CHILD.format(path=sys.path), str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None and child.stdout.readline() == b"in the third shard\n"
        with (
            pytest.raises(OSError, match="another writer is writing it"),
            CorpusWriter(tmp_path, specs, row_group=1) as second,
        ):
            second.add(Record("of a second writer", {}))
        child.send_signal(signal.SIGKILL)
    assert names(tmp_path) == [".shard-000002.parquet.partial", "shard-000000.parquet", "shard-000001.parquet"]
    records = [Record(str(i), {}) for i in range(50)]
    assert list(Corpus(tmp_path)) == records[:40]
    with CorpusWriter(tmp_path, specs) as writer:
        for record in records[40:]:
            writer.add(record)
    assert list(Corpus(tmp_path)) == records
    assert names(tmp_path) == [f"shard-00000{i}.parquet" for i in range(3)]


@pytest.mark.parametrize("limit", [0, 4, 5_000, 60_000])
def test_a_full_disk_leaves_whole_shards(
    tmp_path: Path, limit: int, specs: Specs, random_records: Records, write: Write
) -> None:
    """The kernel refuses to let a file grow beyond the limit, as a full disk does."""
    records = random_records(40)
    generator = torch.Generator().manual_seed(0)
    codes = torch.randint(70_000, (40_000, 1), generator=generator, dtype=torch.int32)
    large = Record("large", {"caption": TokenStream(specs["caption"], codes)})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    write(tmp_path, records)
    writer = CorpusWriter(tmp_path, specs, row_group=1)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with pytest.raises(
            OSError, match=r"shard-000001.parquet could not be written \(File too large\); nothing of it"
        ):
            writer.add(large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    writer.close()
    assert names(tmp_path) == ["shard-000000.parquet"]
    assert list(Corpus(tmp_path)) == records


def test_a_full_disk_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, specs: Specs, random_records: Records
) -> None:
    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    writer = CorpusWriter(tmp_path, specs)
    for record in random_records(3):
        writer.add(record)
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"shard-000000.parquet could not be written \(No space left on device\)"):
        writer.close()
    assert names(tmp_path) == []


# Refusals -------------------------------------------------------------------------------------------------------------


def test_every_kind_of_damage_is_found(tmp_path: Path, random_records: Records, write: Write) -> None:
    """A changed byte gives the same records (where nothing depends on it) or one sentence; never other records."""
    records = random_records(40)
    write(tmp_path, records, row_group=16)
    path = tmp_path / "shard-000000.parquet"
    good = path.read_bytes()
    chance = random.Random(0)
    found = 0
    for place in chance.sample(range(len(good)), 300):
        path.write_bytes(good[:place] + bytes([good[place] ^ 1 << chance.randrange(8)]) + good[place + 1 :])
        try:
            assert list(Corpus(tmp_path)) == records
        except ValueError as error:
            assert re.match(rf"{path} (must be a whole|is not a shard)", str(error)) and "\n" not in str(error)
            found += 1
    assert found > 150
    for size in (0, 3, 100, len(good) // 2, len(good) - 1):
        path.write_bytes(good[:size])
        assert f"{path} must be a whole Parquet shard" in refusal(tmp_path)


def test_a_damaged_shard_is_not_continued(tmp_path: Path, specs: Specs, random_records: Records, write: Write) -> None:
    write(tmp_path, random_records(5))
    (tmp_path / "shard-000000.parquet").write_bytes(b"PAR1")
    with pytest.raises(ValueError, match=r"shard-000000\.parquet must be a whole Parquet shard"):
        CorpusWriter(tmp_path, specs)


def test_a_shard_that_vanishes(tmp_path: Path, random_records: Records, write: Write) -> None:
    corpus = write(tmp_path, random_records(5))
    (tmp_path / "shard-000000.parquet").unlink()
    with pytest.raises(ValueError, match=r"shard-000000\.parquet must be a whole Parquet shard"):
        corpus.read(0)


def test_foreign_parquet(tmp_path: Path, random_records: Records, write: Write) -> None:
    write(tmp_path, random_records(5))
    shard = pq.read_table(tmp_path / "shard-000000.parquet")
    pq.write_table(shard.replace_schema_metadata(), tmp_path / "other.parquet")
    assert "other.parquet is not a shard of a tokenmask corpus: it holds no tokenmask_specs" in refusal(tmp_path)
    pq.write_table(shard.drop_columns(["sound.grid"]), tmp_path / "other.parquet")
    assert "its columns are not those of its tokenmask_specs" in refusal(tmp_path)
    text = shard.schema.metadata[b"tokenmask_specs"].replace(b"256", b"255")
    pq.write_table(
        shard.replace_schema_metadata({**shard.schema.metadata, b"tokenmask_specs": text}), tmp_path / "other.parquet"
    )
    assert "its tokenmask_specs are damaged" in refusal(tmp_path)


def test_a_foreign_fingerprint_is_refused_by_name(
    tmp_path: Path, specs: Specs, random_records: Records, write: Write
) -> None:
    records = random_records(5)
    write(tmp_path, records)
    assert Corpus(tmp_path, specs={"image": specs["image"]}).specs == specs
    other = replace(specs["image"], fingerprint="2" * 64)
    text = refusal(tmp_path, specs={"caption": specs["caption"], "image": other})
    assert "stream 'image'" in text and "111111111111 in" in text and "222222222222 in" in text and "encode it" in text
    with pytest.raises(ValueError, match="stream 'image' must be made by one tokenizer"):
        CorpusWriter(tmp_path, {**specs, "image": other})
    with CorpusWriter(tmp_path, specs) as writer, pytest.raises(ValueError, match=r"'image' .* in record 'x'"):
        writer.add(Record("x", {"image": TokenStream(other, records[0].streams["image"].codes)}))
    assert Corpus(tmp_path, specs={"midi": specs["caption"]}).specs == specs  # not in this corpus, so not its concern
    assert "stream 'image' must have one spec" in refusal(
        tmp_path, specs={"image": replace(specs["image"], grid=(None, None))}
    )
    with pytest.raises(ValueError, match="'caption' differs"):
        CorpusWriter(tmp_path, {"image": specs["image"], "sound": specs["sound"]})


def test_shards_must_agree(tmp_path: Path, specs: Specs, random_records: Records, write: Write) -> None:
    write(tmp_path / "a", random_records(3))
    with CorpusWriter(tmp_path / "b", {"image": specs["image"]}) as writer:
        writer.add(Record("x", {}))
    os.replace(tmp_path / "b/shard-000000.parquet", tmp_path / "a/shard-000001.parquet")
    assert "shard-000001.parquet has streams ['image']" in refusal(tmp_path / "a")


def test_bad_records(tmp_path: Path, specs: Specs) -> None:
    with CorpusWriter(tmp_path, specs) as writer:
        for metadata in ({"a": float("nan")}, {"a": {1, 2}}):
            with pytest.raises(ValueError, match=r"metadata must be JSON values, got .* in record 'x'"):
                writer.add(Record("x", {}, metadata))  # type: ignore[arg-type]
        writer.add(Record("x", {}))
    assert list(Corpus(tmp_path)) == [Record("x", {})]
    with pytest.raises(ValueError, match="split of record 'x' must be"):
        Record("x", {}, split="validation")
    with pytest.raises(ValueError, match="key that is not empty"):
        Record("", {})
    with pytest.raises(ValueError, match="at least 1, got 4096, 0"):
        CorpusWriter(tmp_path, specs, row_group=0)
    with pytest.raises(ValueError, match="at least one stream"):
        CorpusWriter(tmp_path, {})


def test_labels_are_those_of_the_first_record_that_has_any(
    tmp_path: Path, random_records: Records, write: Write
) -> None:
    records = random_records(40)
    first, others = replace(records[0], streams={"image": records[0].streams["image"]}), records[1:]
    assert write(tmp_path, [first, *others], records_per_shard=8, row_group=2).labels() == {
        "sound": {"channel": ("left", "right")}
    }
    assert write(tmp_path / "none", others[:2]).labels() == {}


def test_keys_are_a_set_in_few_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    words = [f"folder/{number}.png" for number in range(5000)] + ["", "\ud800", "naïve ☃", "a\nb"]
    held = Keys(words[::2])
    held.update(words[:100:2])
    assert len(held) == len(words[::2]) and all((word in held) == (place % 2 == 0) for place, word in enumerate(words))
    other = held.copy()
    other.add(words[1])
    assert words[1] in other and words[1] not in held and len(other) == len(held) + 1 and 3 not in held
    tracemalloc.start()
    large = Keys(map(str, range(100_000)))
    kept = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert len(large) == 100_000 and kept < 5.5e6
    monkeypatch.setattr(keys, "_digest", lambda word: (1 + len(word) % 2, len(word)))  # places that all collide
    crowded = Keys("x" * size for size in range(30))
    assert len(crowded) == 30 and "x" * 29 in crowded and "x" * 30 not in crowded

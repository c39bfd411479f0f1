"""Items for every engine, and what every engine must make of them: the shards of one process, byte for byte."""

import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from tests.corpus.loaders import killed_once
from tests.worlds import emoji
from tokenmask.corpus import Corpus, Engine, Item, TableEncoder, build_corpus, write_tables
from tokenmask.modalities.text import Text
from tokenmask.tokenizer import Tokenizer

SHARDS = {"records_per_shard": 20, "row_group": 8}


def words(count: int) -> list[Item]:
    """Names of emoji, every seventh held out."""
    splits = ["held-out" if number % 7 == 0 else "train" for number in range(count)]
    return [Item(e.name, {"text": Text(e.name)}, split) for e, split in zip(emoji()[:count], splits, strict=True)]


def shards(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def check(engine: Engine, tokenizer: Tokenizer, folder: Path) -> None:
    """The corpus of an engine is that of one process: bad items listed, killers listed, nothing else lost, resumed."""
    things = words(50)
    things[7] = Item("broken", {"text": partial(Text.load, folder / "none.txt")})
    things[20] = Item("unknown", {"picture": Text("a")})
    expected = build_corpus(things, {"text": tokenizer}, folder / "local", progress=False, **SHARDS)
    assert [key for key, _ in expected.failed] == ["broken", "unknown"]
    things[33] = Item(things[33].key, {"text": partial(killed_once, folder / "killed", things[33].key)}, "train")
    things.insert(40, Item("killer", {"text": partial(signal.raise_signal, signal.SIGKILL)}))
    first = build_corpus(things[:25], {"text": tokenizer}, folder / "own", progress=False, **SHARDS)
    assert first.written == 23 and first.failed == expected.failed
    rest = build_corpus(iter(things), {"text": tokenizer}, folder / "own", engine=engine, progress=False, **SHARDS)
    assert (rest.written, rest.skipped) == (25, 23) and (folder / "killed").exists()
    failed = dict(rest.failed)
    assert list(failed) == ["broken", "unknown", "killer"] and "was ended" in failed["killer"]
    assert [record for record in Corpus(folder / "own")] == [record for record in Corpus(folder / "local")]


def table_of(items: list[Item]) -> pa.Table:
    """The same items in the open form that any engine can be given."""
    rows = [{"key": item.key, "split": item.split, "text_words": str(item.media["text"])} for item in items]
    return pa.Table.from_pylist(rows)


def check_mapped(
    mapped: Callable[[TableEncoder, pa.Table], list[pa.Table]], tokenizer: Tokenizer, folder: Path
) -> None:
    """Tables that somebody maps by hand become the shards of one process, byte for byte."""
    encode, things = TableEncoder.of({"text": tokenizer}), words(50)
    build_corpus(things, {"text": tokenizer}, folder / "local", progress=False, **SHARDS)
    options: dict[str, Any] = SHARDS
    summary = write_tables(mapped(encode, table_of(things)), encode.specs, folder / "own", **options)
    assert (summary.written, summary.failed) == (50, [])
    assert shards(folder / "own") == shards(folder / "local") and len(shards(folder / "own")) == 3
    again = write_tables(mapped(encode, table_of(things)), encode.specs, folder / "own", **options)
    assert (again.written, again.skipped) == (0, 50)

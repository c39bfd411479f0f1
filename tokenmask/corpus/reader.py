"""Corpus: the shards of one folder, read a row group at a time.

Arrow: shards on disk --> **Record**.
Does not know: other corpora, shuffling, shared ids.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from tokenmask.corpus.columns import code_columns, codes_of, from_table, read_specs
from tokenmask.corpus.records import HELD_OUT, TRAIN, Record
from tokenmask.corpus.stores import Place, first_line, open_parquet, place_of, shards_of
from tokenmask.corpus.table import RecordTable
from tokenmask.streams import StreamSpec

READERS = 8  # threads that read shards, or row groups of a window
Given = TypeVar("Given")
Found = TypeVar("Found")


class RowGroup(NamedTuple):
    """Where some records lie."""

    path: Place
    number: int  # of the row group in its file
    rows: np.ndarray | None  # those of the split; None for all
    num_records: int


class Corpus:
    """The records of a folder that :class:`CorpusWriter` filled, in the order of writing.

    Opening reads the footers (and with ``split`` the split column); records are read when they are asked for.

    Args:
        folder: holds ``*.parquet`` shards; a path, or an address that fsspec opens (``s3://bucket/corpus``).
        split: only the records of "train" or of "held-out"; None for all.
        specs: what the reader expects of streams, by name; a stream that only one side has is not looked at.

    Raises:
        ValueError: no shards, a damaged or foreign shard, shards that disagree, or a stream with another spec.
    """

    def __init__(
        self, folder: str | Path, split: str | None = None, specs: Mapping[str, StreamSpec] | None = None
    ) -> None:
        if split not in (None, TRAIN, HELD_OUT):
            raise ValueError(f"split must be {TRAIN!r}, {HELD_OUT!r} or None, got {split!r}")
        self.folder, self.split = place_of(folder), split
        self.specs: dict[str, StreamSpec] = {}
        self.row_groups: list[RowGroup] = []
        shards = shards_of(self.folder)
        for path, (found, row_groups) in zip(shards, beside(partial(_opened, split=split), shards), strict=True):
            if self.specs and found != self.specs:
                check_specs(found, self.specs, str(path), complete=True)
            self.specs = self.specs or found
            self.row_groups += row_groups
        asked = {name: spec for name, spec in (specs or {}).items() if name in self.specs}
        check_specs(asked, self.specs, f"what is asked of {self.folder}")

    def __len__(self) -> int:
        return sum(group.num_records for group in self.row_groups)

    def __repr__(self) -> str:
        split = f", {self.split}" if self.split else ""
        return f"Corpus({self.folder}{split}: {len(self)} records, streams {', '.join(self.specs)})"

    def __iter__(self) -> Iterator[Record]:
        for index in range(len(self.row_groups)):
            yield from self.read(index)

    def read(self, row_group: int) -> list[Record]:
        """The records of one row group, in order.

        Raises:
            ValueError: the shard is damaged or was removed.
        """
        with self._table(row_group) as table:
            return from_table(table, self.specs)

    def read_table(self, row_group: int) -> RecordTable:
        """The records of one row group as columns, without an object for each: what training reads.

        Raises:
            ValueError: the shard is damaged or was removed.
        """
        with self._table(row_group) as table:
            return RecordTable.from_arrow(table, self.specs)

    def read_tables(self, row_groups: Sequence[int]) -> list[RecordTable]:
        """:meth:`read_table` of several row groups, read side by side: unpacking and waiting let others run.

        Raises:
            ValueError: as there, for the first of them.
        """
        return list(beside(self.read_table, row_groups))

    def read_codes(self, row_group: int) -> dict[str, Tensor]:
        """Codes alone, of all records of a row group in a row, for counting: much quicker than :meth:`read`.

        Returns:
            stream name -> int32 [places of all grids, K]; new tensors.

        Raises:
            ValueError: the shard is damaged or was removed.
        """
        columns = [column for name, spec in self.specs.items() for column in code_columns(name, spec)]
        with self._table(row_group, columns) as table:
            return {name: codes_of(table, name, spec) for name, spec in self.specs.items()}

    def labels(self) -> dict[str, dict[str, tuple[str, ...]]]:
        """stream name -> axis -> names of its entries (electrodes), as in the first record of the stream that has any.

        Raises:
            ValueError: a shard is damaged or was removed.
        """
        found: dict[str, dict[str, tuple[str, ...]]] = {}
        for index in range(len(self.row_groups)):
            names = [name for name in self.specs if name not in found]
            if not names:
                break
            with self._table(index, [f"{name}.labels" for name in names]) as table:
                for name in names:
                    for text in table.column(f"{name}.labels").unique().to_pylist():
                        if name not in found and text not in (None, "{}"):
                            found[name] = {axis: tuple(entries) for axis, entries in json.loads(text).items()}
        return found

    @contextlib.contextmanager
    def _table(self, row_group: int, columns: list[str] | None = None) -> Iterator[pa.Table]:
        path, number, rows, _ = self.row_groups[row_group]
        shard, _ = open_shard(path)
        try:
            with shard:
                table = shard.read_row_group(number, columns=columns, use_threads=False)
            yield table if rows is None else table.take(rows)
        except Exception as error:
            raise _damaged(path, error) from error


def shard_paths(folder: Path) -> list[Path]:
    """The whole shards of a folder, sorted by name; hidden files are unfinished and left out."""
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))


def beside(read: Callable[[Given], Found], given: Sequence[Given]) -> Iterator[Found]:
    """What a function finds for each, in order, with some threads at work where there are several."""
    if len(given) < 2:
        yield from map(read, given)
        return
    with ThreadPoolExecutor(min(len(given), READERS), "tokenmask-read") as readers:
        try:
            yield from readers.map(read, given)
        except BaseException:  # Ctrl-C, too
            readers.shutdown(cancel_futures=True)
            raise


def open_shard(path: Place) -> tuple[pq.ParquetFile, dict[str, StreamSpec]]:
    """Opens a shard; the caller closes it.

    Raises:
        ValueError: the file is damaged, or not a shard of a corpus.
    """
    try:
        shard = open_parquet(path)
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise _damaged(path, error) from error
    try:
        footer = shard.metadata
        if footer.num_rows != sum(footer.row_group(index).num_rows for index in range(footer.num_row_groups)):
            raise ValueError("its row groups do not add up to its rows")
        return shard, read_specs(shard.schema_arrow)
    except (ValueError, KeyError, TypeError) as error:
        shard.close()
        raise ValueError(f"{path} is not a shard of a tokenmask corpus: {error}; move it out of the folder") from error


def read_keys(path: Path, shard: pq.ParquetFile) -> list[str]:
    """The keys of a shard's records, in order.

    Raises:
        ValueError: the file is damaged.
    """
    try:
        keys: list[str] = shard.read(columns=["key"]).column("key").to_pylist()
    except (pa.ArrowException, OSError, ValueError) as error:
        raise _damaged(path, error) from error
    return keys


def check_specs(
    found: Mapping[str, StreamSpec], expected: Mapping[str, StreamSpec], where: str, *, complete: bool = False
) -> None:
    """Refuses streams that are unknown or were made by another tokenizer.

    Raises:
        ValueError: the first stream of ``found`` (with ``complete``, also of ``expected``) that has no equal opposite.
    """
    names = [*found, *(name for name in expected if complete and name not in found)]
    for name in names:
        if name not in expected or name not in found:
            raise ValueError(
                f"{where} has streams {sorted(found)}, the corpus has {sorted(expected)}: {name!r} differs"
            )
        mine, theirs = found[name], expected[name]
        if mine.fingerprint != theirs.fingerprint:
            raise ValueError(
                f"stream {name!r} must be made by one tokenizer, got fingerprint {mine.fingerprint[:12] or 'none'} in "
                f"{where} and {theirs.fingerprint[:12] or 'none'} in the corpus; encode it again with the one in use"
            )
        if mine != theirs:
            raise ValueError(f"stream {name!r} must have one spec, got {mine} in {where} and {theirs} in the corpus")


def _opened(path: Place, *, split: str | None) -> tuple[dict[str, StreamSpec], list[RowGroup]]:
    shard, specs = open_shard(path)
    with shard:
        return specs, _row_groups(path, shard, split)


def _row_groups(path: Place, shard: pq.ParquetFile, split: str | None) -> list[RowGroup]:
    sizes = [shard.metadata.row_group(index).num_rows for index in range(shard.num_row_groups)]
    if split is None:
        return [RowGroup(path, index, None, size) for index, size in enumerate(sizes)]
    try:
        column = np.array(shard.read(columns=["split"]).column("split").to_pylist())
    except (pa.ArrowException, OSError, UnicodeError) as error:
        raise _damaged(path, error) from error
    parts = np.split(column == split, np.cumsum(sizes)[:-1])
    # In the fewest bytes: there is a number for each record of all shards.
    kept = [(index, np.flatnonzero(part).astype(np.min_scalar_type(len(part)))) for index, part in enumerate(parts)]
    return [RowGroup(path, index, rows, len(rows)) for index, rows in kept if len(rows)]


def _damaged(path: Place, error: Exception) -> ValueError:
    what = f"{path} must be a whole Parquet shard, but reading it failed ({first_line(error)})"
    again = "build it again" if isinstance(path, Path) else "try again, and if it stays so build it again"
    return ValueError(f"{what}; {again}")

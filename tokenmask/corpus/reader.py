"""Corpus: the shards of one folder, read a row group at a time.

Arrow: shards on disk --> **Record**.
Does not know: other corpora, shuffling, shared ids.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from torch import Tensor

from tokenmask.corpus.columns import codes_of, from_table, read_specs
from tokenmask.corpus.records import HELD_OUT, TRAIN, Record
from tokenmask.corpus.table import RecordTable
from tokenmask.streams import StreamSpec


class RowGroup(NamedTuple):
    """Where some records lie."""

    path: Path
    number: int  # of the row group in its file
    rows: np.ndarray | None  # those of the split; None for all
    num_records: int


class Corpus:
    """The records of a folder that :class:`CorpusWriter` filled, in the order of writing.

    Opening reads the footers (and with ``split`` the split column); records are read when they are asked for.

    Args:
        folder: holds ``*.parquet`` shards.
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
        self.folder, self.split = Path(folder), split
        paths = shard_paths(self.folder)
        if not paths:
            what = "holds no *.parquet shard" if self.folder.is_dir() else "is not a folder"
            raise ValueError(
                f"a corpus is a folder of Parquet shards, but {self.folder} {what}; build the corpus first"
            )
        self.specs: dict[str, StreamSpec] = {}
        self.row_groups: list[RowGroup] = []
        for path in paths:
            shard, found = open_shard(path)
            with shard:
                if self.specs:
                    check_specs(found, self.specs, str(path), complete=True)
                self.specs = self.specs or found
                self.row_groups += _row_groups(path, shard, split)
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

    def read_codes(self, row_group: int) -> dict[str, Tensor]:
        """Codes alone, of all records of a row group in a row, for counting: much quicker than :meth:`read`.

        Returns:
            stream name -> int32 [places of all grids, K]; new tensors.

        Raises:
            ValueError: the shard is damaged or was removed.
        """
        with self._table(row_group, [f"{name}.codes" for name in self.specs]) as table:
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
        except (pa.ArrowException, OSError, ValueError, TypeError, KeyError, RuntimeError) as error:
            raise _damaged(path, error) from error


def shard_paths(folder: Path) -> list[Path]:
    """The whole shards of a folder, sorted by name; hidden files are unfinished and left out."""
    return sorted(path for path in folder.glob("*.parquet") if not path.name.startswith("."))


def open_shard(path: Path) -> tuple[pq.ParquetFile, dict[str, StreamSpec]]:
    """Opens a shard; the caller closes it.

    Raises:
        ValueError: the file is damaged, or not a shard of a corpus.
    """
    try:
        shard = pq.ParquetFile(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
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


def _row_groups(path: Path, shard: pq.ParquetFile, split: str | None) -> list[RowGroup]:
    sizes = [shard.metadata.row_group(index).num_rows for index in range(shard.num_row_groups)]
    if split is None:
        return [RowGroup(path, index, None, size) for index, size in enumerate(sizes)]
    try:
        column = np.array(shard.read(columns=["split"]).column("split").to_pylist())
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, error) from error
    parts = np.split(column == split, np.cumsum(sizes)[:-1])
    kept = [(index, np.flatnonzero(part)) for index, part in enumerate(parts)]
    return [RowGroup(path, index, rows, len(rows)) for index, rows in kept if len(rows)]


def _damaged(path: Path, error: Exception) -> ValueError:
    reason = str(error).strip().splitlines()[0].rstrip(".") if str(error).strip() else type(error).__name__
    return ValueError(f"{path} must be a whole Parquet shard, but reading it failed ({reason}); build it again")

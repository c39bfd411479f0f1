"""RecordTable: many records as columns, so that work on them is done for all at once.

Arrow: row group of a shard --**RecordTable**--> Mixture --> Packing.batch. A row is a :class:`Record`, made when asked
for. Does not know: files, order, shared ids.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import torch

from tokenmask.corpus.columns import code_type, from_columns, shard_schema, to_table
from tokenmask.corpus.records import Record
from tokenmask.streams import StreamSpec, TokenStream

_ABOUT = ("key", "split", "metadata")


@dataclass(frozen=True, eq=False)
class StreamColumn:
    """One stream of N records.

    Args:
        spec: what its codes mean.
        codes: uint8, uint16 or int32 [P, K] as the shard has them, the places of many records.
        first: int64 [N], the place in ``codes`` where those of each record begin.
        grid: int64 [N, A], sizes of the axes; 0 where a record lacks the stream.
        start_seconds: float64 [N], as in TokenStream; 0 where it lacks it.
        present: bool [N], whether it has it.
    """

    spec: StreamSpec
    codes: np.ndarray
    first: np.ndarray
    grid: np.ndarray
    start_seconds: np.ndarray
    present: np.ndarray

    @property
    def places(self) -> np.ndarray:
        """int64 [N], places of each record's grid."""
        return np.asarray(self.grid.prod(1))

    def take(self, rows: np.ndarray) -> StreamColumn:
        """The rows at int64 [M], in that order, with codes of their own."""
        return self.select(rows).packed()

    def packed(self) -> StreamColumn:
        """The same rows with their own codes alone, one after the other."""
        places = self.places
        codes, first = self.codes[ragged(self.first, places)], places.cumsum() - places
        return StreamColumn(self.spec, codes, first, self.grid, self.start_seconds, self.present)

    def select(self, rows: np.ndarray) -> StreamColumn:
        """The rows at int64 [M], in that order, on the same codes."""
        return StreamColumn(
            self.spec, self.codes, self.first[rows], self.grid[rows], self.start_seconds[rows], self.present[rows]
        )


@dataclass(frozen=True, eq=False)
class RecordTable:
    """N records.

    Args:
        streams: stream name -> its column of N rows.
        about: what else is known, of these and of others: ``key``, ``split``, ``metadata`` and ``name.labels`` as in a
            shard.
        at: int64 [N], the row of each record in ``about``.
    """

    streams: Mapping[str, StreamColumn]
    about: pa.Table
    at: np.ndarray

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def of(cls, records: Sequence[Record]) -> RecordTable:
        """The table of some records.

        Raises:
            ValueError: a stream that comes with two specs.
        """
        specs: dict[str, StreamSpec] = {}
        for record in records:
            for name, stream in record.streams.items():
                if specs.setdefault(name, stream.spec) != stream.spec:
                    raise _two_specs(name, specs[name], stream.spec)
        return cls.from_arrow(to_table(records, specs), specs)

    @classmethod
    def from_arrow(cls, table: pa.Table, specs: Mapping[str, StreamSpec]) -> RecordTable:
        """The records of a shard's table, see :mod:`tokenmask.corpus.columns`.

        Raises:
            ValueError: codes or grids that do not fit their spec.
        """
        streams = {name: StreamColumn(spec, *from_columns(table, name, spec)) for name, spec in specs.items()}
        about = table.select([*_ABOUT, *(f"{name}.labels" for name in specs)])
        return cls(streams, about, np.arange(len(about)))

    @classmethod
    def join(cls, tables: Sequence[RecordTable]) -> RecordTable:
        """The rows of some tables, one after the other.

        Raises:
            ValueError: a stream that comes with two specs.
        """
        if len(tables) == 1:
            return tables[0]
        if not tables:
            return cls({}, shard_schema({}).empty_table(), np.zeros(0, np.int64))
        specs: dict[str, StreamSpec] = {}
        for table in tables:
            for name, column in table.streams.items():
                if specs.setdefault(name, column.spec) != column.spec:
                    raise _two_specs(name, specs[name], column.spec)
        streams = {
            name: _joined([table.streams.get(name) or _nothing(spec, len(table)) for table in tables])
            for name, spec in specs.items()
        }
        shifts = np.cumsum([0, *(len(table.about) for table in tables[:-1])])
        at = np.concatenate([table.at + shift for table, shift in zip(tables, shifts, strict=True)])
        return cls(streams, pa.concat_tables([table.about for table in tables], promote_options="default"), at)

    def take(self, rows: np.ndarray) -> RecordTable:
        """The rows at int64 [M], in that order, with codes of their own; repeats allowed."""
        streams = {name: column.take(rows) for name, column in self.streams.items()}
        return RecordTable(streams, self.about, self.at[rows])

    def select(self, rows: np.ndarray) -> RecordTable:
        """The rows at int64 [M], in that order, on the codes of all; repeats allowed."""
        streams = {name: column.select(rows) for name, column in self.streams.items()}
        return RecordTable(streams, self.about, self.at[rows])

    def records(self, rows: Iterable[int] | None = None) -> list[Record]:
        """The records of some rows, or of all, with codes of their own.

        Raises:
            ValueError: labels that do not fit their stream.
        """
        chosen = np.arange(len(self)) if rows is None else np.fromiter(rows, np.int64)
        about = self.about.take(pa.array(self.at[chosen])).to_pydict()
        return [
            Record(key, self._streams(int(row), number, about), json.loads(metadata), split)
            for number, (row, key, metadata, split) in enumerate(
                zip(chosen, about["key"], about["metadata"], about["split"], strict=True)
            )
        ]

    def _streams(self, row: int, number: int, about: Mapping[str, Sequence[str | None]]) -> dict[str, TokenStream]:
        found = {}
        for name, column in self.streams.items():
            if column.present[row]:
                grid, first = column.grid[row], int(column.first[row])
                codes = torch.from_numpy(column.codes[first : first + int(grid.prod())].astype(np.int32))
                labels = json.loads(about[f"{name}.labels"][number] or "{}")
                found[name] = TokenStream(
                    column.spec,
                    codes.view(*grid.tolist(), column.spec.num_levels),
                    float(column.start_seconds[row]),
                    {axis: tuple(names) for axis, names in labels.items()},
                )
        return found


def ragged(first: np.ndarray, count: np.ndarray) -> np.ndarray:
    """int64 [sum of counts]: first[0], first[0] + 1, ... (count[0] of them), first[1], ...; both int64 [N]."""
    return np.asarray(np.arange(count.sum()) + np.repeat(first - (count.cumsum() - count), count))


def table_positions(table: RecordTable) -> np.ndarray:
    """int64 [N], :func:`num_positions` of every record."""
    total = np.zeros(len(table), np.int64)
    for column in table.streams.values():
        total += np.where(column.present, column.places, 0)
    return total


def _joined(columns: Sequence[StreamColumn]) -> StreamColumn:
    shifts = np.cumsum([0, *(len(column.codes) for column in columns[:-1])])
    return StreamColumn(
        columns[0].spec,
        np.concatenate([column.codes for column in columns]),
        np.concatenate([column.first + shift for column, shift in zip(columns, shifts, strict=True)]),
        np.concatenate([column.grid for column in columns]),
        np.concatenate([column.start_seconds for column in columns]),
        np.concatenate([column.present for column in columns]),
    )


def _nothing(spec: StreamSpec, rows: int) -> StreamColumn:
    return StreamColumn(
        spec,
        np.zeros((0, spec.num_levels), code_type(spec)),
        np.zeros(rows, np.int64),
        np.zeros((rows, len(spec.axes)), np.int64),
        np.zeros(rows),
        np.zeros(rows, bool),
    )


def _two_specs(name: str, one: StreamSpec, other: StreamSpec) -> ValueError:
    return ValueError(
        f"stream {name!r} must have one spec in all records, got {one} and {other}; encode it by one tokenizer"
    )

"""The table of a shard: how records become Parquet columns, and back.

A shard has one row a record: ``key``, ``split`` and ``metadata`` (JSON), and for each stream ``name.codes`` (the
grid's codes in row-major order, levels last, as bytes), ``name.grid``, ``name.start_seconds`` and ``name.labels``
(JSON). Codes of more than 8 bits have their bits from the eighth on in ``name.codes_8``, likewise 16 and 24, since high
bytes alone pack well. All are null where a record lacks the stream. The StreamSpecs stand in the file's key-value
metadata under ``tokenmask_specs``. In shards of format version 1 ``name.codes`` are lists of numbers, which Parquet
takes eight times as long to read; they are read too.
Does not know: folders, order, splits.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from tokenmask.corpus.records import Record
from tokenmask.streams import StreamSpec, TokenStream

FORMAT_VERSION, LISTED = 2, 1  # what is written, and before, when codes were lists
SPECS_KEY, CHECKSUM_KEY = b"tokenmask_specs", b"tokenmask_specs_crc32"


def code_type(spec: StreamSpec) -> np.dtype[Any]:
    """The smallest of uint8, uint16 and int32 that holds every code of a stream, little endian."""
    largest = max(spec.codebook_sizes) - 1
    return np.dtype("u1" if largest < 2**8 else "<u2" if largest < 2**16 else "<i4")


def code_columns(name: str, spec: StreamSpec) -> list[str]:
    """The columns that the bytes of a stream's codes stand in, lowest bytes first."""
    count = -(-(max(spec.codebook_sizes) - 1).bit_length() // 8)
    return [f"{name}.codes", *(f"{name}.codes_{8 * place}" for place in range(1, count))]


def shard_schema(specs: Mapping[str, StreamSpec], version: int = FORMAT_VERSION) -> pa.Schema:
    """The columns of a shard, with the specs in its metadata."""
    specs_json = {name: spec.to_json() for name, spec in specs.items()}
    text = json.dumps({"format_version": version, "specs": specs_json}).encode()
    return _columns(specs, version).with_metadata({SPECS_KEY: text, CHECKSUM_KEY: str(zlib.crc32(text)).encode()})


def _columns(specs: Mapping[str, StreamSpec], version: int) -> pa.Schema:
    fields = [pa.field(name, pa.string(), nullable=False) for name in ("key", "split", "metadata")]
    for name, spec in specs.items():
        if version == FORMAT_VERSION:
            fields += [pa.field(column, pa.large_binary()) for column in code_columns(name, spec)]
        else:
            item = pa.field("item", pa.from_numpy_dtype(code_type(spec)), nullable=False)
            fields.append(pa.field(f"{name}.codes", pa.list_(item)))
        fields += [
            pa.field(f"{name}.grid", pa.list_(pa.field("item", pa.int32(), nullable=False))),
            pa.field(f"{name}.start_seconds", pa.float64()),
            pa.field(f"{name}.labels", pa.string()),
        ]
    return pa.schema(fields)


def read_specs(schema: pa.Schema) -> dict[str, StreamSpec]:
    """The specs of a shard.

    Raises:
        ValueError: no specs, damaged specs, another format version, or columns that do not fit the specs.
    """
    metadata = schema.metadata or {}
    if SPECS_KEY not in metadata:
        raise ValueError("it holds no tokenmask_specs")
    if str(zlib.crc32(metadata[SPECS_KEY])).encode() != metadata.get(CHECKSUM_KEY):
        raise ValueError("its tokenmask_specs are damaged")
    values = json.loads(metadata[SPECS_KEY])
    version = values["format_version"]
    if version not in (LISTED, FORMAT_VERSION):
        raise ValueError(f"it has format version {version}, this tokenmask reads {LISTED} and {FORMAT_VERSION}")
    specs = {name: StreamSpec.from_json(spec) for name, spec in values["specs"].items()}
    if not schema.remove_metadata().equals(_columns(specs, version)):
        raise ValueError("its columns are not those of its tokenmask_specs")
    return specs


def to_table(records: Sequence[Record], specs: Mapping[str, StreamSpec]) -> pa.Table:
    """One row a record, in order."""
    schema = shard_schema(specs)
    columns: list[pa.Array] = [
        pa.array([record.key for record in records], pa.string()),
        pa.array([record.split for record in records], pa.string()),
        pa.array([json.dumps(dict(record.metadata)) for record in records], pa.string()),
    ]
    for name, spec in specs.items():
        streams = [record.streams.get(name) for record in records]
        codes = [None if stream is None else stream.codes.cpu().numpy().ravel().astype("<i4") for stream in streams]
        columns += [
            pa.array(
                [own if own is None else own.view(np.uint8)[place::4].tobytes() for own in codes], pa.large_binary()
            )
            for place in range(len(code_columns(name, spec)))
        ]
        columns += [
            pa.array([stream and stream.grid for stream in streams], schema.field(f"{name}.grid").type),
            pa.array([stream and stream.start_seconds for stream in streams], pa.float64()),
            pa.array(
                [stream and json.dumps({axis: list(n) for axis, n in stream.labels.items()}) for stream in streams],
                pa.string(),
            ),
        ]
    return pa.table(columns, schema=schema)


def written_so(specs: Mapping[str, StreamSpec]) -> dict[str, Any]:
    """How Parquet writes these columns: codes as they are, since a dictionary or bounds of them say nothing."""
    codes = {column for name, spec in specs.items() for column in code_columns(name, spec)}
    others = [name for name in shard_schema(specs).names if name not in codes]
    return {"compression": "zstd", "use_dictionary": others, "write_statistics": others, "write_page_checksum": True}


def from_table(table: pa.Table, specs: Mapping[str, StreamSpec]) -> list[Record]:
    """The records of a table that :func:`to_table` made.

    Raises:
        ValueError: codes, grids or labels that do not fit their spec.
    """
    keys, splits, metadata = (table.column(name).to_pylist() for name in ("key", "split", "metadata"))
    rows: list[dict[str, TokenStream]] = [{} for _ in keys]
    for name, spec in specs.items():
        for row, stream in zip(rows, streams_in(table, name, spec), strict=True):
            if stream is not None:
                row[name] = stream
    parts = zip(keys, rows, map(json.loads, metadata), splits, strict=True)
    return [Record(*part) for part in parts]


Columns = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def from_columns(table: pa.Table, name: str, spec: StreamSpec) -> Columns:
    """One stream of all records, without an object for each.

    Returns:
        ([places, K] of :func:`code_type`, codes; int64 [N], the place where those of each record begin;
        int64 [N, axes], grids, 0 where a record lacks the stream; float64 [N], start_seconds, 0 there; bool [N],
        whether it has it).

    Raises:
        ValueError: codes or grids that do not fit the spec.
    """
    codes, grids, starts = (
        table.column(f"{name}.{part}").combine_chunks() for part in ("codes", "grid", "start_seconds")
    )
    present = grids.is_valid().to_numpy(zero_copy_only=False)
    axes, levels = len(spec.axes), spec.num_levels
    sizes = np.diff(grids.offsets.to_numpy())
    filled = (codes.is_valid().to_numpy(zero_copy_only=False), starts.is_valid().to_numpy(zero_copy_only=False))
    if any((one != present).any() for one in filled) or (sizes[present] != axes).any():
        raise ValueError(f"{name} has codes, grids or starts that do not belong together")
    grid = np.zeros((len(present), axes), np.int64)
    grid[present] = grids.flatten().to_numpy(zero_copy_only=False).reshape(-1, axes)
    for axis, size in enumerate(spec.grid):
        if (grid < 0).any() or (size is not None and (grid[present, axis] != size).any()):
            raise ValueError(f"{name} has grids that are not {spec.grid}")
    values, bounds = _values(table, name, spec)
    if (np.diff(bounds)[present] != grid[present].prod(1) * levels).any():
        raise ValueError(f"{name} has other codes than its grids say")
    if len(values) % levels or (bounds[:-1][present] % levels).any():
        raise ValueError(f"{name} has codes where it has no grid")
    places = values.reshape(-1, levels)
    most = values.max(initial=0)  # of all levels at once, in a tenth of the time that one after the other takes
    beyond = [size for level, size in enumerate(spec.codebook_sizes) if most >= size <= places[:, level].max(initial=0)]
    if beyond or (values.dtype.kind == "i" and values.min(initial=0) < 0):
        raise ValueError(f"{name} has codes beyond {spec.codebook_sizes}")
    seconds = np.where(present, starts.fill_null(0.0).to_numpy(zero_copy_only=False), 0.0)
    return places, bounds[:-1] // levels, grid, seconds, present


def _values(table: pa.Table, name: str, spec: StreamSpec) -> tuple[np.ndarray, np.ndarray]:
    """All codes of a stream, one row after the other, and int64 [N + 1], where those of each row begin and end."""
    codes = table.column(f"{name}.codes").combine_chunks()
    if pa.types.is_list(codes.type):
        bounds = codes.offsets.to_numpy().astype(np.int64)
        return codes.values.to_numpy(zero_copy_only=False)[bounds[0] : bounds[-1]], bounds - bounds[0]
    low, bounds = _bytes(codes)
    kind, more = code_type(spec), code_columns(name, spec)[1:]
    if not more:
        return low, bounds
    planes = np.zeros((len(low), kind.itemsize), np.uint8)
    planes[:, 0] = low
    for place, column in enumerate(more, 1):
        own, others = _bytes(table.column(column).combine_chunks())
        if not np.array_equal(others, bounds):
            raise ValueError(f"{name} has another number of bytes in {column} than in {name}.codes")
        planes[:, place] = own
    return planes.view(kind)[:, 0], bounds


def _bytes(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """The bytes of all rows, and int64 [N + 1], where those of each row begin and end."""
    if not len(column):
        return np.zeros(0, np.uint8), np.zeros(1, np.int64)
    _, offsets, data = column.buffers()
    bounds = np.frombuffer(offsets, np.int64)[column.offset :][: len(column) + 1]
    return np.frombuffer(data or b"", np.uint8)[bounds[0] : bounds[-1]], bounds - bounds[0]


def codes_of(table: pa.Table, name: str, spec: StreamSpec) -> Tensor:
    """All codes of a stream, record after record: int32 [places, K].

    Raises:
        ValueError: codes that do not fit the spec.
    """
    values, _ = _values(table, name, spec)
    codes = torch.from_numpy(values.astype(np.int32)).view(-1, spec.num_levels)
    if bool((codes >= torch.tensor(spec.codebook_sizes)).any()):
        raise ValueError(f"{name} has codes beyond {spec.codebook_sizes}")
    return codes


def streams_in(table: pa.Table, name: str, spec: StreamSpec) -> list[TokenStream | None]:
    """One stream of all rows of a table, None where a row lacks it.

    Raises:
        ValueError: codes, grids or labels that do not fit the spec.
    """
    values, bounds = _values(table, name, spec)
    grids, starts, labels = (table.column(f"{name}.{part}").to_pylist() for part in ("grid", "start_seconds", "labels"))
    streams: list[TokenStream | None] = []
    for row, (grid, start, label) in enumerate(zip(grids, starts, labels, strict=True)):
        if grid is None:
            streams.append(None)
            continue
        flat = torch.from_numpy(values[bounds[row] : bounds[row + 1]].astype(np.int32))
        names = {} if label == "{}" else {axis: tuple(entries) for axis, entries in json.loads(label).items()}
        streams.append(TokenStream(spec, flat.view(*grid, spec.num_levels), start, names))
    return streams

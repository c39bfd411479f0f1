"""The table of a shard: how records become Parquet columns, and back.

A shard has one row a record: ``key``, ``split`` and ``metadata`` (JSON), and for each stream ``name.codes`` (the grid's
codes in row-major order, levels last), ``name.grid``, ``name.start_seconds`` and ``name.labels`` (JSON). The four are
null where a record lacks the stream. The StreamSpecs stand in the file's key-value metadata under ``tokenmask_specs``.
Does not know: folders, order, splits.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from tokenmask.corpus.records import Record
from tokenmask.streams import StreamSpec, TokenStream

FORMAT_VERSION = 1
SPECS_KEY, CHECKSUM_KEY = b"tokenmask_specs", b"tokenmask_specs_crc32"


def code_type(spec: StreamSpec) -> pa.DataType:
    """The smallest of uint8, uint16 and int32 that holds every code of a stream."""
    largest = max(spec.codebook_sizes) - 1
    return pa.uint8() if largest < 2**8 else pa.uint16() if largest < 2**16 else pa.int32()


def shard_schema(specs: Mapping[str, StreamSpec]) -> pa.Schema:
    """The columns of a shard, with the specs in its metadata."""
    fields = [pa.field(name, pa.string(), nullable=False) for name in ("key", "split", "metadata")]
    for name, spec in specs.items():
        fields += [
            pa.field(f"{name}.codes", pa.list_(pa.field("item", code_type(spec), nullable=False))),
            pa.field(f"{name}.grid", pa.list_(pa.field("item", pa.int32(), nullable=False))),
            pa.field(f"{name}.start_seconds", pa.float64()),
            pa.field(f"{name}.labels", pa.string()),
        ]
    specs_json = {name: spec.to_json() for name, spec in specs.items()}
    text = json.dumps({"format_version": FORMAT_VERSION, "specs": specs_json}).encode()
    return pa.schema(fields, metadata={SPECS_KEY: text, CHECKSUM_KEY: str(zlib.crc32(text)).encode()})


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
    if values["format_version"] != FORMAT_VERSION:
        raise ValueError(f"it has format version {values['format_version']}, this tokenmask reads {FORMAT_VERSION}")
    specs = {name: StreamSpec.from_json(spec) for name, spec in values["specs"].items()}
    if not schema.remove_metadata().equals(shard_schema(specs).remove_metadata()):
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
    for name in specs:
        streams = [record.streams.get(name) for record in records]
        codes_type = schema.field(f"{name}.codes").type
        columns += [
            _list_array(
                [None if stream is None else stream.codes.cpu().numpy().ravel() for stream in streams], codes_type
            ),
            pa.array([stream and stream.grid for stream in streams], schema.field(f"{name}.grid").type),
            pa.array([stream and stream.start_seconds for stream in streams], pa.float64()),
            pa.array(
                [stream and json.dumps({axis: list(n) for axis, n in stream.labels.items()}) for stream in streams],
                pa.string(),
            ),
        ]
    return pa.table(columns, schema=schema)


def _list_array(rows: Sequence[np.ndarray | None], kind: pa.ListType) -> pa.Array:
    lengths = np.array([0 if row is None else len(row) for row in rows])
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    present = [row for row in rows if row is not None]
    values = np.concatenate(present) if present else np.zeros(0, np.int32)
    missing = pa.array([row is None for row in rows])
    return pa.ListArray.from_arrays(
        offsets, pa.array(values.astype(kind.value_type.to_pandas_dtype())), kind, mask=missing
    )


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
        (int32 [places, K], codes; int64 [N], the place where those of each record begin; int64 [N, axes], grids, 0
        where a record lacks the stream; float64 [N], start_seconds, 0 there; bool [N], whether it has it).

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
    bounds = codes.offsets.to_numpy().astype(np.int64)
    if (np.diff(bounds)[present] != grid[present].prod(1) * levels).any():
        raise ValueError(f"{name} has other codes than its grids say")
    values = codes.values.to_numpy(zero_copy_only=False)[bounds[0] : bounds[-1]].astype(np.int32)
    if len(values) % levels or ((bounds[:-1] - bounds[0])[present] % levels).any():
        raise ValueError(f"{name} has codes where it has no grid")
    places = values.reshape(-1, levels)
    if ((places < 0) | (places >= np.array(spec.codebook_sizes, np.int32))).any():
        raise ValueError(f"{name} has codes beyond {spec.codebook_sizes}")
    seconds = np.where(present, starts.fill_null(0.0).to_numpy(zero_copy_only=False), 0.0)
    return places, (bounds[:-1] - bounds[0]) // levels, grid, seconds, present


def codes_of(table: pa.Table, name: str, spec: StreamSpec) -> Tensor:
    """All codes of a stream, record after record: int32 [places, K].

    Raises:
        ValueError: codes that do not fit the spec.
    """
    values = table.column(f"{name}.codes").combine_chunks().flatten().to_numpy(zero_copy_only=False)
    codes = torch.from_numpy(values.astype(np.int32)).view(-1, spec.num_levels)
    if bool((codes >= torch.tensor(spec.codebook_sizes)).any()):
        raise ValueError(f"{name} has codes beyond {spec.codebook_sizes}")
    return codes


def streams_in(table: pa.Table, name: str, spec: StreamSpec) -> list[TokenStream | None]:
    """One stream of all rows of a table, None where a row lacks it.

    Raises:
        ValueError: codes, grids or labels that do not fit the spec.
    """
    codes = table.column(f"{name}.codes").combine_chunks()
    values = codes.values.to_numpy(zero_copy_only=False)
    bounds = codes.offsets.to_numpy()
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

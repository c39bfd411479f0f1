"""Tables of items and of token columns: what an engine is given, and what it gives back.

Arrow: Item --item_table--> table --TableEncoder--> token table --**streams_of**--> TokenStreams, or reasons.
Does not know: how a table is encoded, where, or in which company.

A token table has the columns of a shard (:mod:`tokenmask.corpus.columns`), codes as lists of int32 (engines on
the JVM have no unsigned integers), and two more: ``refused``, why there are no codes, null where there are; and
``told``, what was warned of while the rows up to the next one were encoded.
"""

from __future__ import annotations

import hmac
import json
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from tokenmask.corpus.columns import streams_in
from tokenmask.corpus.engines.words import from_bytes, to_bytes
from tokenmask.corpus.items import Item, Streams, sentence
from tokenmask.corpus.records import TRAIN
from tokenmask.streams import StreamSpec

SEALED = "sealed"  # the column of media that are objects of Python; what opens it must have sealed it
KEY, SPLIT, METADATA = "key", "split", "metadata"
REFUSED, TOLD = "refused", "told"
_SIGNED = 32  # bytes before media that say who made them


def item_table(items: Sequence[Item], seal: bytes) -> pa.Table:
    """Items of Python as a table that an encoder with the same ``seal`` opens.

    Args:
        items: keys, splits and metadata stay here; rows are told apart by their order.
        seal: some secret bytes; media that carry none of theirs are never opened, since they name functions to call.

    Raises:
        ValueError: media that cannot be said in words, see :func:`tokenmask.corpus.engines.words.to_bytes`.
    """
    rows = []
    for item in items:
        data = to_bytes(dict(item.media))
        rows.append(hmac.digest(seal, data, "sha256") + data)
    keys = [item.key.encode(errors="backslashreplace").decode() for item in items]
    return pa.table({KEY: pa.array(keys, pa.string()), SEALED: pa.array(rows, pa.binary())})


def unsealed(data: bytes, seal: bytes) -> Mapping[str, Any]:
    """The media of a row.

    Raises:
        ValueError: it was sealed by somebody else.
    """
    signed, data = data[:_SIGNED], data[_SIGNED:]
    if not seal or not hmac.compare_digest(hmac.digest(seal, data, "sha256"), signed):
        raise ValueError(
            "sealed media are opened only by the encoder they were made for, got others; give NAME_path or NAME_words"
        )
    media: Mapping[str, Any] = from_bytes(data)
    return media


def token_schema(specs: Mapping[str, StreamSpec]) -> pa.Schema:
    """The columns of a token table, see above."""
    fields = [pa.field(name, pa.string()) for name in (KEY, SPLIT, METADATA)]
    for name in specs:
        fields += [
            pa.field(f"{name}.codes", pa.list_(pa.int32())),
            pa.field(f"{name}.grid", pa.list_(pa.int32())),
            pa.field(f"{name}.start_seconds", pa.float64()),
            pa.field(f"{name}.labels", pa.string()),
        ]
    return pa.schema([*fields, pa.field(REFUSED, pa.string()), pa.field(TOLD, pa.list_(pa.string()))])


def token_table(
    table: pa.Table, results: Sequence[Streams | Exception], specs: Mapping[str, StreamSpec], told: Sequence[str] = ()
) -> pa.Table:
    """What became of the rows of a table of items."""
    count, columns = len(results), table.column_names
    filled = {SPLIT: TRAIN, METADATA: "{}"}
    made = [
        table.column(name).cast(pa.string()) if name in columns else pa.array([filled.get(name)] * count, pa.string())
        for name in (KEY, SPLIT, METADATA)
    ]
    schema = token_schema(specs)
    for name in specs:
        streams = [None if isinstance(result, Exception) else result.get(name) for result in results]
        made += [
            pa.array([s and s.codes.cpu().numpy().ravel() for s in streams], schema.field(f"{name}.codes").type),
            pa.array([s and s.grid for s in streams], schema.field(f"{name}.grid").type),
            pa.array([s and s.start_seconds for s in streams], pa.float64()),
            pa.array(
                [s and json.dumps({axis: list(names) for axis, names in s.labels.items()}) for s in streams],
                pa.string(),
            ),
        ]
    refused = [sentence(result) if isinstance(result, Exception) else None for result in results]
    made += [
        pa.array(refused, pa.string()),
        pa.array([list(told) if row == 0 else None for row in range(count)], pa.list_(pa.string())),
    ]
    return pa.table(made, schema=schema)


def streams_of(table: pa.Table, specs: Mapping[str, StreamSpec]) -> tuple[list[Streams | Exception], list[str]]:
    """What :func:`token_table` was made of: streams or reasons by row, and all that was told.

    Raises:
        ValueError: columns that are not there, or codes that do not fit their spec.
    """
    missing = [name for name in token_schema(specs).names if name not in table.column_names]
    if missing:
        raise ValueError(f"a table of tokens must have the columns of its specs, but {missing[:3]} are missing")
    results: list[Streams | Exception] = [
        {} if reason is None else ValueError(reason) for reason in table.column(REFUSED).to_pylist()
    ]
    for name, spec in specs.items():
        for result, stream in zip(results, streams_in(table, name, spec), strict=True):
            if stream is not None and not isinstance(result, Exception):
                result[name] = stream
    return results, [words for row in table.column(TOLD).to_pylist() for words in row or ()]

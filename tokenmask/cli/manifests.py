"""Manifests: files that name media, one record a row.

Arrow: .jsonl, .csv, .parquet or .txt --**rows**--> values by stream name. Does not know: what media are.
"""

from __future__ import annotations

import csv
import datetime
import io
import json
import math
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

SUFFIXES = (".jsonl", ".csv", ".parquet")  # and .txt, a list of paths, where it cannot be text itself
Row = tuple[int, str, dict[str, Any]]


def rows(path: Path, streams: Collection[str], columns: Mapping[str, str] | None = None) -> Iterator[Row]:
    """The rows of a manifest that hold anything.

    Args:
        path: ``.jsonl`` (an object a line), ``.csv`` (with a line of names first), ``.parquet`` (a column a name) or
            ``.txt`` (a path a line, for the only stream).
        streams: names of which a row must have one.
        columns: stream name -> name of its column, for those that are called otherwise.

    Yields:
        number of the row, from 1; where it is, for messages; values by name, without those that are missing. Numbers
        that JSON does not have (NaN, infinity) become None, dates become words.

    Raises:
        ValueError: not readable as its suffix says, or a row without any of the streams.
    """
    readers = {".jsonl": _json_lines, ".csv": _csv, ".parquet": _parquet}
    found = readers[path.suffix.lower()](path) if path.suffix.lower() in readers else _paths(path, *streams)
    columns = dict(columns or {})
    for number, where, row in found:
        held = {column: value for column, value in row.items() if column not in (*columns, *columns.values())}
        named = held | {stream: row[column] for stream, column in columns.items() if column in row}
        needed = {*streams, "key", "split"}
        kept = ((name, _as_json(value)) for name, value in named.items() if value is not None)
        values = {name: value for name, value in kept if value is not None or name not in needed}
        if not any(name in values for name in streams):
            raise ValueError(
                f"{where} must have one of {', '.join(streams)}, got {str(list(row))[:60]}; name columns with "
                "--map STREAM=COLUMN"
            )
        yield number, where, values


def _as_json(value: Any) -> Any:
    """A value as JSON can hold it, where there is an obvious way."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, dict):
        return {name: _as_json(inner) for name, inner in value.items()}
    return [_as_json(inner) for inner in value] if isinstance(value, list) else value


def lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a UTF-8 file that hold more than blanks, with their numbers from 1; only line feeds end a line.

    Raises:
        ValueError: not readable as UTF-8.
    """
    found = ((number, line.removesuffix("\r")) for number, line in enumerate(_text(path).split("\n"), 1))
    return [(number, line) for number, line in found if line.strip()]


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be readable UTF-8 text, but is not ({error})") from error


def _json_lines(path: Path) -> Iterator[Row]:
    for number, line in lines(path):
        where = f"line {number} of {path}"
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{where} must be a JSON object, got {line[:40]!r} ({error})") from error
        if not isinstance(entry, dict):
            raise ValueError(f"{where} must be a JSON object, got {line[:60]!r}")
        yield number, where, entry


def _csv(path: Path) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    try:
        head = next(reader, [])
        for cells in reader:
            where = f"line {reader.line_num} of {path}"
            if len(cells) > len(head):
                raise ValueError(f"{where} must have at most the {len(head)} cells of the first line, got {len(cells)}")
            if any(cells):
                yield reader.line_num, where, {name: cell for name, cell in zip(head, cells, strict=False) if cell}
    except csv.Error as error:
        raise ValueError(f"{path} must be a CSV table, but line {reader.line_num} is not ({error})") from error


def _parquet(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches(1024):
                for row in batch.to_pylist():
                    number += 1
                    yield number, f"row {number} of {path}", row
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} must be a whole Parquet table, but cannot be read ({reason})") from error


def _paths(path: Path, stream: str) -> Iterator[Row]:
    for number, line in lines(path):
        yield number, f"line {number} of {path}", {stream: line.strip()}

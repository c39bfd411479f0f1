"""Data sets of the library `datasets`: saved to disk (tables of Arrow beside state.json), or Parquet as on its hub.

Arrow: folder --**saved_datasets**--> entries. Does not know: other layouts, how media are read.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tokenmask.cli.layouts.entry import WORDS, Entry, Layout, captions, left_out, modality_of, split_of, told
from tokenmask.cli.manifests import as_json
from tokenmask.cli.media import suffixes_of
from tokenmask.cli.packed import Part, check_names, holds_media, table
from tokenmask.cli.spool import Spool
from tokenmask.corpus.columns import SPECS_KEY

Classes = Mapping[str, list[str]]  # names of the numbers in a column
Shards = list[tuple[Path, Classes, str | None]]  # with the split


def saved_datasets(
    folder: Path, files: list[Path], modalities: Collection[str], columns: Mapping[str, str]
) -> Layout | None:
    """Rows of the shards; what a column of bytes and paths holds, its paths tell, or its name."""
    shards: Shards = []
    about: list[Path] = []
    for state in [name for name in files if name.name == "state.json" and len(name.parts) <= 2]:
        place = folder / state.parent
        try:
            names = [one["filename"] for one in json.loads((folder / state).read_text())["_data_files"]]
            info = place / "dataset_info.json"
            classes = _classes(json.loads(info.read_text())) if info.is_file() else {}
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise ValueError(
                f"{folder / state} must be as `datasets` saves it, but is not ({error!r}); save the data set again"
            ) from error
        shards += [(place / name, classes, split_of(state.parent)) for name in names]
        about += [folder / state, info, folder / "dataset_dict.json"]
    damaged: dict[Path, ValueError] = {}
    shards = shards or _parquet(folder, files, damaged)
    entries, blank = Spool[Entry](), list[Any]()
    taken: dict[str, str] = {}
    for path, classes, split in shards:
        try:
            held = table(path, WORDS)
        except ValueError as error:
            damaged[path] = error
            continue
        taken = _taken(held, modalities, columns)
        key = path.relative_to(folder).with_suffix("").as_posix()
        for row in range(len(held)):
            try:
                made = _entries(held, path, row, f"{key}/{row}", taken, classes, split, blank)
            except UnicodeDecodeError as error:
                problem = f"row {row} of {path} must hold words in UTF-8, but does not ({error.reason}); leave it out"
                made = [Entry(f"{key}/{row}", {}, problem=problem)]
            for entry in made:
                entries.append(entry)
    if damaged and len(entries) == 0:
        raise next(iter(damaged.values()))
    for path, reason in damaged.items():  # they fail alone, the rows of the others are read
        entries.append(Entry(path.relative_to(folder).as_posix(), {}, problem=str(reason)))
    files_read = [*about, *(path for path, _, _ in shards), *damaged]
    return Layout(f"`datasets` ({told(taken)})", entries, files_read, [*taken.values()], left_out(blank))


def _parquet(folder: Path, files: list[Path], damaged: dict[Path, ValueError]) -> Shards:
    """Tables with a column of media, and what their schema says of classes; adds to ``damaged`` what cannot be read."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    found: Shards = []
    for name in files:
        if name.suffix != ".parquet" or len(name.parts) > 3:
            continue
        try:
            schema = pq.read_schema(folder / name)
            check_names(schema)
        except (pa.ArrowException, OSError, UnicodeError) as error:  # names of columns are decoded, too
            reason = " ".join(str(error).split())
            damaged[folder / name] = ValueError(
                f"{folder / name} must be a whole Parquet table, but cannot be read ({reason}); copy it again"
            )
            continue
        own = SPECS_KEY in (schema.metadata or {})  # a shard of a corpus holds codes, as bytes
        if not own and any(holds_media(field.type) for field in schema):
            try:
                classes = _said(folder / name, (schema.metadata or {}).get(b"huggingface", b"{}"))
            except ValueError as error:
                damaged[folder / name] = error
                continue
            found.append((folder / name, classes, split_of(name.name) or split_of(name)))
    return found


def _said(path: Path, about: bytes) -> Classes:
    """Names of classes out of what a table says of itself.

    Raises:
        ValueError: that is damaged.
    """
    try:
        return _classes(json.loads(about).get("info", {}))
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path} must say in JSON what its columns are (huggingface in its metadata), but does not ({reason}); "
            "copy it again"
        ) from error


def _classes(info: Mapping[str, Any]) -> Classes:
    features = info.get("features") or {}
    return {name: kind["names"] for name, kind in features.items() if isinstance(kind, dict) and "names" in kind}


def _taken(held: Any, modalities: Collection[str], columns: Mapping[str, str]) -> dict[str, str]:
    """modality -> column."""
    taken = {one: name for one, name in columns.items() if name in held.column_names}
    files = [field.name for field in held.schema if holds_media(field.type) and field.name not in WORDS]
    for name in files:
        sample = next((path for cell in held[name][:64] if (path := _path(cell))), "")
        modality = modality_of(sample, modalities) or (name if name in modalities else None)
        modality = modality or modality_of(f"a.{name}", modalities)  # jpg, wav: as WebDataset calls its members
        if modality is not None:
            taken.setdefault(modality, name)
    media = [one for one in modalities if one != "text"]
    if len(files) == len(media) == 1:
        taken.setdefault(media[0], files[0])
    words = next((one for one in WORDS if one in held.column_names), None)
    if "text" in modalities and words is not None:
        taken.setdefault("text", words)
    return taken


def _entries(
    held: Any,
    path: Path,
    row: int,
    key: str,
    taken: Mapping[str, str],
    classes: Classes,
    split: str | None,
    blank: list[Any],
) -> list[Entry]:
    """The records of a row: one, or one for each of a list of captions; a class without a name (-1) is no words."""
    media: dict[str, str | Path | Part] = {}
    said: list[str] = []
    for modality, column in taken.items():
        cell = held[column][row]
        if not cell.is_valid:
            continue
        if modality == "text":
            value, names = cell.as_py(), classes.get(column)
            if names is None or not isinstance(value, int):
                try:
                    said = captions(value, blank)
                except ValueError as error:
                    return [Entry(key, {}, problem=f"row {row} of {path}, {column!r}: {error}; leave the row out")]
            elif 0 <= value < len(names):
                said = [names[value]]
            continue
        name, endings = _path(cell), suffixes_of(modality)
        if isinstance(cell, Mapping) and "bytes" in cell and not cell["bytes"].is_valid:
            media[modality] = path.parent / name
            continue
        fits = Path(name).suffix.lower() in endings
        media[modality] = Part(path, (column, row), f"{row}{Path(name).suffix if fits else endings[0]}")
    rest = [name for name in held.column_names if name not in taken.values()]
    others = {name: cell for name in rest if (cell := held[name][row]).is_valid}
    files = {field.name for field in held.schema if holds_media(field.type)}
    about = {name: _path(cell) or "a file" if name in files else as_json(cell.as_py()) for name, cell in others.items()}
    return [Entry(key, media | ({"text": one} if one else {}), split, about) for one in said or [""]]


def _path(cell: Any) -> str:
    """What a cell of bytes and a path says that the file was called; "" if it does not say, or not in UTF-8."""
    if not (isinstance(cell, Mapping) and cell.is_valid and "path" in cell):  # type: ignore[attr-defined]
        return ""
    with contextlib.suppress(UnicodeDecodeError):
        return str(cell["path"].as_py() or "")
    return ""

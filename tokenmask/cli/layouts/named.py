"""Captions by the names of files, in one object of JSON: {"a.png": "a red heart", "b.png": ["a dog", "a brown dog"]}.

Arrow: folder --**named**--> entries. Does not know: other layouts, how media are read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenmask.cli.folders import CAPTIONS
from tokenmask.cli.layouts.entry import WORDS, Entry, Layout, captions, left_out, modality_of, split_of
from tokenmask.cli.manifests import as_json
from tokenmask.cli.objects import Watching
from tokenmask.files import text_of

_FIRST_KEY = re.compile(rb'(?:\xef\xbb\xbf)?\s*\{\s*"((?:[^"\\]|\\.)*)"\s*:')
_HEAD = 4096  # bytes in which the first name ends
_MOST = 64  # files of JSON that may be such; where there are more, they are one beside each of the media
_CALLED = re.compile(r"caption|^meta_cap", re.IGNORECASE)
_OTHERS = ("info", "images", "annotations", "licenses", "type", "categories", "videos")  # what COCO begins with
Files = Mapping[str, list[Path]]  # by what may name them


def named(folder: Path, files: list[Path], modalities: Collection[str], _: Mapping[str, str]) -> Layout | None:
    """A record for each caption of each file that an object names, from its own folder or this one, with its ending or
    without; captions beside the files go before. Of objects in it the words are taken, the rest is kept."""
    stems = {name.with_suffix("") for name in files if name.suffix.lower() in CAPTIONS}
    media = [name for name in files if modality_of(name.name, modalities)]
    if "text" not in modalities or not media or any(name.with_suffix("") in stems for name in media):
        return None
    lists = [name for name in files if name.suffix.lower() == ".json" and len(name.parts) <= 2]
    lists = [name for name in lists if len(lists) <= _MOST and _may_be(folder / name, modalities)]
    known = _by_name(media)
    entries: list[Entry] = []
    notes: list[str] = []
    blank: list[Any] = []
    tables: list[Path] = []
    for table in lists:
        told, double = _object(folder / table)
        if not any(_place(name, table, folder, known) for name in told):
            continue
        tables.append(folder / table)
        for number, (name, value) in enumerate(told.items(), 1):
            entries += _entries(folder, table, f"{table}:{number}", name, value, known, modalities, blank)
        empty = [entry.key for entry in entries if entry.media and "text" not in entry.media]
        if empty:
            shown = f"{empty[0]}{', ...' * (len(empty) > 1)}"
            notes.append(f"{len(empty)} have null or blanks for a caption, so no words ({shown})")
        if double:
            notes.append(f"{table} names {', '.join(double[:3])}{', ...' * (len(double) > 3)} again; the last counts")
    if not tables:
        return None
    taken = {path for entry in entries for path in entry.media.values() if isinstance(path, Path)}
    silent = [name for name in media if folder / name not in taken]
    if silent:
        notes.append(f"left out: {len(silent)} that no caption is given for ({silent[0]}{', ...' * (len(silent) > 1)})")
    notes += left_out(blank)
    names = ", ".join(str(path.relative_to(folder)) for path in tables)
    return Layout(f"{names} (captions by names of files)", entries, tables, (), notes)


def _may_be(path: Path, modalities: Collection[str]) -> bool:
    """Whether a file begins with an object whose first name is one of media, or is called captions and is no COCO."""
    try:
        with path.open("rb") as file:
            found = _FIRST_KEY.match(file.read(_HEAD))
    except OSError:
        return False
    name = found[1].decode(errors="replace") if found else ""
    called = found is not None and _CALLED.search(path.stem) is not None and name not in _OTHERS
    return called or modality_of(name, modalities) is not None


def _object(path: Path) -> tuple[dict[str, Any], list[str]]:
    """An object of JSON, and the names that it says again."""
    decoder = Watching()
    try:
        return decoder.decode(text_of(path.read_bytes())), decoder.double
    except (ValueError, OSError, RecursionError) as error:
        raise ValueError(
            f'{path} must be an object of JSON, {{"NAME": "caption", ...}}, but cannot be read ({error}); mend it, or '
            "take it out of the folder"
        ) from error


def _by_name(media: Sequence[Path]) -> Files:
    """Files by their paths and by their names alone, with and without their endings."""
    found: dict[str, list[Path]] = {}
    for path in media:
        bare = path.with_suffix("")
        for one in {path.as_posix(), path.name, bare.as_posix(), bare.name}:
            found.setdefault(one, []).append(path)
    return found


def _place(name: str, table: Path, folder: Path, known: Files) -> Path | None:
    """The file that a name is of: below the folder of the table, else below the whole, else the only one so called."""
    path = Path(name)
    if path.is_absolute() and path.is_relative_to(folder.resolve()):
        path = path.relative_to(folder.resolve())
    for one in ((table.parent / path).as_posix(), path.as_posix()):
        found = known.get(one, [])
        exact = [file for file in found if one in (file.as_posix(), file.with_suffix("").as_posix())]
        if len(exact or found) == 1:
            return folder / (exact or found)[0]
    return None


def _entries(
    folder: Path,
    table: Path,
    where: str,
    name: str,
    value: Any,
    known: Files,
    modalities: Collection[str],
    blank: list[Any],
) -> Iterator[Entry]:
    path = _place(name, table, folder, known)
    modality = modality_of(path.name, modalities) if path else None
    if path is None or modality is None:
        problem = f"{folder / table} must name files that are there, each by a name of its own, but {name!r} is none"
        yield Entry(where, {}, problem=f"{problem}; write its path below the folder, or take it out")
        return
    others: dict[str, Any] = {}
    if isinstance(value, dict):
        column = next((one for one in WORDS if one in value), None)
        others = {one: as_json(own) for one, own in value.items() if one != column}
        value = value.get(column) if column else None
    try:
        said = captions(value, blank)
    except ValueError as error:
        yield Entry(where, {}, problem=f"{folder / table}, {name!r}: {error}; mend it")
        return
    split = split_of(table) or split_of(path.relative_to(folder))
    key = path.relative_to(folder).as_posix()
    for one in said or [""]:
        words = {"text": one} if one else {}
        yield Entry(key, {modality: path, **words}, split, others)

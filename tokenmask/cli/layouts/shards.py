"""Shards: tar archives whose members of one name are one record, as WebDataset and img2dataset write them.

Arrow: .tar --**shard**--> entries. Does not know: other layouts, how media are read.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tokenmask.cli import manifests
from tokenmask.cli.layouts.entry import WORDS, Entry, Layout, modality_of, split_of, words_in
from tokenmask.cli.objects import Watching
from tokenmask.cli.packed import Part, content, members
from tokenmask.files import text_of

_ABOUT = ("json", "cls", "txt")  # endings of what is said of a record


def shard(path: Path, modalities: Collection[str], columns: Mapping[str, str] | None = None) -> Layout:
    """A .tar file whose members of one name, up to the first point, are one record, as in WebDataset.

    What follows that point is the ending, so that x.seg.png is no x.png: where one with a plain ending is there, the
    others of its modality are not looked at. Notes say how many members nobody takes: these, hidden ones, links,
    unknown endings, and the first of two of one name.

    Args:
        path: of the archive.
        modalities: that are wanted.
        columns: modality -> ending of the members that are taken as such, in place of all others.
    """
    columns = columns or {}
    groups: dict[str, dict[str, Part]] = {}
    problem = ""
    left: list[str] = []
    double: list[str] = []
    outside: dict[str, Entry] = {}
    try:
        for name, part in members(path, left):
            place = Path(name)
            if place.is_absolute() or ".." in place.parts:
                stem = name.removesuffix("".join(place.suffixes))
                told = (
                    f"{name!r} in {path} must be a name below a folder, but leads out of it; rename it in the archive"
                )
                outside.setdefault(stem, Entry(f"{path.name}:{name}", {}, problem=told))
                continue
            stem, _, ending = place.name.partition(".")
            parts = groups.setdefault((place.parent / stem).as_posix(), {})
            if ending.lower() in parts:
                double.append(name)
            elif ending.lower() not in (*_ABOUT, columns.get("text")) and modality_of(name, modalities) is None:
                left.append(name)
            parts[ending.lower()] = part
    except ValueError as error:
        problem = str(error)
    kinds, others = _kinds(Counter(end for parts in groups.values() for end in parts), modalities, columns)
    found: list[Entry] = []
    for key, parts in groups.items():
        found += _records(f"{path.stem}/{key}", parts, kinds, modalities, columns.get("text"))
    notes = [f"{path.name}: {len(left)} members not looked at ({_endings(left)})"] if left else []
    notes += [f"{path.name}: {len(double)} members come again, the last one counts ({double[0]})"] if double else []
    notes += [f"{path.name}: {one}" for one in others]
    found += outside.values()
    entries = [*found, Entry(path.name, {}, problem=problem)] if problem else found
    endings = {end for parts in groups.values() for end in parts}
    endings |= {columns["text"]} if "text" in columns and any("text" in entry.media for entry in found) else set()
    return Layout("a tar shard (WebDataset)", entries, [path], endings, notes)


def _kinds(
    endings: Mapping[str, int], modalities: Collection[str], columns: Mapping[str, str]
) -> tuple[dict[str, str], list[str]]:
    """Ending -> modality of the members that are taken, and what is to be said of it.

    Args:
        endings: of all members, and how many have each.
        modalities: that are wanted.
        columns: see :func:`shard`.
    """
    kinds: dict[str, str] = {}
    told: list[str] = []
    for modality in modalities:
        able = [end for end in endings if end not in _ABOUT and modality_of(f"x.{end}", modalities) == modality]
        wanted = columns.get(modality, "")
        plain = [end for end in able if "." not in end]
        taken = [end for end in able if end == wanted] if wanted else plain or able
        kinds |= dict.fromkeys(taken, modality)
        others = [end for end in able if end not in taken]
        if others:
            count = sum(endings[end] for end in others)
            told.append(
                f"{count} more of {modality} not looked at ({', '.join(others)}); --map {modality}=ENDING takes one in "
                f"place of {', '.join(taken) or 'none'}"
            )
        elif not wanted and not plain and able:
            each = ", a record each" if len(able) > 1 else ""
            told.append(f"{modality} is {', '.join(able)}{each}; --map {modality}=ENDING takes one alone")
    return kinds, told


def _endings(names: Collection[str]) -> str:
    """Their endings, those of hidden ones too, each once."""
    found = sorted({Path(name).suffix.lower() or Path(name).name for name in names})
    return ", ".join(found[:8]) + (", ..." if len(found) > 8 else "")


def _records(
    key: str, parts: Mapping[str, Part], kinds: Mapping[str, str], modalities: Collection[str], column: str | None
) -> list[Entry]:
    metadata: dict[str, Any] = {}
    if "json" in parts:
        try:
            decoder = Watching()
            held = decoder.decode(text_of(content(parts["json"])))
            decoder.check_once()
        except (ValueError, RecursionError) as error:
            return [Entry(key, {}, problem=f"{parts['json'].container / parts['json'].name} must be JSON ({error})")]
        metadata = manifests.as_json(held) if isinstance(held, dict) else {"json": manifests.as_json(held)}
    if "cls" in parts:
        metadata["cls"] = content(parts["cls"]).decode(errors="replace").strip()
    words: list[dict[str, str | Path | Part]] = [{}]
    if "text" in modalities:
        own = "txt" if column is None else column
        if own in parts and own not in kinds:
            words = [{"text": parts[own]}]
        else:
            where = f"{parts['json'].container / parts['json'].name}" if "json" in parts else ""
            try:
                said = words_in(metadata, WORDS if column is None else (column,))
            except ValueError as error:
                return [Entry(key, {}, problem=f"{where}, {error}; mend it")]
            words = [{"text": one} for one in said] or words
    media = {end: kinds[end] for end in parts if end in kinds}
    if len(set(media.values())) == len(media):
        together = {modality: parts[end] for end, modality in media.items()}
        return [Entry(key, {**together, **said}, None, metadata) for said in words if together or said]
    each = [(end, modality, said) for end, modality in media.items() for said in words]
    return [Entry(f"{key}.{end}", {modality: parts[end], **said}, None, metadata) for end, modality, said in each]


def shards(folder: Path, files: list[Path], modalities: Collection[str], columns: Mapping[str, str]) -> Layout | None:
    """A folder of tar archives, each of which holds records; None if it has none, or holds media beside them."""
    archives = [name for name in files if name.suffix.lower() == ".tar"]
    if not archives or any(modality_of(name.name, modalities) for name in files):
        return None
    read = {name: shard(folder / name, modalities, columns) for name in archives}
    entries = [
        entry._replace(key=(name.parent / entry.key).as_posix(), split=split_of(name))
        for name, one in read.items()
        for entry in one.entries
    ]
    notes = [note for one in read.values() for note in one.notes]
    seen = {column for one in read.values() for column in one.columns}
    return Layout(
        f"{len(archives)} tar shards (WebDataset)", entries, [folder / name for name in archives], seen, notes
    )

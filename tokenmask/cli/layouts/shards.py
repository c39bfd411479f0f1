"""Shards: tar archives whose members of one name are one record, as WebDataset and img2dataset write them.

Arrow: .tar --**shard**--> entries. Does not know: other layouts, how media are read.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tokenmask.cli import manifests
from tokenmask.cli.layouts.entry import WORDS, Entry, Layout, captions, modality_of, split_of
from tokenmask.cli.packed import Part, content, members

_ABOUT = ("json", "cls", "txt")  # endings of what is said of a record


def shard(path: Path, modalities: Collection[str]) -> Layout:
    """A .tar file whose members of one name, up to the first point, are one record, as in WebDataset.

    Notes say how many members nobody takes: hidden ones, links, unknown endings, and the first of two of one name.
    """
    groups: dict[str, dict[str, Part]] = {}
    problem = ""
    left: list[str] = []
    double: list[str] = []
    try:
        for name, part in members(path, left):
            place = Path(name)
            stem, _, ending = place.name.partition(".")
            parts = groups.setdefault((place.parent / stem).as_posix(), {})
            if ending.lower() in parts:
                double.append(name)
            elif ending.lower() not in _ABOUT and modality_of(name, modalities) is None:
                left.append(name)
            parts[ending.lower()] = part
    except ValueError as error:
        problem = str(error)
    found: list[Entry] = []
    for key, parts in groups.items():
        found += _records(f"{path.stem}/{key}", parts, modalities)
    notes = [f"{path.name}: {len(left)} members not looked at ({_endings(left)})"] if left else []
    notes += [f"{path.name}: {len(double)} members come again, the last one counts ({double[0]})"] if double else []
    entries = [*found, Entry(path.name, {}, problem=problem)] if problem else found
    return Layout("a tar shard (WebDataset)", entries, [path], (), notes)


def _endings(names: Collection[str]) -> str:
    """Their endings, those of hidden ones too, each once."""
    found = sorted({Path(name).suffix.lower() or Path(name).name for name in names})
    return ", ".join(found[:8]) + (", ..." if len(found) > 8 else "")


def _records(key: str, parts: Mapping[str, Part], modalities: Collection[str]) -> list[Entry]:
    metadata: dict[str, Any] = {}
    if "json" in parts:
        try:
            held = json.loads(content(parts["json"]))
        except (ValueError, RecursionError) as error:
            return [Entry(key, {}, problem=f"{parts['json'].container / parts['json'].name} must be JSON ({error})")]
        metadata = manifests.as_json(held) if isinstance(held, dict) else {"json": manifests.as_json(held)}
    if "cls" in parts:
        metadata["cls"] = content(parts["cls"]).decode(errors="replace").strip()
    words: list[dict[str, str | Path | Part]] = [{}]
    if "text" in modalities:
        if "txt" in parts:
            words = [{"text": parts["txt"]}]
        else:
            where = f"{parts['json'].container / parts['json'].name}" if "json" in parts else ""
            for name in WORDS:
                try:
                    said = captions(metadata[name]) if isinstance(metadata.get(name), str | list) else []
                except ValueError as error:
                    return [Entry(key, {}, problem=f"{where}, {name!r}: {error}; mend it")]
                if said:
                    del metadata[name]
                    words = [{"text": one} for one in said]
                    break
    media = {end: modality for end in parts if (modality := modality_of(f"x.{end}", modalities)) is not None}
    if len(set(media.values())) == len(media):
        together = {modality: parts[end] for end, modality in media.items()}
        return [Entry(key, {**together, **said}, None, metadata) for said in words if together or said]
    each = [(end, modality, said) for end, modality in media.items() for said in words]
    return [Entry(f"{key}.{end}", {modality: parts[end], **said}, None, metadata) for end, modality, said in each]


def shards(folder: Path, files: list[Path], modalities: Collection[str], _: Mapping[str, str]) -> Layout | None:
    """A folder of tar archives, each of which holds records; None if it has none, or holds media beside them."""
    archives = [name for name in files if name.suffix.lower() == ".tar"]
    if not archives or any(modality_of(name.name, modalities) for name in files):
        return None
    read = {name: shard(folder / name, modalities) for name in archives}
    entries = [
        entry._replace(key=(name.parent / entry.key).as_posix(), split=split_of(name))
        for name, one in read.items()
        for entry in one.entries
    ]
    notes = [note for one in read.values() for note in one.notes]
    return Layout(f"{len(archives)} tar shards (WebDataset)", entries, [folder / name for name in archives], (), notes)

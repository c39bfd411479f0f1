"""Shards: tar archives whose members of one name are one record, as WebDataset and img2dataset write them.

Arrow: .tar --**shard**--> entries. Does not know: other layouts, how media are read.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tokenmask.cli import manifests
from tokenmask.cli.layouts.entry import WORDS, Entry, Layout, modality_of, split_of
from tokenmask.cli.packed import Part, content, members


def shard(path: Path, modalities: Collection[str]) -> list[Entry]:
    """Entries of a .tar file whose members of one name, up to the first point, are one record, as in WebDataset."""
    groups: dict[str, dict[str, Part]] = {}
    problem = ""
    try:
        for name, part in members(path):
            place = Path(name)
            stem, _, ending = place.name.partition(".")
            groups.setdefault((place.parent / stem).as_posix(), {})[ending.lower()] = part
    except ValueError as error:
        problem = str(error)
    found: list[Entry] = []
    for key, parts in groups.items():
        found += _records(f"{path.stem}/{key}", parts, modalities)
    return [*found, Entry(path.name, {}, problem=problem)] if problem else found


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
    words: dict[str, str | Path | Part] = {}
    if "text" in modalities:
        told = next((name for name in WORDS if isinstance(metadata.get(name), str) and metadata[name].strip()), None)
        if "txt" in parts:
            words = {"text": parts["txt"]}
        elif told is not None:
            words = {"text": metadata.pop(told)}
    media = {end: modality for end in parts if (modality := modality_of(f"x.{end}", modalities)) is not None}
    if len(set(media.values())) == len(media):
        together = {modality: parts[end] for end, modality in media.items()}
        return [Entry(key, {**together, **words}, None, metadata)] if together or words else []
    return [Entry(f"{key}.{end}", {modality: parts[end], **words}, None, metadata) for end, modality in media.items()]


def shards(folder: Path, files: list[Path], modalities: Collection[str], _: Mapping[str, str]) -> Layout | None:
    archives = [name for name in files if name.suffix.lower() == ".tar"]
    if not archives or any(modality_of(name.name, modalities) for name in files):
        return None
    entries = [
        entry._replace(key=(name.parent / entry.key).as_posix(), split=split_of(name))
        for name in archives
        for entry in shard(folder / name, modalities)
    ]
    return Layout(f"{len(archives)} tar shards (WebDataset)", entries, [folder / name for name in archives])

"""Pictures with captions, as COCO and folders of classes lay them out.

Arrow: folder --**coco**, **class_folders**--> entries. Does not know: other layouts.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from pathlib import Path

from tokenmask.cli.layouts.entry import SPLITS, Entry, Layout, modality_of, split_of


def coco(folder: Path, files: list[Path], modalities: Collection[str], _: Mapping[str, str]) -> Layout | None:
    """annotations/captions_*.json and folders of pictures, as in COCO: a record for each caption."""
    lists = [name for name in files if name.name.startswith("captions_") and name.suffix == ".json"]
    if not lists or "image" not in modalities:
        return None
    pictures = {(name.parts[0], name.name): folder / name for name in files if modality_of(name.name, ["image"])}
    entries = []
    for name in lists:
        part = name.stem.removeprefix("captions_")
        try:
            held = json.loads((folder / name).read_text(encoding="utf-8"))
            named = {one["id"]: one["file_name"] for one in held["images"]}
            for one in held["annotations"]:
                path = pictures.get((part, named[one["image_id"]]), folder / part / named[one["image_id"]])
                words = " ".join(str(one["caption"]).split())
                entries.append(Entry(f"{part}/{one['id']}", {"image": path, "text": words}, split_of(part)))
        except (ValueError, KeyError, TypeError) as error:
            raise ValueError(f"{folder / name} must be captions as COCO writes them, but is not ({error!r})") from error
    return Layout("COCO (captions_*.json)", entries, [folder / name for name in lists])


def class_folders(folder: Path, files: list[Path], modalities: Collection[str], _: Mapping[str, str]) -> Layout | None:
    """class/x.png, or split/class/x.png (ImageFolder): the name of the folder is the caption."""
    if "text" not in modalities or any(name.suffix.lower() == ".txt" for name in files):
        return None
    media = [(name, modality) for name in files if (modality := modality_of(name.name, modalities)) is not None]
    deep = {len(name.parts) for name, _ in media}
    splits = {SPLITS.get(name.parts[0].lower()) for name, _ in media}
    if deep not in ({2}, {3}) or (deep == {3}) != (None not in splits) or len({one for _, one in media}) > 1:
        return None
    classes = {name.parts[-2] for name, _ in media}
    if len(classes) < 2:
        return None
    entries = []
    for name, modality in media:
        words = name.parts[-2].replace("_", " ")
        split = split_of(name) if deep == {3} else None
        entries.append(Entry(name.as_posix(), {modality: folder / name, "text": words}, split))
    return Layout(f"{len(classes)} folders whose names are captions (ImageFolder)", entries, [])

"""Pictures with captions, as COCO and folders of classes lay them out.

Arrow: folder --**coco**, **class_folders**--> entries. Does not know: other layouts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tokenmask.cli.folders import CAPTIONS
from tokenmask.cli.layouts.entry import SPLITS, Entry, Layout, captions, modality_of, split_of
from tokenmask.cli.objects import Watching
from tokenmask.files import text_of


def coco(folder: Path, files: list[Path], modalities: Collection[str], _: Mapping[str, str]) -> Layout | None:
    """annotations/captions_*.json and folders of pictures, as in COCO: a record for each caption."""
    lists = [name for name in files if name.name.startswith("captions_") and name.suffix == ".json"]
    if not lists or "image" not in modalities:
        return None
    pictures = {(name.parts[0], name.name): folder / name for name in files if modality_of(name.name, ["image"])}
    entries, notes, blank = [], [], 0
    for name in lists:
        part = name.stem.removeprefix("captions_")
        try:
            decoder = Watching()
            held = decoder.decode(text_of((folder / name).read_bytes()))
            if decoder.double:
                notes.append(f"{name} says {', '.join(decoder.double[:3])} again in an object; the last counts")
            named = {_id(one["id"]): one["file_name"] for one in held["images"]}
            if again := len(held["images"]) - len(named):
                notes.append(f"{name} lists {again} picture{'s' * (again > 1)} again under an id; the last counts")
            told = held["annotations"]
            for number, one in enumerate(told, 1):
                if (image := _id(one.get("image_id"))) not in named or "caption" not in one:
                    problem = (
                        f"annotation {number} of {folder / name} must have a caption and the image_id of a picture"
                    )
                    entries.append(Entry(f"{part}/annotation {number}", {}, problem=f"{problem}, got {str(one)[:80]}"))
                    continue
                path = pictures.get((part, named[image]), folder / part / named[image])
                key = f"{part}/{one.get('id', f'annotation {number}')}"
                try:
                    said = captions(one["caption"])
                except ValueError as error:
                    entries.append(Entry(key, {}, problem=f"annotation {number} of {folder / name}: {error}; mend it"))
                    continue
                blank += not said
                for words in said:
                    entries.append(Entry(key, {"image": path, "text": " ".join(words.split())}, split_of(part)))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"{folder / name} must be captions as COCO writes them, but is not ({error!r}); "
                "fetch it again, or take it out of the folder"
            ) from error
        silent = len(named.keys() - {_id(one.get("image_id")) for one in told})
        if silent:
            notes.append(f"left out: {silent} picture{'s' if silent > 1 else ''} of {name} without a caption")
    if blank:
        notes.append(f"left out: {blank} caption{'s' if blank > 1 else ''} that hold{'' if blank > 1 else 's'} nothing")
    return Layout("COCO (captions_*.json)", entries, [folder / name for name in lists], (), notes)


def _id(value: Any) -> str:
    """An id, which some write as a number and some as its digits in quotes, in one file too."""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def class_folders(folder: Path, files: list[Path], modalities: Collection[str], _: Mapping[str, str]) -> Layout | None:
    """class/x.png, or split/class/x.png (ImageFolder): the name of the folder is the caption.

    Fewer files than are in the folders may lie beside them, and have no words; fewer than half may have captions of
    their own, which go before.
    """
    if "text" not in modalities:
        return None
    found = [(name, modality) for name in files if (modality := modality_of(name.name, modalities)) is not None]
    own = {name.with_suffix(""): name for end in reversed(CAPTIONS) for name in files if name.suffix.lower() == end}
    captioned = sum(name.with_suffix("") in own for name, _ in found)
    in_splits = any(len(name.parts) == 3 and name.parts[0].lower() in SPLITS for name, _ in found)
    loose = [
        (name, modality)
        for name, modality in found
        if len(name.parts) == 1 or (in_splits and len(name.parts) == 2 and name.parts[0].lower() in SPLITS)
    ]
    without = dict(loose)
    media = [one for one in found if one[0] not in without]
    if len(loose) >= len(media) or 2 * captioned >= len(found):
        return None
    deep = {len(name.parts) for name, _ in media}
    splits = {SPLITS.get(name.parts[0].lower()) for name, _ in media}
    if deep not in ({2}, {3}) or (deep == {3}) != (None not in splits) or len({one for _, one in media}) > 1:
        return None
    classes = {name.parts[-2] for name, _ in media}
    if len(classes) < 2:
        return None
    entries = []
    for name, modality in found:
        text = own.get(name.with_suffix(""))
        words = folder / text if text else "" if name in without else name.parts[-2].replace("_", " ").strip()
        split = split_of(name) if deep == {3} else None
        entries.append(Entry(name.as_posix(), {modality: folder / name, **({"text": words} if words else {})}, split))
    notes = [f"{len(loose)} in no class folder, without its name as words: {loose[0][0]}"] if loose else []
    notes += [f"{captioned} with captions of their own, which go before the names"] if captioned else []
    return Layout(f"{len(classes)} folders whose names are captions (ImageFolder)", entries, [], (), notes)

"""Lists of five captions a picture, as Flickr8k and Flickr30k were first handed on.

Arrow: folder --**flickr**--> entries. Does not know: other layouts. With a first line of names, as on Kaggle
(captions.txt, results.csv), they are tables.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from pathlib import Path

from tokenmask.cli.layouts.entry import Entry, Layout, modality_of, split_of
from tokenmask.cli.manifests import lines
from tokenmask.corpus import HELD_OUT

_LINE = re.compile(r"([^\t#]+)#\d+\t(.*)")
_SPLIT = re.compile(r"Flickr_?\w*\.(train|dev|test)Images\.txt", re.IGNORECASE)


def flickr(folder: Path, files: list[Path], modalities: Collection[str], _: Mapping[str, str]) -> Layout | None:
    """NAME.jpg#0, a tab and a caption a line: a record for each caption; lists of names beside say the splits."""
    lists = [name for name in files if name.name.lower().endswith((".token", ".token.txt")) and len(name.parts) <= 2]
    if not lists or "image" not in modalities:
        return None
    pictures: dict[str, Path] = {}
    for name in files:
        if modality_of(name.name, ["image"]):
            pictures.setdefault(name.name, name)
    told = [name for name in files if _SPLIT.fullmatch(name.name)]
    splits: dict[str, str | None] = {}
    both: set[str] = set()
    for name in told:
        split = split_of(_SPLIT.sub(r"\1", name.name))
        for picture in (line.strip() for _, line in lines(folder / name)):
            if splits.setdefault(picture, split) != split:
                both.add(picture)
                splits[picture] = HELD_OUT  # what is measured on is learned from by nobody
    lists = [name for name in lists if "lemma" not in name.name] or lists  # the same words in their basic form
    entries, absent, blank = [], set[str](), 0
    for table in lists:
        for number, line in lines(folder / table):
            found = _LINE.fullmatch(line)
            if found is None:
                problem = f"line {number} of {folder / table} must be NAME.jpg#NUMBER, a tab and a caption"
                entries.append(Entry(f"{table}:{number}", {}, problem=f"{problem}, got {line[:60]!r}"))
            elif found[1] not in pictures:
                absent.add(found[1])
            elif found[2].strip():
                path = pictures[found[1]]
                words = " ".join(found[2].split())
                entries.append(Entry(path.as_posix(), {"image": folder / path, "text": words}, splits.get(found[1])))
            else:
                blank += 1
    notes = [f"left out: {blank} caption{'s' * (blank > 1)} of blanks only"] if blank else []
    notes += [f"left out: captions of {len(absent)} pictures that are not there ({min(absent)})"] if absent else []
    silent = len(pictures.keys() - {Path(entry.key).name for entry in entries})
    notes += [f"left out: {silent} picture{'s' if silent > 1 else ''} without a caption"] if silent else []
    notes += [f"{len(both)} are in the lists of several splits, and held out ({min(both)})"] if both else []
    tables = [folder / name for name in (*lists, *told)]
    return Layout("Flickr8k (captions by NAME.jpg#NUMBER)", entries, tables, (), notes)

"""Motions with several sentences each, as HumanML3D lays them out.

Arrow: folder --**humanml3d**--> entries. Does not know: other layouts, how motions are read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from tokenmask.cli import manifests
from tokenmask.cli.layouts.entry import Entry, Layout
from tokenmask.corpus import HELD_OUT, TRAIN

_ARRAYS = ("new_joint_vecs", "new_joints", "joints")  # the first that is there


def humanml3d(folder: Path, files: list[Path], modalities: Collection[str], _: Mapping[str, str]) -> Layout | None:
    """texts/ID.txt, lines of words#tags#from#to, beside arrays of the same ID; train.txt and the like list IDs.

    A sentence on the whole motion is a record; those on a piece of it (from and to are not 0) are kept with them.
    """
    there = set(files)
    arrays = {one: [name for name in files if name.parent == Path(one) and name.suffix == ".npy"] for one in _ARRAYS}
    home = next((one for one in _ARRAYS if arrays[one]), "")
    motions = arrays.get(home, [])
    if not motions or "motion" not in modalities or not any(name.parent == Path("texts") for name in files):
        return None
    lists = [name for name in ("train.txt", "val.txt", "test.txt") if Path(name) in there]
    splits: dict[str, str] = {}
    both: set[str] = set()
    for one in lists:
        split = TRAIN if one == "train.txt" else HELD_OUT
        for identifier in (line.strip() for _, line in manifests.lines(folder / one)):
            if splits.setdefault(identifier, split) != split:
                both.add(identifier)
                splits[identifier] = HELD_OUT  # what is measured on is learned from by nobody
    entries: list[Entry] = []
    tables = [folder / name for name in lists]
    for name in motions:
        words: list[str] = []
        pieces: list[str] = []
        texts = Path("texts") / f"{name.stem}.txt"
        if texts in there and "text" in modalities:
            tables.append(folder / texts)
            for line in [line for _, line in manifests.lines(folder / texts)]:
                said, *others = line.split("#")
                whole = all(one.strip() in ("0.0", "0", "nan", "") for one in others[1:3])
                (words if whole else pieces).append(said.strip() if whole else line.strip())
        kept = {"pieces": pieces} if pieces else {}
        for said in words or [""]:
            media: dict[str, str | Path] = {"motion": folder / name} | ({"text": said} if said else {})
            entries.append(Entry(name.stem, {**media}, splits.get(name.stem), kept))
    some = sum(len(one) for one in {entry.key: entry.metadata.get("pieces", ()) for entry in entries}.values())
    told = f"; {some} sentences on pieces are only kept with the records" if some else ""
    absent = sorted(splits.keys() - {name.stem for name in motions})
    named = ", ".join(absent[:5]) + (", ..." if len(absent) > 5 else "")
    notes = [f"{len(absent)} of the lists have no motion in {home} ({named})"] if absent else []
    notes += [f"{len(both)} are in train.txt and in another list, and held out ({min(both)})"] if both else []
    return Layout(f"HumanML3D ({home} and texts{told})", entries, tables, (), notes)

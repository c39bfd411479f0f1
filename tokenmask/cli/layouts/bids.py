"""Recordings with events, as BIDS lays them out (bids-specification 1.10, EEG).

Arrow: folder --**bids**--> entries. Does not know: other layouts, how recordings are read.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tokenmask.cli import manifests
from tokenmask.cli.layouts.entry import Entry, Layout, modality_of
from tokenmask.cli.packed import Part

_ABOUT = ("dataset_description.json", "participants.tsv", "participants.json")
_NOT_RAW = ("derivatives", "sourcedata")  # the same recordings, processed or as they came


def bids(folder: Path, files: list[Path], modalities: Collection[str], columns: Mapping[str, str]) -> Layout | None:
    """sub-01/eeg/sub-01_task-x_eeg.edf with sub-01_task-x_events.tsv.

    The kinds of its events, in the order in which they first come, are the words; what participants.tsv says of the
    subject is kept.
    """
    everywhere = [name for name in files if name.stem.endswith("_eeg") and modality_of(name.name, modalities) == "eeg"]
    recordings = [name for name in everywhere if name.parts[0] not in _NOT_RAW]
    if not recordings or not any(name.name == _ABOUT[0] or name.parts[0].startswith("sub-") for name in files):
        return None
    people = _people(folder / _ABOUT[1]) if Path(_ABOUT[1]) in files else {}
    kind = columns.get("text", "trial_type")
    tables = [folder / name for name in _ABOUT if Path(name) in files]
    entries, there = [], set(files)
    for name in recordings:
        stem = name.name.removesuffix(name.suffix).removesuffix("_eeg")
        events = name.with_name(f"{stem}_events.tsv")
        words = ""
        if "text" in modalities and events in there:
            tables.append(folder / events)
            found = (row.others.get(kind) for row in manifests.rows(folder / events, ()))
            words = ", ".join(dict.fromkeys(str(one) for one in found if one not in (None, "n/a")))
        subject = next((part for part in stem.split("_") if part.startswith("sub-")), "")
        media: dict[str, str | Path | Part] = {"eeg": folder / name}
        if words:
            media["text"] = words
        entries.append(Entry(name.as_posix(), media, None, people.get(subject, {})))
    taken = [kind] if any("text" in entry.media for entry in entries) else []
    left = len(everywhere) - len(recordings)
    notes = [f"left out: {left} recordings in {' and '.join(_NOT_RAW)}"] if left else []
    return Layout(f"BIDS (recordings, {kind} of their events is text)", entries, tables, taken, notes)


def _people(path: Path) -> dict[str, dict[str, Any]]:
    """What is said of each participant."""
    rows = (row.others for row in manifests.rows(path, ()))
    return {str(row.pop("participant_id", "")): row for row in map(dict, rows)}

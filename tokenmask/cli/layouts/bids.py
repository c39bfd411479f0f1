"""Recordings with events, as BIDS lays them out (bids-specification 1.10, EEG).

Arrow: folder --**bids**--> entries. Does not know: other layouts, how recordings are read.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from tokenmask.cli import manifests
from tokenmask.cli.layouts.entry import Entry, Layout, modality_of
from tokenmask.cli.packed import Part
from tokenmask.modalities.eeg.bids import that_apply

_ABOUT = ("dataset_description.json", "participants.tsv", "participants.json")
_SHOWN = 8  # sentences on tables of events; there may be one a recording
_NOT_RAW = ("derivatives", "sourcedata")  # the same recordings, processed or as they came


def bids(folder: Path, files: list[Path], modalities: Collection[str], columns: Mapping[str, str]) -> Layout | None:
    """sub-01/eeg/sub-01_task-x_eeg.edf with sub-01_task-x_events.tsv, or the nearest of those above that apply to it.

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
    entries, there = list[Entry](), dict[Path, list[str]]()
    for name in files:
        if name.name.endswith("events.tsv"):
            there.setdefault(name.parent, []).append(name.name)
    read: dict[Path, str] = {}
    notes: list[str] = []
    for name in recordings:
        stem = name.name.removesuffix(name.suffix).removesuffix("_eeg")
        events = next(
            (
                above / held[0]
                for above in (name.parent, *name.parent.parents)
                if (held := that_apply(there.get(above, ()), name.stem, "events.tsv"))
            ),
            None,
        )
        if "text" in modalities and events is not None and events not in read:
            tables.append(folder / events)
            rows = list(manifests.rows(folder / events, ()))
            read[events] = ", ".join(
                dict.fromkeys(str(one) for row in rows if (one := row.others.get(kind)) not in (None, "n/a"))
            )
            notes += _odd(events, rows, kind)
        words = "" if events is None else read.get(events, "")
        subject = next((part for part in stem.split("_") if part.startswith("sub-")), "")
        media: dict[str, str | Path | Part] = {"eeg": folder / name}
        if words:
            media["text"] = words
        entries.append(Entry(name.as_posix(), media, None, people.get(subject, {})))
    taken = [kind] if any("text" in entry.media for entry in entries) else []
    left = len(everywhere) - len(recordings)
    said = [f"left out: {left} recordings in {' and '.join(_NOT_RAW)}"] if left else []
    said += [*notes[:_SHOWN], *([f"the same of {len(notes) - _SHOWN} more"] if len(notes) > _SHOWN else [])]
    return Layout(f"BIDS (recordings, {kind} of their events is text)", entries, tables, taken, said)


def _odd(name: Path, rows: list[manifests.Row], kind: str) -> list[str]:
    """What is said of a table of events whose rows cannot be what they should."""
    notes = [f"{name}: not read: {row.problem}" for row in rows if not row.columns][:1]
    held = [row for row in rows if row.columns]
    timeless = [row for row in held if _seconds(row.others.get("onset")) is None]
    if timeless:
        notes.append(
            f"{name}: {len(timeless)} of {len(held)} events have no onset in seconds (line {timeless[0].number}), so "
            "when they are is not known; their kinds are words in the order of the lines"
        )
    times = [time for row in held if (time := _seconds(row.others.get("onset"))) is not None]
    if times != sorted(times):
        notes.append(f"{name}: its events are not in the order of their onsets; words are in the order of the lines")
    if held and not any(kind in row.others for row in held):
        others = ", ".join(dict.fromkeys(column for row in held for column in row.others))
        notes.append(f"{name}: no {kind} in it, so no words; its columns are {others} (--map text=COLUMN)")
    return notes


def _seconds(cell: Any) -> float | None:
    """A time, None for what is none: n/a, nothing, words."""
    try:
        value = float(str(cell))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _people(path: Path) -> dict[str, dict[str, Any]]:
    """What is said of each participant."""
    rows = (row.others for row in manifests.rows(path, ()))
    return {str(row.pop("participant_id", "")): row for row in map(dict, rows)}

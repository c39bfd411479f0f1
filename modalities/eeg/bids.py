"""What lies beside a recording in a BIDS folder: the table of its channels, and what its file of JSON says of it.

Arrow: sub-01_task-rest_eeg.edf --**sidecars**--> types, units and names out of sub-01_task-rest_channels.tsv, and the
rate in sub-01_task-rest_eeg.json, or those that stand above and hold for all below them: task-rest_eeg.json. Does not
know: samples, headers. Source: BIDS 1.10, modality specific files, electroencephalography; common principles, the
inheritance principle.
"""

from __future__ import annotations

import csv
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

NO_VOLTAGES = frozenset(
    {"TRIG", "SYSCLOCK", "AUDIO", "EYEGAZE", "GSR", "MISC", "PPG", "PUPIL", "RESP", "TEMP", "OTHER"}
)
"""Types of channels that are no voltages of a body."""

_NEAR = 0.005  # by which two rates may differ that are meant to be one: 499.97 is 500
_SHOWN = 5
Said = Mapping[str, str]  # by the name of a channel without case


class Sidecars(NamedTuple):
    """What is said of a recording beside it.

    Args:
        types: what each channel is ("EEG", "EOG", "TRIG" ...).
        bad: names of channels whose status is "bad".
        units: that the samples of each channel are in.
        names: of all channels, as they stand there; () without such a table.
        rate_hz: that all have; None where nothing says it.
        notes: what could not be read, or is there twice.
    """

    types: Said
    bad: frozenset[str]
    units: Said
    names: tuple[str, ...]
    rate_hz: float | None
    notes: tuple[str, ...]


def sidecars(path: Path) -> Sidecars:
    """What lies beside a recording; nothing where its name does not end in "_eeg" and its suffix.

    Args:
        path: of the recording; its table has "_channels.tsv" in place of "_eeg" and the suffix, its JSON "_eeg.json".
            Those of folders above apply too, up to that of the data set, if they name no entity that the recording
            does not: the nearest table, and of JSON all, where the nearer ones go before.
    """
    notes: list[str] = []
    if path.stem.rpartition("_")[2] != "eeg":
        return Sidecars({}, frozenset(), {}, (), None, ())
    tables = list(_applicable(path, "channels.tsv", notes))
    rows = _rows(tables[0], notes) if tables else []
    names = tuple(name.strip() for row in rows if (name := row.get("name")))
    counts = Counter(name.casefold() for name in names)
    if double := [name for name, count in counts.items() if count > 1]:
        notes.append(f"channels.tsv names {', '.join(double[:_SHOWN])} twice, the last row counts")
    status = _column(rows, "status")
    return Sidecars(
        {name: kind.upper() for name, kind in _column(rows, "type").items()},
        frozenset(name for name, one in status.items() if one.casefold() == "bad"),
        _column(rows, "units"),
        names,
        _rate(list(_applicable(path, "eeg.json", notes)), notes),
        tuple(notes),
    )


def levels(folder: Path) -> Iterator[Path]:
    """A folder of recordings and those above it, up to that of the data set, which holds the one of the subject."""
    folder = Path(os.path.abspath(folder))  # links stay, their targets lie elsewhere
    yield folder
    while folder.name == "eeg" or folder.name.startswith(("ses-", "sub-")):
        folder = folder.parent
        yield folder


def that_apply(names: Iterable[str], stem: str, kind: str) -> list[str]:
    """Of files of one folder those that apply to a recording, the one of most entities first.

    Args:
        names: of the files.
        stem: of the recording, "sub-01_task-rest_eeg".
        kind: how theirs end: "channels.tsv", "events.tsv", "eeg.json".
    """
    own = set(stem.split("_"))
    found = [name for name in names if name == kind or name.endswith(f"_{kind}")]
    entities = {name: name.removesuffix(kind).removesuffix("_").split("_") for name in found}
    fit = [name for name in found if set(entities[name]) <= {*own, ""}]
    return sorted(fit, key=lambda name: (-len(entities[name]), name))


def _applicable(path: Path, kind: str, notes: list[str]) -> Iterator[Path]:
    """The one of each level, the nearest first."""
    for folder in levels(path.parent):
        found = that_apply(os.listdir(folder), path.stem, kind)
        if len(found) > 1:
            notes.append(f"{' and '.join(found[:_SHOWN])} apply to it, of which {found[0]} is taken")
        if found:
            yield folder / found[0]


def unmatched(names: Sequence[str], labels: Sequence[Sequence[str]]) -> str:
    """What is told of a table that names other channels than the file has; "" where both are the same, in any order.

    Args:
        names: in the table.
        labels: for each channel of the file what it may be called, the label itself first.
    """
    if not names:
        return ""
    told = {name.casefold() for name in names}
    known = {one.casefold() for some in labels for one in some}
    lacking = [some[0] for some in labels if not {one.casefold() for one in some} & told]
    others = [name for name in names if name.casefold() not in known]
    said = []
    for what, some in (("does not name", lacking), ("names what the file has not:", others)):
        if some:
            said.append(f"{what} {', '.join(some[:_SHOWN])}{', ...' * (len(some) > _SHOWN)}")
    return f"channels.tsv {' and '.join(said)}, so of these it says nothing" if said else ""


def contradicted(rate_hz: float | None, read_hz: float) -> str:
    """What is told of a rate that is said beside a file and is another one than that of the file; else ""."""
    if rate_hz is None or abs(rate_hz / read_hz - 1) <= _NEAR:
        return ""
    return (
        f"its _eeg.json says a SamplingFrequency of {rate_hz:g} Hz, but its own header {read_hz:g} Hz, which is "
        "taken; mend the one that is wrong"
    )


def _column(rows: Sequence[Mapping[str, str | None]], column: str) -> dict[str, str]:
    """What a column says of each channel, by its name without case."""
    pairs = ((row.get("name"), row.get(column)) for row in rows)
    return {name.strip().casefold(): one.strip() for name, one in pairs if name and one}


def _rows(table: Path, notes: list[str]) -> list[dict[str, str | None]]:
    if not table.is_file():
        return []
    with table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    if rows and "name" not in rows[0]:
        notes.append(f"channels.tsv has no column 'name', only {', '.join(map(str, rows[0]))[:60]}, so it says nothing")
    return rows


def _rate(files: Sequence[Path], notes: list[str]) -> float | None:
    """What the nearest of some files says that says anything."""
    for about in files:
        try:
            held = json.loads(about.read_text(encoding="utf-8-sig"))
            if not isinstance(held, dict):
                raise ValueError("it is no object")
            if "SamplingFrequency" in held:
                said = held["SamplingFrequency"]
                rate = None if said in (None, "n/a") else float(said)
                return rate if rate is not None and rate > 0 else None
        except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
            what = "its _eeg.json" if len(files) == 1 else about.name
            notes.append(f"{what} cannot be read ({' '.join(str(error).split())[:80]}), so it says nothing")
    return None

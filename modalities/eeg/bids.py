"""What lies beside a recording in a BIDS folder: the table of its channels, and what its file of JSON says of it.

Arrow: sub-01_task-rest_eeg.edf --**sidecars**--> types, units and names out of sub-01_task-rest_channels.tsv, and the
rate in sub-01_task-rest_eeg.json. Does not know: samples, headers. Source: BIDS 1.9, modality specific files,
electroencephalography.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
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
    """
    stem, ending = path.stem.rpartition("_")[::2]
    notes: list[str] = []
    if ending != "eeg":
        return Sidecars({}, frozenset(), {}, (), None, ())
    rows = _rows(path.with_name(f"{stem}_channels.tsv"), notes)
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
        _rate(path.with_suffix(".json"), notes),
        tuple(notes),
    )


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


def _rate(about: Path, notes: list[str]) -> float | None:
    if not about.is_file():
        return None
    try:
        held = json.loads(about.read_text(encoding="utf-8-sig"))
        said = held.get("SamplingFrequency")
        rate = None if said in (None, "n/a") else float(said)
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        notes.append(f"its _eeg.json cannot be read ({' '.join(str(error).split())[:80]}), so it says nothing")
        return None
    return rate if rate is not None and rate > 0 else None

"""The table of channels that lies beside a recording in a BIDS folder.

Arrow: sub-1_task-rest_eeg.edf --**channel_types**, **bad_channels**--> types by name, and names, of
sub-1_task-rest_channels.tsv.
Does not know: samples, headers. Source: BIDS 1.9, modality specific files, electroencephalography.
"""

from __future__ import annotations

import csv
from pathlib import Path

NO_VOLTAGES = frozenset(
    {"TRIG", "SYSCLOCK", "AUDIO", "EYEGAZE", "GSR", "MISC", "PPG", "PUPIL", "RESP", "TEMP", "OTHER"}
)
"""Types of channels that are no voltages of a body."""


def channel_types(path: Path) -> dict[str, str]:
    """What each channel of a recording is ("EEG", "EOG", "TRIG" ...), by its name without case.

    Args:
        path: of the recording; the table has its name with "_channels.tsv" in place of "_eeg" and the suffix.

    Returns:
        {} where there is no such table, or one without the columns name and type.
    """
    pairs = ((row.get("name"), row.get("type")) for row in _rows(path))
    return {name.strip().casefold(): kind.strip().upper() for name, kind in pairs if name and kind}


def bad_channels(path: Path) -> frozenset[str]:
    """Names, without case, of the channels whose status is "bad" in the table beside a recording."""
    pairs = ((row.get("name"), row.get("status")) for row in _rows(path))
    return frozenset(
        name.strip().casefold() for name, status in pairs if name and status and status.strip().casefold() == "bad"
    )


def _rows(path: Path) -> list[dict[str, str | None]]:
    stem, ending = path.stem.rpartition("_")[::2]
    table = path.with_name(f"{stem}_channels.tsv")
    if ending != "eeg" or not table.is_file():
        return []
    with table.open(encoding="utf-8-sig", errors="replace", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))

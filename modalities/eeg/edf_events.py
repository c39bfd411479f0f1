"""Annotations of EDF+ and BDF+ files: when each record begins, what happened, and gaps between records.

Arrow: bytes of records --**read_annotations**--> onsets and events. Does not know: samples, headers, recordings.

Source: https://www.edfplus.info/specs/edfplus.html, section 2.2.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any

from tokenmask.modalities.eeg.edf_header import number, text
from tokenmask.modalities.eeg.session import Event

_ONSET = re.compile(rb"[+-]\d+(?:\.\d*)?$")
Found = tuple[Decimal, float | None, str]
"""Onset in seconds, duration in seconds if there is one, words."""


def read_annotations(
    records: Iterable[Any], spans: Sequence[tuple[int, int]]
) -> tuple[list[Decimal], list[Found], list[str]]:
    """Onset of each record, by the first mark of the first of the annotation signals; all events; and why marks that
    cannot be read are none of them.

    A mark with a time and no words is an event too, as edfio has it.

    Args:
        records: arrays uint8 [bytes].
        spans: bytes of each annotation signal in a record, from and to.
    """
    onsets: list[Decimal] = []
    events: list[Found] = []
    odd: list[str] = []
    for record in records:
        for place, (begin, end) in enumerate(spans):
            marks = [part for part in bytes(record[begin:end]).split(b"\x00") if part]
            for order, mark in enumerate(marks):
                when, *texts = mark.split(b"\x14")
                onset, _, duration = when.partition(b"\x15")
                if not _ONSET.match(onset):
                    odd.append(f"its annotation {mark[:40]!r} must begin with a time")
                    continue
                at = Decimal(onset.decode())
                if place == order == 0:
                    onsets.append(at)
                if len(texts) > 1 and not texts[-1]:  # behind the mark that ends the last one
                    texts.pop()
                if order == 0 and texts and not texts[0] and onsets and at == onsets[-1]:
                    texts.pop(0)  # by which a record says when it begins, in some files in each of these signals
                try:
                    length = float(number(text(duration), "duration of an annotation")) if duration else None
                    Event(float(at), "", length)
                except ValueError as error:
                    if texts:
                        odd.append(f"{error}, so it has none")
                    length = None
                events += [(at, length, text(part.replace(b"\x15", b" "))) for part in texts]
    return onsets, events, odd


def odd_ones(odd: Sequence[str]) -> str:
    """What is told of marks that cannot be read."""
    return (
        f"{len(odd)} of its annotations cannot be read as they are, and are left out where they have no time ({odd[0]})"
    )


def check_gaps(onsets: Sequence[Decimal], records: int, seconds: Decimal, tolerance: float, slack: Decimal) -> None:
    """ValueError for records that begin half a sample or more from where those before them end.

    Each is held against the first one, so that small steps do not add up.

    Args:
        onsets: of the records, in seconds.
        records: how many there are.
        seconds: duration of each.
        tolerance: seconds that an onset may be off.
        slack: what the duration may be off as it is written.
    """
    if len(onsets) != records:
        raise ValueError(f"an EDF+D file must say when each of its {records} records begins, got {len(onsets)} times")
    for place, onset in enumerate(onsets[1:], 1):
        one, two = onsets[place - 1] - onsets[0], onset - onsets[0]
        if abs(float(two - place * seconds)) <= tolerance + place * float(slack):
            continue
        if abs(float(two - one - seconds)) > tolerance:
            raise ValueError(
                f"its records must follow each other without a gap, but number {place} ends at "
                f"{float(one + seconds):g} s and the next begins at {float(two):g} s; "
                "split it there into files of their own"
            )
        raise ValueError(
            f"its records must follow each other without a gap, but small steps between them add up: number "
            f"{place + 1} begins at {float(two):.9g} s, while those before it last {float(place * seconds):.9g} s; "
            "split it there into files of their own"
        )

"""EDF, EDF+ and BDF files: headers as they are met, voltages with their scale, events; and EDF+ written.

Arrow: .edf or .bdf --read_edf--> microvolts, names, session --edf_of--> edfio.Edf. Does not know: recordings, codes.

Source: https://www.edfplus.info/specs; edfio writes, but hands on integers where a header cannot be read.
"""

from __future__ import annotations

import itertools
import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenmask.modalities.eeg.names import channel_names, is_electrode
from tokenmask.modalities.eeg.session import Event, Session

_MICROVOLTS = {"uv": 1.0, "mv": 1e3, "v": 1e6, "nv": 1e-3}
_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)  # bytes of a signal's label, transducer, unit, four limits, filter, ...
_MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
_UNKNOWN_START = datetime(1985, 1, 1)  # what EDF writes where nothing is known
_ONSET = re.compile(rb"[+-]\d+(?:\.\d*)?$")


@dataclass(frozen=True, eq=False)
class Voltages:
    """What a file holds.

    Args:
        samples: float32 [channels, time], microvolts.
        sample_rate_hz: of all channels.
        channels: their names, all different.
        session: the rest of the header, and events; None if it says nothing.
        notes: what was left out or changed, to be told with the name of the file.
    """

    samples: Tensor
    sample_rate_hz: float
    channels: tuple[str, ...]
    session: Session | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class _Signal:
    """The header of one signal; ``first`` is where its samples begin in a record."""

    label: str
    unit: str
    limits: tuple[str, str, str, str]
    count: int
    first: int

    @property
    def factor(self) -> float | None:
        """Microvolts in its unit; None if that is no voltage."""
        return _MICROVOLTS.get(self.unit.casefold().replace("\u00b5", "u").replace("\u03bc", "u"))

    def scale(self) -> tuple[float, float]:
        """(gain, offset): the voltage is (integer + offset) * gain.

        Raises:
            ValueError: limits that are no numbers, or equal; it names field and channel.
        """
        fields = ("physical minimum", "physical maximum", "digital minimum", "digital maximum")
        low, high, first, last = (
            float(_number(text, f"{field} of {self.label!r}")) for text, field in zip(self.limits, fields, strict=True)
        )
        if low == high or first == last:
            raise ValueError(
                f"the limits of {self.label!r} must differ, got {low:g} to {high:g} for {first:g}..{last:g}"
            )
        gain = (high - low) / (last - first)
        return gain, high / gain - last


def read_edf(path: Path) -> Voltages:
    """Reads the signals measured in volts that have the sample rate of the EEG.

    Args:
        path: of an EDF, EDF+ or BDF file.

    Raises:
        ValueError: no voltages, a header that cannot be read, or a gap between records.
    """
    with path.open("rb") as file:
        head = file.read(256)
        if len(head) < 256:
            raise ValueError("it ends inside of its header")
        wide = 3 if head[:1] == b"\xff" else 2
        count = int(_number(_text(head[252:256]), "number of signals"))
        block = file.read(256 * count)
    if count < 1 or len(block) < 256 * count:
        raise ValueError(f"it ends inside of its header of {count} signals")
    notes: list[str] = []
    signals = _signals(block, count)
    width = sum(one.count for one in signals)
    seconds = _number(_text(head[244:252]), "duration of a data record")
    announced = int(_number(_text(head[236:244]), "number of data records"))
    start = int(_number(_text(head[184:192]), "length of the header"))
    records = (path.stat().st_size - start) // (wide * width)
    if announced >= 0 and records != announced:
        notes.append(f"its header announces {announced} records, but it holds {records} whole ones")
        records = min(records, announced) if announced else records
    if records < 1 or start < 256 * (count + 1):
        raise ValueError("it holds no whole data record")
    raw = np.memmap(path, np.uint8, "r", start, (records, width * wide))
    kept, rate = _voltages(signals, seconds, notes)
    names, made = channel_names([one.label for one in kept])
    if made:
        notes.append(f"labels that are blank or there twice became {', '.join(made)}")
    reserved = _text(head[192:236])
    spans = [(one.first * wide, (one.first + one.count) * wide) for one in signals if _is_annotations(one)]
    onsets: list[Decimal] = []
    events: list[_Found] = []
    if spans and "+" in reserved[:5]:
        try:
            onsets, events = _annotations(raw, spans)
        except ValueError as error:
            if reserved[3:5] == "+D":
                raise
            notes.append(f"its events are left out ({error})")
    if reserved[3:5] == "+D":
        _check_gaps(onsets, records, seconds, 0.5 / rate)
    first = onsets[0] if onsets else Decimal(0)
    rows = []
    for one in kept:
        gain, offset = one.scale()
        values = _integers(raw[:, one.first * wide : (one.first + one.count) * wide], wide)
        rows.append(torch.from_numpy((values + offset) * gain * (one.factor or 1.0)).float())
    moved = [Event(float(onset - first), text, duration) for onset, duration, text in events]
    session = Session(
        _start(head, first if onsets else Decimal(0)),
        "" if _text(head[8:88]) == "X X X X" else _text(head[8:88]),
        "" if _text(head[88:168]) == "Startdate X X X X" else _text(head[88:168]),
        tuple(sorted(moved, key=lambda event: event.onset_seconds)),
    )
    return Voltages(torch.stack(rows), rate, tuple(names), None if session == Session() else session, tuple(notes))


def _signals(block: bytes, count: int) -> list[_Signal]:
    columns, place = [], 0
    for size in _FIELDS:
        columns.append([_text(block[place + size * row : place + size * (row + 1)]) for row in range(count)])
        place += size * count
    signals, first = [], 0
    for label, _, unit, *limits, _, samples, _ in zip(*columns, strict=True):
        own = int(_number(samples, f"number of samples of {label!r}"))
        if own < 1:
            raise ValueError(f"the number of samples of {label!r} must be positive, got {own}")
        signals.append(_Signal(label, unit, (limits[0], limits[1], limits[2], limits[3]), own, first))
        first += own
    return signals


def _voltages(signals: Sequence[_Signal], seconds: Decimal, notes: list[str]) -> tuple[list[_Signal], float]:
    """Signals in volts with a scale and the rate of the EEG, and that rate; what is left out is noted."""
    able: list[_Signal] = []
    out: list[str] = []
    for one in signals:
        if _is_annotations(one):
            continue
        if one.factor is None:
            out.append(f"{one.label} (its unit {one.unit!r} is no voltage that is known)")
            continue
        try:
            one.scale()
        except ValueError as error:
            out.append(f"{one.label} ({error})")
        else:
            able.append(one)
    if not able or seconds <= 0:
        raise ValueError(f"it holds no voltages that can be read: {'; '.join(out) or 'no signals'}")
    asked = [one for one in able if is_electrode(one.label)] or able
    counts = Counter(one.count for one in asked)
    most = max(counts, key=lambda count: (counts[count], count))
    rate = float(Fraction(most) / Fraction(seconds))
    for one in able:
        if one.count != most:
            out.append(f"{one.label} ({float(Fraction(one.count) / Fraction(seconds)):g} Hz instead of {rate:g} Hz)")
    if out:
        notes.append(f"left out: {', '.join(out)}")
    return [one for one in able if one.count == most], rate


def _integers(raw: Any, wide: int) -> Any:
    """Little-endian integers of 16 or 24 bits, uint8 [records, bytes] -> int32 [samples]."""
    plain = np.ascontiguousarray(raw).reshape(-1, wide)
    if wide == 2:
        return plain.view("<i2")[:, 0].astype(np.int32)
    values = plain.astype(np.int32)
    return ((values[:, 2] << 24) | (values[:, 1] << 16) | (values[:, 0] << 8)) >> 8


# Annotations ----------------------------------------------------------------------------------------------------------

_Found = tuple[Decimal, float | None, str]


def _is_annotations(signal: _Signal) -> bool:
    return signal.label in ("EDF Annotations", "BDF Annotations")


def _annotations(raw: Any, spans: Sequence[tuple[int, int]]) -> tuple[list[Decimal], list[_Found]]:
    """Onset of each record, by the first mark of the first of the annotation signals, and all events."""
    onsets: list[Decimal] = []
    events: list[_Found] = []
    for record in raw:
        for place, (begin, end) in enumerate(spans):
            marks = [part for part in bytes(record[begin:end]).split(b"\x00") if part]
            for number, mark in enumerate(marks):
                when, *texts = mark.split(b"\x14")
                onset, _, duration = when.partition(b"\x15")
                if not _ONSET.match(onset):
                    raise ValueError(f"its annotation {mark[:40]!r} must begin with a time")
                at = Decimal(onset.decode())
                keeps_time = place == number == 0
                if keeps_time:
                    onsets.append(at)
                length = float(_number(_text(duration), "duration of an annotation")) if duration else None
                words = [_text(text.replace(b"\x15", b" ")) for text in texts]
                events += [(at, length, text) for text in words if text]
    return onsets, events


def _check_gaps(onsets: Sequence[Decimal], records: int, seconds: Decimal, tolerance: float) -> None:
    if len(onsets) != records:
        raise ValueError(f"an EDF+D file must say when each of its {records} records begins, got {len(onsets)} times")
    for number, (one, two) in enumerate(itertools.pairwise(onsets), 1):
        if abs(float(two - one - seconds)) > tolerance:
            raise ValueError(
                f"its records must follow each other without a gap, but number {number} ends at "
                f"{float(one + seconds - onsets[0]):g} s and the next begins at {float(two - onsets[0]):g} s; "
                "split it there into files of their own"
            )


def _start(head: bytes, first: Decimal) -> datetime | None:
    """Time of the first sample; None if the header does not say it. EDF+ has the year in full."""
    date = re.fullmatch(r"(\d\d?).(\d\d?).(\d\d)", _text(head[168:176]))
    time = re.fullmatch(r"(\d\d?).(\d\d?).(\d\d?)", _text(head[176:184]))
    if date is None or time is None:
        return None
    day, month, year = map(int, date.groups())
    year += 1900 if year >= 85 else 2000
    named = re.search(r"Startdate (\d\d)-([A-Za-z]{3})-(\d{4})", _text(head[88:168]))
    if named and named[2].upper() in _MONTHS:
        day, month, year = int(named[1]), _MONTHS.index(named[2].upper()) + 1, int(named[3])
    try:
        hour, minute, second = map(int, time.groups())
        start = datetime(year, month, day, hour, minute, second) + timedelta(seconds=float(first))
    except (ValueError, OverflowError):
        return None
    return None if start == _UNKNOWN_START else start


def _text(field: bytes) -> str:
    """Header text: ASCII by the standard, UTF-8 or Latin-1 in files; blanks and zeros around it do not count."""
    try:
        return field.decode("utf-8").strip(" \x00")
    except UnicodeDecodeError:
        return field.decode("latin-1").strip(" \x00")


def _number(text: str, field: str) -> Decimal:
    """A number of a header; some programs write a comma for the point."""
    try:
        value = Decimal(text.replace(",", "."))
    except InvalidOperation:
        value = Decimal("nan")
    if not value.is_finite():
        raise ValueError(f"the {field} must be a number, got {text!r}")
    return value


# Writing --------------------------------------------------------------------------------------------------------------


def edf_of(samples: Tensor, rate_hz: float, channels: Sequence[str], session: Session | None) -> Any:
    """An ``edfio.Edf``: EDF, or EDF+C where there are events. The last value fills up the last record.

    Args:
        samples: float32 [channels, time], microvolts.
        rate_hz: of the samples; as near to it as eight characters of a header come.
        channels: their names.
        session: what else the header says, and events.

    Raises:
        ValueError: a label or limits that a header has no room for.
    """
    import edfio

    count, seconds = record_of(samples.shape[1], rate_hz)
    extra = -samples.shape[1] % count
    values = torch.cat([samples, samples[:, -1:].expand(-1, extra)], 1).double().cpu()
    signals = [
        edfio.EdfSignal(
            row.numpy(),
            count / float(seconds),
            label=f"EEG {name}" if len(name) <= 12 else name,
            physical_dimension="uV",
            physical_range=_range(row),
        )
        for row, name in zip(values, channels, strict=True)
    ]
    own = session or Session()
    start = own.start or _UNKNOWN_START
    if not 1985 <= start.year <= 2084:
        raise ValueError(f"it can begin from 1985 to 2084, got {start.year}")
    events = [edfio.EdfAnnotation(one.onset_seconds, one.duration_seconds, one.text) for one in own.events]
    edf = edfio.Edf(
        signals,
        recording=edfio.Recording(startdate=start.date() if own.start else None),
        starttime=start.time(),
        data_record_duration=float(seconds),
        annotations=events if events or start.microsecond else None,
    )
    if own.patient:
        edf.local_patient_identification = _ascii(own.patient)
    if own.recording:
        edf.local_recording_identification = _ascii(own.recording)
    return edf


def _ascii(text: str) -> str:
    """What a header can hold of a text, 80 characters at most."""
    return text.encode("ascii", "replace").decode()[:80]


def record_of(samples: int, rate_hz: float) -> tuple[int, Decimal]:
    """Samples and seconds of a data record: the least to fill up, then the longest, up to a second or four samples.

    Records that give the rate exactly come first, then those within a millionth, as eight characters allow.
    """
    wanted, found = Fraction(rate_hz), []
    for count in range(1, max(math.floor(rate_hz), 4) + 1):
        seconds = _eight(count / rate_hz)
        if seconds > 0:
            error = abs(float(Fraction(count) / Fraction(seconds) / wanted) - 1)
            rank = 0.0 if error < 1e-12 else 1.0 if error < 1e-6 else 1 + error
            found.append((rank, -samples % count, -count, seconds))
    if not found:
        raise ValueError(f"a header cannot hold a rate of {rate_hz:g} Hz")
    _, _, negative, best = min(found)
    return -negative, best


def _eight(value: float) -> Decimal:
    """The nearest number of eight characters without an exponent."""
    digits = 7 - len(str(int(value)))
    rounded = round(Decimal(repr(value)), max(digits, 0))
    return Decimal(f"{rounded:f}"[:8].rstrip(".")) if digits > 0 else Decimal(int(value))


def _range(row: Tensor) -> tuple[float, float]:
    """Whole microvolts: a header has room for eight characters."""
    low, high = math.floor(float(row.min())), math.ceil(float(row.max()))
    return low, max(high, low + 1)

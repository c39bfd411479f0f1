"""EDF, EDF+ and BDF files read: signals with their scale, what the header says, events, times of records.

Arrow: .edf or .bdf --open_edf--> microvolts, names, session. Does not know: recordings, codes, writing.

Source: https://www.edfplus.info/specs; readers that hand on integers where a header cannot be read lose the scale.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenmask.modalities.eeg.bids import NO_VOLTAGES, Said, contradicted, sidecars, unmatched
from tokenmask.modalities.eeg.edf_events import check_gaps, odd_ones, read_annotations
from tokenmask.modalities.eeg.edf_header import Signal, duration_slack, microvolts, number, signals, start, text, whole
from tokenmask.modalities.eeg.names import (
    channel_names,
    is_beside,
    is_electrode,
    is_of_body,
    usual_label,
    without_eeg,
    without_reference,
)
from tokenmask.modalities.eeg.session import ChannelHeader, Event, Session

_AT_ONCE = 1 << 22  # bytes of records that are read together
_PART = 1 << 20  # samples of a channel that are looked at together
_SHOWN = 5
_RUN = 5  # samples in a row at the limit of the integers that a wave which just touches it does not have


@dataclass(eq=False)
class OpenEdf:
    """What a file holds; its samples are read channel by channel.

    Args:
        sample_rate_hz: of all channels.
        channels: their names, all different.
        session: the rest of the header, and events; None if it says nothing.
        raw: bytes of the records.
        signals: those that are read.
        wide: bytes of a sample.
        notes: what was left out or changed, to be told with the name of the file.
    """

    sample_rate_hz: float
    channels: tuple[str, ...]
    session: Session | None
    raw: Records
    signals: Sequence[Signal]
    wide: int
    notes: list[str]

    def __post_init__(self) -> None:
        self._flat: list[str] = []
        self._cut: list[str] = []
        self._beyond: list[str] = []

    @property
    def length(self) -> int:
        """Samples of a channel."""
        return len(self.raw) * self.signals[0].count

    def rows(self) -> Iterator[Tensor]:
        """float32 [time] of each channel, microvolts."""
        for one, name in zip(self.signals, self.channels, strict=True):
            samples = _samples(self.raw, one, self.wide)
            self._see_lost(samples, one, name)
            yield samples

    def told(self) -> list[str]:
        """All notes, once every row has been read: also of channels without any wave, and of those whose wave is cut
        off at the limits of their integers."""
        told = list(self.notes)
        if self._flat and self.length > 1:
            told.append(f"without a wave, the same value throughout: {', '.join(self._flat)}")
        if self._beyond:
            told.append(
                "samples beyond the limits that the header gives them, so its scale may be wrong: "
                f"{', '.join(self._beyond)}"
            )
        if self._cut:
            told.append(
                f"samples in a row at the limits of the range, where the wave is cut off: {', '.join(self._cut)}"
            )
        return told

    def _see_lost(self, row: Tensor, one: Signal, name: str) -> None:
        """What fills up the last record is no cut: the values at the end that are all the same do not count."""
        stop = _last_change(row) + 1
        if not stop:
            self._flat.append(name)
            return
        gain, offset = one.scale()
        limits = [torch.tensor((limit + offset) * gain * (one.factor or 1.0)).float() for limit in one.digital]
        room = abs(gain * (one.factor or 1.0))
        low, high = (min(map(float, limits)) - room, max(map(float, limits)) + room)
        runs = False
        many = beyond = 0
        for begin in range(0, stop, _PART):  # with the samples behind a part in which a run may end
            at = [row[begin : min(begin + _PART + _RUN - 1, stop)] == limit for limit in limits]
            runs = runs or any(bool(some.unfold(0, _RUN, 1).all(1).any()) for some in at if len(some) >= _RUN)
            many += int((at[0] | at[1])[:_PART].sum())
            part = row[begin : min(begin + _PART, stop)]
            beyond += int(((part < low) | (part > high)).sum())
        if beyond:
            self._beyond.append(f"{name} ({beyond / len(row):.1%} of them)")
        if runs:
            self._cut.append(f"{name} ({many / len(row):.1%} of them)")


class Records:
    """The data records of a file, uint8 [records, bytes]: what is asked for is read, nothing stays in memory.

    Args:
        path: of the file.
        begin: bytes before the first record.
        shape: records and bytes of each.
    """

    def __init__(self, path: Path, begin: int, shape: tuple[int, int]) -> None:
        self.shape = shape
        self._path, self._begin = path, begin

    def __len__(self) -> int:
        return self.shape[0]

    def read(self, first: int, count: int) -> Any:
        """Records from ``first`` on, ``count`` of them or what there is."""
        count, width = max(0, min(count, len(self) - first)), self.shape[1]
        flat = np.fromfile(self._path, np.uint8, count * width, offset=self._begin + first * width)
        return flat.reshape(count, width)  # of a file that has shrunk meanwhile: an error

    def __iter__(self) -> Iterator[Any]:
        at_once = max(1, _AT_ONCE // self.shape[1])
        for first in range(0, len(self), at_once):
            yield from self.read(first, at_once)


def _last_change(row: Tensor) -> int:
    """The last place whose value is not that of the next one; -1 where there is none."""
    for stop in range(len(row), 1, -_PART):
        begin = max(stop - _PART - 1, 0)
        changes = (row[begin + 1 : stop] != row[begin : stop - 1]).nonzero()
        if len(changes):
            return begin + int(changes[-1])
    return -1


def open_edf(path: Path, voltages: str | None = None) -> OpenEdf:
    """Finds the signals measured in volts that have the sample rate of the EEG.

    Args:
        path: of an EDF, EDF+ or BDF file.
        voltages: the unit of electrodes, and of what has none, whatever the file says; None takes its word.

    Raises:
        ValueError: no voltages, a header that cannot be read, or a gap between records.
    """
    with path.open("rb") as file:
        head = file.read(256)
        if len(head) < 256:
            raise ValueError("it ends inside of its header; copy it again")
        wide = 3 if head[:1] == b"\xff" else 2
        version = "" if wide == 3 or text(head[:8]) == "0" else f"it begins with {text(head[:8])!r}, not with 0 as EDF"
        try:
            count = whole(text(head[252:256]), "number of signals")
        except ValueError as error:
            other = f"{version}, and is of another format; export it as EDF" if version else str(error)
            raise ValueError(other) from error
        block = file.read(256 * count)
    if count < 1:
        raise ValueError(f"the number of signals must be positive, got {count}; write it into bytes 252 to 255")
    if len(block) < 256 * count:
        raise ValueError(f"it ends inside of its header of {count} signals; copy it again")
    notes = [version] if version else []
    beside = sidecars(path)
    found = _with_units(signals(block, count), voltages, beside.units, notes)
    seconds = number(text(head[244:252]), "duration of a data record")
    begin = whole(text(head[184:192]), "length of the header")
    width = wide * sum(one.count for one in found)
    _check_begin(begin, count, path.stat().st_size, width, text(head[236:244]), notes)
    records = _records(path.stat().st_size - begin, width, text(head[236:244]), notes)
    if records < 1:
        raise ValueError(f"it holds no whole data record, only {path.stat().st_size - begin} bytes; copy it again")
    raw = Records(path, begin, (records, width))
    kept, rate = _voltages(found, seconds, beside.types, notes)
    notes += _odd_limits(kept, wide)
    of_table = unmatched(beside.names, [_called(one) for one in found if not one.is_annotations])
    notes += [one for one in (*beside.notes, of_table, contradicted(beside.rate_hz, rate)) if one]
    if bad := [one.label for one in kept if {name.casefold() for name in _called(one)} & beside.bad]:
        notes.append(f"channels.tsv calls {', '.join(bad)} bad: read as they are (EegRecording.select leaves them out)")
    names, made = channel_names([one.label for one in kept])
    if made:
        notes.append(f"labels that are blank or there twice became {', '.join(made)}")
    reserved = text(head[192:236])
    spans = [(one.first * wide, (one.first + one.count) * wide) for one in found if one.is_annotations]
    # By the standard they are in EDF+ only, but some programs forget to say that it is.
    onsets, events, odd = read_annotations(raw, spans) if spans else ([], [], [])
    if odd:
        notes.append(odd_ones(odd))
    if onsets and len(onsets) != records and reserved[3:5] != "+D":
        notes.append(f"only {len(onsets)} of its {records} records say when they begin, so gaps cannot be seen")
    elif onsets or reserved[3:5] == "+D":
        slack = duration_slack(text(head[244:252]), seconds)
        check_gaps(onsets, records, seconds, 0.5 / rate, slack)
    first = onsets[0] if onsets else Decimal(0)
    moved = [Event(float(onset - first), word, duration) for onset, duration, word in events]
    session = Session(
        start(head, first, notes),
        "" if text(head[8:88]) == "X X X X" else text(head[8:88]),
        "" if text(head[88:168]) == "Startdate X X X X" else text(head[88:168]),
        tuple(sorted(moved, key=lambda event: event.onset_seconds)),
        _headers(kept, names),
    )
    return OpenEdf(rate, tuple(names), None if session == Session() else session, raw, kept, wide, notes)


def _records(size: int, width: int, announced: str, notes: list[str]) -> int:
    """How many data records are read of a file with so many bytes of them; what is left out or missing is noted."""
    there, part = size // width, size % width
    try:
        wanted = whole(announced, "number of data records")
    except ValueError:
        wanted = -2
    if wanted < -1 and there > 0:
        notes.append(f"its header announces {announced or 'no number of'} records; the {there} that are there are read")
    if wanted < 0 or there == wanted or there < 1:  # -1 while it is written
        if part and there > 0:
            notes.append(f"{part} bytes after its {there} whole records are no whole one and are left out")
        return there
    if wanted == 0:
        notes.append(f"its header announces 0 records, but it holds {there} whole ones, which are all read")
        return there
    told = f"its header announces {wanted} records, but it holds {there} whole ones"
    if there > wanted:
        notes.append(f"{told}; the last {there - wanted} are left out")
        return wanted
    lost = f", {part} bytes of one among them" if part else ""
    notes.append(f"{told}; the other {wanted - there} are missing{lost}")
    return there


def _check_begin(begin: int, count: int, size: int, width: int, announced: str, notes: list[str]) -> None:
    """ValueError for a header that says another length than the standard gives it, unless all records fit behind that:
    samples from a wrong place are noise."""
    usual = 256 * (count + 1)
    if begin == usual:
        return
    told = f"its header says that it is {begin} bytes long, but one of {count} signals has {usual}"
    if begin > usual and announced == str((size - begin) // width) and (size - begin) % width == 0:
        notes.append(f"{told}; all {announced} records fit behind {begin}, and are read from there")
        return
    raise ValueError(f"{told}; write that into its bytes 184 to 191 if samples begin there, or export it again")


def _with_units(found: Sequence[Signal], voltages: str | None, said: Said, notes: list[str]) -> list[Signal]:
    """Signals with the unit that is asked for, or that a table beside the file says where the header has none.

    Args:
        found: all signals.
        voltages: for electrodes, for all voltages where no label is one of those, and for what has no unit.
        said: by the table.
        notes: gets what is taken from the table, and where it says another unit than the header.
    """
    some = any(is_electrode(one.label) for one in found)
    made, taken, other = list[Signal](), list[str](), list[str]()
    for one in found:
        own = _of(one, said)
        if one.is_annotations or (own is None and voltages is None):
            made.append(one)
        elif voltages is not None:
            is_meant = is_electrode(one.label) or not one.unit or (not some and one.factor is not None)
            made.append(replace(one, unit=voltages) if is_meant and not is_beside(one.label) else one)
        elif not one.unit and own is not None and microvolts(own) is not None:
            taken.append(f"{one.label} ({own})")
            made.append(replace(one, unit=own))
        else:
            differs = None not in (one.factor, own and microvolts(own)) and one.factor != microvolts(own or "")
            other += [f"{one.label} ({own} instead of {one.unit})"] if differs else []
            made.append(one)
    if taken:
        notes.append(f"units that its header lacks are those of channels.tsv: {', '.join(taken)}")
    if other:
        notes.append(
            f"channels.tsv says other units than its header, which is taken: {', '.join(other)}; say which is right "
            "with --voltages UNIT, in Python load(FILE, voltages=UNIT)"
        )
    return made


def _headers(kept: Sequence[Signal], names: Sequence[str]) -> tuple[ChannelHeader, ...]:
    """What headers of channels say beside what every file that is written here says."""
    found = []
    for one, name in zip(kept, names, strict=True):
        unit = one.unit if one.unit.isascii() else "uV" if one.factor == 1.0 else one.unit
        header = ChannelHeader(name, one.label, unit, one.transducer, one.prefilter)
        if header != ChannelHeader(name, usual_label(name)):
            found.append(header)
    return tuple(found)


def _voltages(found: Sequence[Signal], seconds: Decimal, types: Said, notes: list[str]) -> tuple[list[Signal], float]:
    """Signals in volts with a scale and the rate of the EEG, and that rate; what is left out is noted.

    Args:
        found: all signals.
        seconds: of a record.
        types: what a table beside the file says that channels are, by label; see :func:`sidecars`.
        notes: gets what is left out.
    """
    able: list[Signal] = []
    out: list[str] = []
    if all(one.is_annotations for one in found):
        raise ValueError("it holds events only, no voltages")
    if seconds <= 0:
        raise ValueError(
            f"the duration of its data records must be positive, got {seconds} s, so they have no rate; write it into "
            "its bytes 244 to 251"
        )
    for one in found:
        if one.is_annotations:
            continue
        if one.factor is None:
            out.append(f"{one.label} (its unit {one.unit!r} is no voltage that is known)")
            continue
        kind = _of(one, types)
        if kind in NO_VOLTAGES or (kind is None and is_beside(one.label)):
            out.append(f"{one.label} (no electrode)")
            continue
        try:
            one.scale()
        except ValueError as error:
            out.append(f"{one.label} ({error})")
        else:
            able.append(one)
    advice = ""
    unknown = [one for one in found if one.factor is None and not one.is_annotations and not is_beside(one.label)]
    if any(not one.unit or is_electrode(one.label) for one in unknown):
        advice = "; where they are voltages, say their unit with --voltages UNIT, in Python load(FILE, voltages=UNIT)"
    if not able:
        raise ValueError(f"it holds no voltages that can be read: {'; '.join(out)}{advice}")
    asked = [one for one in able if is_electrode(one.label)] or able
    counts = Counter(one.count for one in asked)
    most = max(counts, key=lambda count: (counts[count], count))
    rate = float(Fraction(most) / Fraction(seconds))
    for one in able:
        if one.count != most:
            out.append(f"{one.label} ({float(Fraction(one.count) / Fraction(seconds)):g} Hz instead of {rate:g} Hz)")
    if out:
        notes.append(f"left out: {', '.join(out)}{advice}")
    kept = [one for one in able if one.count == most]
    others = [_said(one, types) for one in kept if _is_other(one, types)]
    if others and len(others) < len(kept):
        notes.append(
            f"{len(others)} of its {len(kept)} channels {'are' if len(others) > 1 else 'is'} no EEG but read beside "
            f"it, each as a channel of its own: {', '.join(others)} (EegRecording.select leaves channels out)"
        )
    return kept, rate


def _odd_limits(kept: Sequence[Signal], wide: int) -> list[str]:
    """What is told of limits of integers that none of this many bytes has, or the larger of which comes first."""
    notes, least = [], -(1 << (8 * wide - 1))
    for what, odd in (
        (
            f"integers of {8 * wide} bits lie in {least}..{-least - 1}, but the header has other limits, so its scale "
            "may be wrong",
            [one for one in kept if min(one.digital) < least or max(one.digital) >= -least],
        ),
        (
            "the larger digital limit comes first, so the wave is turned over, as it is written; swap them if that is "
            "wrong",
            [one for one in kept if one.digital[0] > one.digital[1]],
        ),
    ):
        if odd:
            shown = ", ".join(f"{one.label} ({one.limits[2]} to {one.limits[3]})" for one in odd[:_SHOWN])
            notes.append(f"{what}: {shown}{', ...' * (len(odd) > _SHOWN)}")
    return notes


def _called(one: Signal) -> tuple[str, ...]:
    """What a signal may be called beside its file: its label, that without "EEG ", and without its reference."""
    bare = without_eeg(one.label)
    return one.label, bare, without_reference(bare)


def _of(one: Signal, said: Said) -> str | None:
    """What a table beside the file says of a signal; None if there is none, or it does not say."""
    return next((said[name.casefold()] for name in _called(one) if name.casefold() in said), None)


def _is_other(one: Signal, types: Said) -> bool:
    """Whether a signal is of an eye, a heart or a muscle: the table goes before the label."""
    kind = _of(one, types)
    return is_of_body(one.label) if kind in (None, "N/A") else kind != "EEG"


def _said(one: Signal, types: Said) -> str:
    kind = _of(one, types)
    return one.label if kind in (None, "N/A") else f"{one.label} ({kind} in channels.tsv)"


def _samples(raw: Records, one: Signal, wide: int) -> Tensor:
    """Microvolts of a signal, float32 [time]; some records at a time, so that a night needs no more memory."""
    row, (gain, offset) = torch.empty(len(raw) * one.count), one.scale()
    at_once = max(1, _AT_ONCE // raw.shape[1])
    for begin in range(0, len(raw), at_once):
        some = raw.read(begin, at_once)
        values = _integers(some[:, one.first * wide : (one.first + one.count) * wide], wide)
        made = torch.from_numpy((values + offset) * gain * (one.factor or 1.0))
        row[begin * one.count : begin * one.count + len(made)] = made
    return row


def _integers(raw: Any, wide: int) -> Any:
    """Little-endian integers of 16 or 24 bits, uint8 [records, bytes] -> int32 [samples]."""
    plain = np.ascontiguousarray(raw).reshape(-1, wide)
    if wide == 2:
        return plain.view("<i2")[:, 0].astype(np.int32)
    values = plain.astype(np.int32)
    return ((values[:, 2] << 24) | (values[:, 1] << 16) | (values[:, 0] << 8)) >> 8

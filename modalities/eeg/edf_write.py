"""EDF and EDF+ files written: samples at 16 bits, what a session says of channels, start and events.

Arrow: microvolts, names, session --write_edf--> .edf. Does not know: recordings, codes, reading.

Source: https://www.edfplus.info/specs; edfio writes the records.
"""

from __future__ import annotations

import io
import itertools
import math
import tempfile
import unicodedata
from collections.abc import Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from tokenmask.modalities.eeg.edf_header import MONTHS, STARTDATE, UNKNOWN_START, microvolts
from tokenmask.modalities.eeg.names import usual_label
from tokenmask.modalities.eeg.session import ChannelHeader, Session

_AT_ONCE = 1 << 21  # samples of all channels that are in memory together
_DATE = 168  # byte of the header where its date stands
_DECIMALS = {1.0: 0, 1e3: 3, 1e6: 4}  # of limits in microvolts, millivolts and volts, without an exponent
_LETTERS = {0xE4: "ae", 0xF6: "oe", 0xFC: "ue", 0xC4: "Ae", 0xD6: "Oe", 0xDC: "Ue", 0xDF: "ss"}  # umlauts
_PART = 1 << 20  # samples of a channel that are converted at once
_LETTERS |= {0xE6: "ae", 0xF8: "oe", 0xD8: "Oe", 0x142: "l", 0xB5: "u", 0x3BC: "u"}


def write_edf(
    path: Path, rows: Iterable[Tensor], rate_hz: float, channels: Sequence[str], session: Session | None
) -> list[str]:
    """Writes EDF, or EDF+C where there are events, channel by channel. The last value fills up the last record.

    Labels, units, transducers and filters are those of the session, and "EEG " before electrodes, microvolts and
    nothing where it has none. Years from 1985 to 2084 are in the header's date; others in the recording's field alone,
    as EDF+ has it.

    Args:
        path: of the file; another one beside it holds the channels until all are there.
        rows: float32 [time] of each channel, microvolts; one of them is in memory at a time.
        rate_hz: of the samples; as near to it as eight characters of a header come.
        channels: their names.
        session: what else the header says, and events.

    Returns:
        what could not be written as it is, in words.

    Raises:
        ValueError: voltages of a hundred volts, which a header has no room for.
    """
    import edfio

    notes: list[str] = []
    own = session or Session()
    said = {header.name.casefold(): header for header in own.channels}
    headers = [said.get(name.casefold(), ChannelHeader(name, usual_label(name))) for name in channels]
    signals: list[Any] = []
    count, seconds, records = 1, Decimal(1), 1
    with tempfile.TemporaryFile(dir=path.parent) as spool:
        for values, header, label in zip(rows, headers, _labels(headers, notes), strict=True):
            if not signals:
                count, seconds = record_of(len(values), rate_hz)
                records = -(-len(values) // count)
            name, filling = header.name, values[-1:].expand(records * count - len(values))
            unit, factor, limits = _scale(values, header.unit, name, notes)
            parts = (torch.split(one, _PART) for one in (values, filling) if len(one))
            for part in itertools.chain(*parts):  # a night has no room for its double in doubles
                physical = part.double().cpu().div_(factor).numpy()
                signal = edfio.EdfSignal(physical, count / float(seconds), physical_range=limits)
                spool.write(signal.digital.astype("<i2").tobytes())
            signals.append(
                edfio.EdfSignal.from_digital(  # one sample for each record: the header is what counts
                    np.zeros(records, np.int16),
                    1 / float(seconds),
                    label=label,
                    transducer_type=_plain(header.transducer, 80, f"the transducer of {name}", notes),
                    physical_dimension=unit,
                    physical_range=limits,
                    prefiltering=_plain(header.prefilter, 80, f"the filter of {name}", notes),
                )
            )
        start = own.start or UNKNOWN_START
        in_header = 1985 <= start.year <= 2084
        events = [edfio.EdfAnnotation(one.onset_seconds, one.duration_seconds, one.text) for one in own.events]
        edf = edfio.Edf(
            signals,
            recording=edfio.Recording(startdate=start.date() if own.start and in_header else None),
            starttime=start.time(),
            data_record_duration=float(seconds),
            annotations=events if events or start.microsecond else None,
        )
        if own.patient:
            edf.local_patient_identification = _plain(own.patient, 80, "the patient", notes)
        recording = _dated(own, in_header)
        if recording:
            edf.local_recording_identification = _plain(recording, 80, "the recording", notes)
        _write_records(path, edf, spool, len(signals), count, records)
    if not in_header:
        with path.open("r+b") as file:
            file.seek(_DATE)
            file.write(f"{start.day:02d}.{start.month:02d}.yy".encode())
    return notes


def _write_records(path: Path, edf: Any, spool: IO[bytes], channels: int, count: int, records: int) -> None:
    """Writes the file of an Edf with one sample of each channel in a record, with ``count`` of the spool instead.

    Args:
        path: of the file.
        edf: with the headers of the channels, then of signals of annotations, and these.
        spool: int16 [channels, records, count].
        channels, count, records: its shape.
    """
    small = io.BytesIO()
    edf.write(small)
    data = small.getvalue()
    begin, fields = int(data[184:192]), int(data[252:256])
    sizes = 256 + fields * 216  # where the header has the samples of a record of each signal
    head = bytearray(data[:begin])
    for channel in range(channels):
        head[sizes + 8 * channel : sizes + 8 * channel + 8] = f"{count:<8d}".encode()
    beside = np.frombuffer(data, "<i2", offset=begin).reshape(records, -1)[:, channels:]
    at_once = max(1, _AT_ONCE // (channels * count + beside.shape[1]))
    with path.open("wb") as file:
        file.write(head)
        for first in range(0, records, at_once):
            some = min(at_once, records - first)
            parts = []
            for channel in range(channels):
                spool.seek(2 * count * (channel * records + first))
                parts.append(np.frombuffer(spool.read(2 * count * some), "<i2").reshape(some, count))
            file.write(np.concatenate([*parts, beside[first : first + some]], 1).tobytes())


def _dated(own: Session, in_header: bool) -> str:
    """The recording's field, with the day of the start where it has one or the header has no room for it."""
    if own.start is None:
        return own.recording
    day = f"Startdate {own.start.day:02d}-{MONTHS[own.start.month - 1]}-{own.start.year:04d}"
    if STARTDATE.search(own.recording):
        return STARTDATE.sub(day, own.recording, count=1)
    return own.recording if in_header else f"{day} X X X {own.recording}".rstrip()


def _scale(row: Tensor, unit: str, name: str, notes: list[str]) -> tuple[str, float, tuple[float, float]]:
    """Unit, microvolts in it and limits of a row in it: its own unit if that has room for the limits, else another."""
    own = unit if unit.isascii() and unit.isprintable() and len(unit) <= 8 else ""
    for one in (own, "uV", "mV", "V"):
        factor = microvolts(one)
        limits = None if factor is None or factor not in _DECIMALS else _range(row, factor)
        if factor is not None and limits is not None:
            if one != unit:
                notes.append(f"{name} is written in {one} instead of {unit}")
            return one, factor, limits
    raise ValueError(f"a header has no room for the {float(row.abs().max()):.3g} microvolts of {name}")


def _range(row: Tensor, factor: float) -> tuple[float, float] | None:
    """Limits in a unit, rounded outwards to what eight characters of a header hold; None if they hold none."""
    for decimals in range(_DECIMALS[factor], -1, -1):
        steps = 10**decimals
        low, high = math.floor(float(row.min()) / factor * steps), math.ceil(float(row.max()) / factor * steps)
        high = max(high, low + 1)
        if all(len(f"{limit / steps:.{decimals}f}") <= 8 for limit in (low, high)):
            return low / steps, high / steps
    return None


def _labels(headers: Sequence[ChannelHeader], notes: list[str]) -> list[str]:
    """Labels of sixteen characters, those that were different before still different."""
    made: list[str] = []
    for header in headers:
        label, number = _plain(header.label, 16, f"the label {header.label!r}", notes), 2
        bare = label
        while bare != header.label and label.casefold() in {one.casefold() for one in made}:
            label, number = f"{bare[: 15 - len(str(number))]}-{number}", number + 1
        if label != bare:
            notes.append(f"the second {bare!r} is written as {label!r}")
        made.append(label)
    return made


def _plain(text: str, size: int, what: str, notes: list[str]) -> str:
    """What a header can hold of a text: printable ASCII, so many characters at most; changes are noted."""
    flat = unicodedata.normalize("NFKD", text.translate(_LETTERS))
    kept = "".join(letter for letter in flat if not unicodedata.combining(letter))
    made = "".join(letter if letter.isascii() and letter.isprintable() else "?" for letter in kept)[:size].rstrip()
    if made != text.rstrip():
        notes.append(f"{what} is written as {made!r}, as EDF holds {size} characters of ASCII")
    return made


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

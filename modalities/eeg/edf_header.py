"""Headers of EDF and BDF files: text, numbers, units and limits of signals, the time of the first sample.

Does not know: samples, annotations, recordings.

Source: https://www.edfplus.info/specs/edf.html and edfplus.html.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

MONTHS = ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC")
UNKNOWN_START = datetime(1985, 1, 1)
"""What EDF writes where nothing is known."""
STARTDATE = re.compile(r"Startdate (\d\d)-([A-Za-z]{3})-(\d{4})")
"""How EDF+ says day, month and year in the recording's field."""

_UNKNOWN_DAY = (1, 1, 1985)
_FIELDS = (16, 80, 8, 8, 8, 8, 8, 80, 8, 32)  # bytes of a signal's label, transducer, unit, four limits, filter, ...
_PREFIXES = {"": 1e6, "m": 1e3, "milli": 1e3, "n": 1e-3, "nano": 1e-3, "p": 1e-6, "pico": 1e-6}
_PREFIXES |= {"u": 1.0, "micro": 1.0, "mc": 1.0, "mic": 1.0, "mu": 1.0}
_PREFIXES |= {"mk": 1.0}  # as Russian programs write it, in their letters or in others
_CYRILLIC = str.maketrans("\u043c\u043a\u0432", "mkv")
_VOLTS = re.compile(r"([a-z]*?)(?:v|vol|volts?)")  # the field has room for "microvol"
# The sign, the Greek letter, byte E6, which is the sign in DOS, and UTF-8 that was read as Latin-1, once or twice.
_MICRO = re.compile("^(?:[\u00b5\u03bc\u00e6]|[\u00e3\u0082\u00e2]+[\u00b5\u03bc]|\u00ee\u00bc)")
_AROUND = re.compile(r"[\s\[\](){}<>.'\"]")
_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?")
_NOTHING = re.compile(r"[0xX.:/ -]")  # what stands where nothing is known
_SIGN = re.compile(r"^([+-])\s+")  # and blanks behind it, as some programs fill a field up
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d*)?")


@dataclass(frozen=True)
class Signal:
    """The header of one signal; ``first`` is where its samples begin in a record."""

    label: str
    transducer: str
    unit: str
    limits: tuple[str, str, str, str]
    prefilter: str
    count: int
    first: int

    @property
    def factor(self) -> float | None:
        """Microvolts in its unit; None if that is no voltage."""
        return microvolts(self.unit)

    @property
    def is_annotations(self) -> bool:
        """Whether it holds events and times of records instead of samples."""
        return self.label in ("EDF Annotations", "BDF Annotations")

    @property
    def digital(self) -> tuple[int, int]:
        """Its smallest and largest integer; ValueError for what is no whole number."""
        low, high = self.limits[2:]
        return whole(low, f"digital minimum of {self.label!r}"), whole(high, f"digital maximum of {self.label!r}")

    def scale(self) -> tuple[float, float]:
        """(gain, offset): the voltage is (integer + offset) * gain.

        Raises:
            ValueError: limits that are no numbers, digital ones that are not whole, or equal ones.
        """
        low, high = (
            float(number(text, f"physical {which} of {self.label!r}"))
            for text, which in zip(self.limits[:2], ("minimum", "maximum"), strict=True)
        )
        first, last = self.digital
        if low == high or first == last:
            raise ValueError(f"the limits of {self.label!r} must differ, got {low:g} to {high:g} for {first}..{last}")
        gain = (high - low) / (last - first)
        return gain, high / gain - last


def signals(block: bytes, count: int) -> list[Signal]:
    """The headers of all signals, from the 256 * ``count`` bytes behind that of the file."""
    columns, place = [], 0
    for size in _FIELDS:
        columns.append([text(block[place + size * row : place + size * (row + 1)]) for row in range(count)])
        place += size * count
    found, first = [], 0
    for label, transducer, unit, *limits, prefilter, samples, _ in zip(*columns, strict=True):
        own = whole(samples, f"number of samples of {label!r}")
        if own < 1:
            raise ValueError(f"the number of samples of {label!r} must be positive, got {own}")
        four = (limits[0], limits[1], limits[2], limits[3])
        found.append(Signal(label, transducer, unit, four, prefilter, own, first))
        first += own
    return found


def microvolts(unit: str) -> float | None:
    """Microvolts in a unit as files write it (uV, µV, [uV], microV, uVolt, mV, V ...); None if that is no voltage."""
    plain = _VOLTS.fullmatch(_MICRO.sub("u", _AROUND.sub("", unit.casefold().translate(_CYRILLIC))))
    return None if plain is None else _PREFIXES.get(plain[1])


def text(field: bytes) -> str:
    """Header text: ASCII by the standard, UTF-8 or Latin-1 in files; blanks and zeros around it do not count."""
    try:
        return field.decode("utf-8").strip(" \x00")
    except UnicodeDecodeError:
        return field.decode("latin-1").strip(" \x00")


def number(words: str, field: str) -> Decimal:
    """A number of a header.

    Some programs write a comma for the point, others commas between thousands: one that could be either ("-5,000") is
    refused.

    Raises:
        ValueError: no number, or one that could be two.
    """
    words = _SIGN.sub(r"\1", words)
    plain = words
    if _THOUSANDS.fullmatch(words):
        if words.count(",") == 1 and "." not in words:
            point, none = words.replace(",", "."), words.replace(",", "")
            raise ValueError(f"the {field} must be one number, got {words!r}, which is {point} or {none}")
        plain = words.replace(",", "")
    elif words.count(",") == 1 and "." not in words:
        plain = words.replace(",", ".")
    if not (plain.isascii() and _PLAIN.fullmatch(plain)):
        raise ValueError(f"the {field} must be a number, got {words!r}")
    return Decimal(plain)


def whole(words: str, field: str) -> int:
    """A number of a header that must be whole; commas in it stand between thousands.

    Raises:
        ValueError: no whole number.
    """
    plain = words.replace(",", "") if _THOUSANDS.fullmatch(words) else words
    if not (plain.isascii() and _PLAIN.fullmatch(plain)) or Decimal(plain) % 1:
        raise ValueError(f"the {field} must be a whole number, got {words!r}")
    return int(Decimal(plain))


def start(head: bytes, first: Decimal, notes: list[str]) -> datetime | None:
    """Time of the first sample; None if the header does not say it.

    Two digits of a year are 1985 to 2084; EDF+ has the year in full in the recording's field, and "yy" for others.

    Args:
        head: the first 256 bytes.
        first: seconds from the header's time to the first sample.
        notes: gets what is there and cannot be read, or says two things.
    """
    day_field, time_field = text(head[168:176]), text(head[176:184])
    date = re.fullmatch(r"(\d\d?)([./ -])(\d\d?)\2(\d{4}|\d\d|yy)", day_field, re.IGNORECASE)
    time = re.fullmatch(r"(\d\d?)[.:](\d\d?)[.:](\d\d?)", time_field)
    day = None if date is None or date[4].lower() == "yy" else (int(date[1]), int(date[3]), _year(date[4]))
    named = STARTDATE.search(text(head[88:168]))
    if named and named[2].upper() in MONTHS:
        full = int(named[1]), MONTHS.index(named[2].upper()) + 1, int(named[3])
        compared = slice(0, 3 if 1985 <= full[2] <= 2084 else 2)  # other years have no room in the date field
        if day is not None and day != _UNKNOWN_DAY and day[compared] != full[compared]:
            notes.append(f"it is dated {named[0].split()[1]}, as its recording field says, not {day_field}")
        day = full
    elif date is not None and date[2] == "/" and day is not None:
        notes.append(f"its date {day_field} is read as day, month and year")
    try:
        if day is None or time is None:
            raise ValueError
        hour, minute, second = map(int, time.groups())
        begin = datetime(day[2], day[1], day[0], hour, minute, second) + timedelta(seconds=float(first))
    except (ValueError, OverflowError):
        if _NOTHING.sub("", day_field):
            notes.append(f"its start, {day_field} at {time_field or 'no time'}, is no date and time, and is left out")
        return None
    return None if begin == UNKNOWN_START else begin


def _year(digits: str) -> int:
    return int(digits) + (0 if len(digits) == 4 else 1900 if int(digits) >= 85 else 2000)


def duration_slack(words: str, seconds: Decimal) -> Decimal:
    """By how much the duration of a record may be off: half of its last digit where it fills its eight characters."""
    exponent = seconds.as_tuple().exponent
    return Decimal(5).scaleb(int(exponent) - 1) if len(words) >= 8 and int(exponent) < 0 else Decimal(0)

"""The part of a BVH file after the word MOTION: rows of numbers, and the time of a frame as it was printed.

Does not know: joints, units, skeletons.
"""

from __future__ import annotations

import math
import re
from array import array
from collections.abc import Iterator, Sequence
from decimal import Decimal, InvalidOperation

import torch
from torch import Tensor

AT_ONCE = 2048  # frames that are in memory together
_USUAL = (10, 12, 15, 20, 24, 25, 30, 48, 50, 60, 72, 75, 90, 96, 100, 120, 144, 150, 180, 200, 240, 250)
_USUAL_HZ = (*_USUAL, 300, 360, 400, 480, 500, 600, 960, 1000)
_BEGIN = re.compile(r"Frames\s*:?\s*([^\s:]\S*)\s+Frame\s*Time\s*:?\s*([^\s:]\S*)", re.IGNORECASE)
_SLOW_HZ = 1.0  # below it, the number may be milliseconds or a rate
_FEW = 0.004  # of the time of a frame; digits that leave more open are told
_MOST = 0.011  # by which a rate may differ from what is written: 0.033 is 30 a second
_PADDED = 1.1e-3  # the same where the last digits are zeros: 0.0333330 is 30 a second, 0.0330000 is not
_FLOAT32 = 1.2e-7  # relative rounding of numbers that were single floats: 0.0333333351


class Rows:
    """What follows the word MOTION, read once from front to back; what was left out is noted at the end.

    Args:
        lines: of the file, read one by one: an hour of motion is a text of gigabytes as words.
        width: numbers in a row.
        columns: what each of them is of, in words.
        notes: gets what was left out or guessed.

    ``announced`` is the number of frames in the header, ``rate`` frames a second.
    """

    def __init__(self, lines: Iterator[str], columns: Sequence[str], notes: list[str]) -> None:
        self._lines, self._columns, self._notes = lines, columns, notes
        self.announced, self.rate, self._first = _begin(lines, notes)

    def __iter__(self) -> Iterator[Tensor]:
        """float64 [frames, width] in pieces.

        Raises:
            ValueError: what is no finite number, and, at the end, rows of other widths, or no whole one.
        """
        width, numbers, last = len(self._columns), array("d"), self._first.split()
        place = whole = done = 0
        ended = True
        odd: tuple[int, int] | None = None
        for line in self._lines:
            words = line.split()
            if words:
                if last:
                    place, whole = place + 1, whole + (len(last) == width)
                    odd = odd or (None if len(last) == width else (place, len(last)))
                self._take(last, numbers, done)
                last, ended = words, line.endswith(("\n", "\r"))
                if width and len(numbers) >= AT_ONCE * width:
                    ready = len(numbers) // width
                    yield _table(numbers[: ready * width], width)
                    done, numbers = done + ready, numbers[ready * width :]
        if odd and 2 * whole > place:  # rows may go on in further lines, but where most do not, the others are damaged
            raise ValueError(f"its row {odd[0]} has {odd[1]} numbers instead of {width}")
        came = done * width + len(numbers) + len(last)
        cut = came % width != 0 and len(last) == came % width  # the last row alone may be one that is cut off
        no_row = cut and not all(map(_is_number, last[:-1] or last))  # of the last number a sign may be left
        if not cut:
            self._take(last, numbers, done)
        announced, frames = self.announced, done + len(numbers) // width
        if frames < 1 or len(numbers) % width:
            raise ValueError(f"{announced} frames of {width} numbers were announced, but {came} came")
        if cut or frames != announced:
            ending = " before a row that is cut off" if cut else ""
            if no_row:
                ending = f" before what is no row of numbers ({' '.join(last)[:20]!r}), which is left out"
            if not (cut or ended) and frames < announced:
                ending = ", the last of which may be cut off, for no line end is behind it"
            self._notes.append(f"its header announces {announced} frames, but it holds {frames} whole ones{ending}")
        if numbers:
            yield _table(numbers, width)

    def _take(self, words: Sequence[str], numbers: array[float], done: int) -> None:
        """Puts the numbers of a line behind those that came before, of which ``done`` frames are gone already."""
        try:
            values = list(map(float, words))
        except ValueError:
            values = []
        if len(values) < len(words) or not all(map(math.isfinite, values)) or "_" in "".join(words):
            before = next(place for place, word in enumerate(words) if not _is_number(word))
            frame, column = divmod(len(numbers) + before, len(self._columns))
            raise ValueError(
                f"{self._columns[column]} in frame {done + frame + 1} must be a finite number, got "
                f"{words[before][:20]!r}"
            )
        numbers.extend(values)


def _is_number(word: str) -> bool:
    try:
        return math.isfinite(float(word)) and "_" not in word
    except ValueError:
        return False


def _table(numbers: array[float], width: int) -> Tensor:
    return torch.frombuffer(numbers, dtype=torch.float64).view(-1, width)


def _begin(lines: Iterator[str], notes: list[str]) -> tuple[int, float, str]:
    """The number of frames that is announced, frames a second, and what else stands in their line."""
    text, begin = "", None
    while begin is None:
        line = next((line for line in lines if line.strip()), None)
        if line is None or text.count("\n") >= 4:
            raise ValueError("its MOTION part must begin with Frames: and Frame Time:")
        text += f"{line.strip()}\n"
        begin = _BEGIN.match(text)
    if not re.fullmatch(r"-?\d+", begin[1], re.ASCII):
        raise ValueError(f"its number of frames must be a whole one, got {begin[1]!r}")
    rate = rate_of(begin[2])
    if rate < _SLOW_HZ:
        notes.append(
            f"its frame time of {begin[2]} is {rate:.3g} frames a second; write it in seconds if it is something else"
        )
    if has_few_digits(begin[2]):
        notes.append(
            f"its frame time of {begin[2]} s has few digits and is read as {rate:.6g} frames a second; write it with "
            "more of them if that is wrong"
        )
    return int(begin[1]), rate, text[begin.end() :]


def rate_of(text: str) -> float:
    """Frames a second, from the time of a frame as it is written, in seconds.

    The digits of a file allow a range of rates, rounded or cut off. In it a usual rate is taken, or one of film and
    television (24000/1001 and its like), or a whole one or one of three decimals that is nearly exact; else the
    number as it stands.
    """
    step = _seconds(text)
    exact, unit = 1 / float(step), _last_digit(step)
    padded = _last_digit(step.normalize())
    usual = float(min(_USUAL_HZ, key=lambda rate: abs(rate / exact - 1)))

    def off(rate: float) -> float:
        return abs(exact / rate - 1) if rate > 0 else 1.0

    film = usual * 1000 / 1001
    ranges = [  # the rates that are tried, and how far off they may be, in the order of how much that guesses
        *((rate, _FLOAT32) for rate in (usual, film)),
        *((rate, min(0.5 * unit * exact * (1 + 1e-9), _MOST)) for rate in (usual, film)),
        *((rate, min(unit * exact, _MOST)) for rate in (usual, film)),
        *((rate, 1e-8) for rate in (float(round(exact)), round(exact, 3))),
        *((rate, min(padded * exact, _PADDED)) for rate in (usual, film) if padded > unit),
        (float(round(exact)), min(unit * exact, 1e-4)),
    ]
    return next((rate for rate, room in ranges if off(rate) <= room), exact)


def has_few_digits(text: str) -> bool:
    """Whether a time of a frame leaves rates open that differ by a percent; 0.04 s and the like are whole rates."""
    step = _seconds(text)
    return 0.5 * _last_digit(step) > _FEW * float(step) and bool(1 / step % 1)


def _seconds(text: str) -> Decimal:
    try:
        step = Decimal(text)
    except InvalidOperation:
        step = Decimal("nan")
    if not (step.is_finite() and 0 < float(step) < math.inf):
        raise ValueError(f"its frame time must be positive, got {text}")
    return step


def _last_digit(step: Decimal) -> float:
    """What one more in the last digit is worth; one of units or more counts as exact."""
    exponent = int(step.as_tuple().exponent)
    return float(Decimal(1).scaleb(exponent)) if exponent < 0 else 0.0

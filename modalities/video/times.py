"""Which frame of a film is on at each moment, at a constant rate.

Arrow: when each frame comes on --**steady**--> numbers of frames and their rate. Does not know: files, pixels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

FINEST_HZ = 120.0  # longer frames are repeated at this rate at most
FASTEST_HZ = 250.0  # of films whose frames are that short themselves
SMOOTH_HZ = 24.0  # at least, where nothing tells the rate: so late may a frame come
_TRIES = 100_000  # steps of the search for a common step, beside twenty a frame


def steady(starts: Sequence[float], end: float, unit: float) -> tuple[Tensor, float]:
    """Frames in the order in which they are shown at a constant rate; none is left out.

    Frames whose times are those of a constant rate, rounded to the unit of their file, are taken one by one. Others
    are repeated while they are on, at the slowest rate at which all times are multiples of a step: exactly, rounded to
    the unit, to twice it, or with each duration rounded on its own. Where there is none, it is the rate of the shortest
    frame, or the least multiple of it that is 24 a second or more: at each moment the frame is shown that is on then.

    Args:
        starts: seconds at which each frame comes on, ascending.
        end: when the last one goes, seconds.
        unit: of the times in the file, seconds.

    Returns:
        numbers of frames, int64 [time], and frames a second.

    Raises:
        ValueError: times that do not ascend.
    """
    times = torch.tensor([*starts, end], dtype=torch.float64) - starts[0]
    lasting = times.diff()
    if not bool((lasting > 0).all()) or not math.isfinite(end):
        raise ValueError("its frames must come on one after the other, but their times do not ascend")
    count, whole = len(starts), float(times[-1])
    mean = whole / count
    even = torch.arange(count, dtype=torch.float64) * mean
    if float((times[:-1] - even).abs().max()) <= max(unit, mean / 16) * (1 + 1e-6):
        return torch.arange(count), _rate(count, whole, unit)
    shortest = float(lasting.min())
    least = max(1 / FASTEST_HZ, min(1 / FINEST_HZ, shortest)) * (1 - 1e-6)
    found = _exact(lasting, unit)
    for slack in (unit / 2, unit):
        slack *= 1 + 1e-6
        found = found or _slots(times.tolist(), slack, least, shortest + 2 * slack)
    found = found or _rounded_one_by_one(lasting, unit)
    slots, rate = found or _unrelated(times, shortest, unit)
    if found and abs(slots[-1] / rate - whole) < 1e-9:
        rate = _rate(slots[-1], whole, unit)
    return torch.arange(count).repeat_interleave(torch.tensor([0, *slots]).diff()), rate


def _rate(count: int, whole: float, unit: float) -> float:
    """Frames a second, exact where the film lasts for a whole number of units."""
    ticks, second = whole / unit, round(1 / unit)
    if abs(ticks - round(ticks)) < 1e-6 * max(1.0, ticks * 1e-3):
        return count * second / round(ticks)
    return count / whole


def _exact(lasting: Tensor, unit: float) -> tuple[list[int], float] | None:
    """As :func:`_slots`, of a step of two units or more of which all durations are multiples."""
    ticks = (lasting / unit).round()
    step = math.gcd(*ticks.long().tolist())
    if step < 2 or step * unit * FINEST_HZ < 1 or float((lasting - ticks * unit).abs().max()) > 1e-6 * unit + 1e-9:
        return None
    return (ticks.cumsum(0).long() // step).tolist(), 1 / (step * unit)


Option = tuple[int, float, float]  # the slot of a time; shortest and longest step that put it there


def _slots(times: list[float], slack: float, least: float, most: float) -> tuple[list[int], float] | None:
    """The longest step from ``least`` to ``most`` of which all times are multiples, up to ``slack`` seconds.

    Times go to slots one after the other, each of which narrows the steps; a time that fits no slot takes the last
    choice back.

    Args:
        times: of frames from 0 on, and of the end.
        slack: seconds.
        least: seconds.
        most: seconds.

    Returns:
        slots of all times but the first, ascending, and steps a second; None if nothing fits.
    """
    options, taken = [_options(times[1], 0, least, most, slack)], list[Option]()
    for _ in range(_TRIES + 20 * len(times)):
        option = next(options[-1], None)
        if option is None:
            options.pop()
            if not options:
                return None
            taken.pop()
            continue
        taken.append(option)
        slot, low, high = option
        if len(taken) == len(times) - 1:
            # What keeps the duration; else what cameras and players have, if it fits: 30 or 30000 / 1001 a second.
            usual = [times[-1] / slot, 1 / max(round(1 / high), 1), 1.001 / max(round(1.001 / high), 1)]
            step = next((one for one in usual if low <= one <= high), min(max(usual[0], low), high))
            return [slot for slot, _, _ in taken], 1 / step
        options.append(_options(times[len(taken) + 1], slot, low, high, slack))
    return None


def _options(time: float, last: int, low: float, high: float, slack: float) -> Iterator[Option]:
    """Slots after the last one that a time can have, those of longer steps first."""
    slot = max(last + 1, math.ceil((time - slack) / high))
    while slot <= (time + slack) / low:
        longest = min(high, (time + slack) / slot)
        shortest = max(low, (time - slack) / slot)
        if shortest <= longest:
            yield slot, shortest, longest
        slot += 1


def _rounded_one_by_one(lasting: Tensor, unit: float) -> tuple[list[int], float] | None:
    """As :func:`_slots`, of a step of which all durations are multiples, and times nearly so: rounding adds up."""
    shortest = float(lasting.min())
    for parts in range(1, int(shortest * FINEST_HZ) + 1):
        step = shortest / parts
        for _ in range(3):
            spans = (lasting / step).round().clamp_min(1)
            step = float(lasting.sum() / spans.sum())
        slots = spans.cumsum(0)
        drift = float((lasting.cumsum(0) - slots * step).abs().max())
        if step >= 8 * unit and drift <= step / 4 and float((lasting - spans * step).abs().max()) <= unit * (1 + 1e-6):
            return slots.long().tolist(), 1 / step
    return None


def _unrelated(times: Tensor, shortest: float, unit: float) -> tuple[list[int], float]:
    """As :func:`_slots`: each frame in the slots at whose beginnings it is on, one at least."""
    rate = min(_rate(math.ceil(shortest * SMOOTH_HZ * (1 - 1e-6)), shortest, unit), FINEST_HZ)
    slots: list[int] = [0]
    for slot in ((times[1:-1] * rate - 1e-3).ceil()).long().tolist():  # a time that is past by rounding only
        slots.append(max(slot, slots[-1] + 1))
    return [*slots[1:], max(round(float(times[-1]) * rate), slots[-1] + 1)], rate

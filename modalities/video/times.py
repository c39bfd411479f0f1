"""Which frame of a film is on at each moment, at a constant rate.

Arrow: when each frame comes on --**steady**--> numbers of frames and their rate. Does not know: files, pixels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

FASTEST_HZ = 120.0  # frames that are on for less may be left out


def steady(starts: Sequence[float], end: float, unit: float) -> tuple[Tensor, float]:
    """Frames in the order in which they are shown at a constant rate.

    Frames whose times are those of a constant rate, rounded to the unit of their file, are taken one by one. Others
    are repeated while they are on, at the rate of their greatest common step if that is at most 120 a second, else at
    that of the shortest frame.

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
        return torch.arange(count), count / whole
    rate = min(_common_rate(lasting, unit) or 1 / float(lasting.min()), FASTEST_HZ)
    moments = (torch.arange(max(1, round(whole * rate)), dtype=torch.float64) + 1e-3) / rate  # past what is rounded
    return torch.searchsorted(times[:-1].contiguous(), moments, right=True) - 1, rate


def _common_rate(lasting: Tensor, unit: float) -> float | None:
    """Of the longest step of which all durations are multiples; None if that would be too fast."""
    steps = math.gcd(*(round(float(one) / unit) for one in lasting))
    rate = 1 / (steps * unit) if steps else math.inf
    return rate if rate <= FASTEST_HZ else None

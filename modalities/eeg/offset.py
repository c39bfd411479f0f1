"""Offsets and drifts of amplifiers without a high-pass filter: found where they outweigh the wave, and taken away.

Does not know: recordings, files, codes. Works on plain samples, with sums in one order: threads change no bit.

Source of the drift: a Whittaker smoother of third differences (Eilers, Anal. Chem. 75, 2003), half at 0.35 Hz.
"""

from __future__ import annotations

import math
from array import array
from typing import Any

import numpy as np
import torch
from torch import Tensor

LOST_MICROVOLT = 300.0
"""Mean of a second beside which a wave is lost in its codes; no slow wave of EEG has it."""

_HALF_HZ = 0.35  # of a drift of this frequency half is taken at once; of 0.1 Hz 99.9 %, of 0.5 Hz 11 %, of 1 Hz 0.2 %
_POINTS_HZ = 10.0  # means that a drift is drawn through
_TIMES = 8  # drifts of hundreds of times the wave are taken in several turns
_PART = 1 << 20  # samples that are held in double precision together
_LONG_SECONDS = (
    4.0  # of what is shorter a slow wave and a drift look alike, so only what is too large for a wave counts
)
_BRIEF_SECONDS = 1.0  # and here an offset looks like them, too
_LARGE_MICROVOLT = 200.0  # root mean square of no slow wave of EEG
_SLOWEST_HZ = 8.0  # samples of a slower recording are no waves, but values of their own
_LEAST_MICROVOLT = 1.0  # what is below is the rounding of a converter


def without_baseline(samples: Tensor, rate_hz: float, *, in_place: bool = False) -> tuple[Tensor, Tensor]:
    """Takes offset and drift away from each channel where they outweigh the wave; others stay bit for bit.

    The mean goes first; a drift only where it outweighs what is left then. EEG that was high-passed has less of both
    than of all other waves together. Below 4 s a drift must have a root mean square of 200 microvolts, too, and below
    1 s an offset: a slow wave looks like them there. Fewer than 8 samples a second stay as they are.

    Args:
        samples: float32 [channels, time], microvolts.
        rate_hz: of the samples.
        in_place: changes these samples, and needs no memory for others.

    Returns:
        the samples, those that came in if nothing was taken; and the root mean square of what was taken, float64
        [channels], 0 where nothing was.
    """
    taken, made = torch.zeros(len(samples), dtype=torch.float64), samples
    for number, row in enumerate(samples if rate_hz >= _SLOWEST_HZ else ()):
        baseline = _baseline(row.detach().cpu().numpy(), rate_hz)
        if baseline is None:
            continue
        made = samples.clone() if made is samples and not in_place else made
        made[number] = row.double() - baseline.to(row.device)
        taken[number] = baseline.square().mean().sqrt()
    return made, taken


def lost_seconds(samples: Tensor, rate_hz: float) -> Tensor:
    """How many seconds of each channel, int64 [channels], have a mean beside which their wave is lost in the codes.

    Steps and amplifiers that settle leave such seconds.

    Args:
        samples: float32 [channels, time], microvolts.
        rate_hz: of the samples.
    """
    size = max(round(rate_hz), 1)
    whole = samples.shape[1] // size * size
    means = [samples[:, :whole].reshape(len(samples), -1, size).mean(2)] if whole else []
    means += [samples[:, whole:].mean(1, keepdim=True)] if whole < samples.shape[1] else []
    return (torch.cat(means, 1).abs() > LOST_MICROVOLT).sum(1).cpu()


def _baseline(row: Any, rate_hz: float) -> Tensor | None:
    """Offset and drift of a row float32 [time], float64 [time]; None where it has none.

    Points, the means of a tenth of a second, tell: only what is taken away is drawn at full length.
    """
    seconds, size = len(row) / rate_hz, max(round(rate_hz / _POINTS_HZ), 1)
    points = row[: len(row) // size * size].reshape(-1, size).mean(1, dtype=np.float64)
    mean, power = float(row.mean(dtype=np.float64)), _power(row)
    least = _LEAST_MICROVOLT if seconds >= _BRIEF_SECONDS else _LARGE_MICROVOLT
    offset = mean if mean**2 > max(power - mean**2, least**2) else 0.0
    points, power = points - offset, power - offset * (2 * mean - offset)
    least = _LEAST_MICROVOLT if seconds >= _LONG_SECONDS else _LARGE_MICROVOLT
    drift = np.zeros_like(points)
    for _ in range(_TIMES if len(points) >= 4 else 0):
        smooth = _smoothed(points, rate_hz / size)
        own = float(np.square(smooth).mean())
        rest = max(power - 2 * float((points * smooth).mean()) + own, 0.0)
        if own <= max(rest, least**2):
            break
        points, drift, power = points - smooth, drift + smooth, rest
    if drift.any():
        return _drawn(torch.from_numpy(drift), size, len(row)) + offset
    return torch.full((len(row),), offset, dtype=torch.float64) if offset else None


def _power(row: Any) -> float:
    """Mean square; of a part at a time, so that a night needs no double of itself."""
    parts = (row[begin : begin + _PART].astype(np.float64) for begin in range(0, len(row), _PART))
    return sum(float(np.square(part).sum()) for part in parts) / len(row)


def _smoothed(points: Any, rate_hz: float) -> Any:
    """x of (I + w D'D) x = points, D the third differences, by the factors L S L' of a matrix of seven diagonals."""
    weight = (2 * math.sin(math.pi * _HALF_HZ / rate_hz)) ** -6
    steps, size = (-1.0, 3.0, -3.0, 1.0), len(points)
    bands = np.zeros((4, size))  # entry (row, row - band)
    bands[0] = 1
    for band in range(4):
        for place in range(4 - band):
            bands[band, place + band : place + band + size - 3] += weight * steps[place] * steps[place + band]
    a0, a1, a2, a3 = (array("d", band.tobytes()) for band in bands)  # lists take four times the memory
    x = array("d", np.append(points, np.zeros(3)).tobytes())
    # Three rows before the first one change nothing: their scale is 1, their factors and values are 0.
    s1 = s2 = s3 = 1.0
    p1 = p2 = q1 = y1 = y2 = y3 = 0.0  # factors of the two rows before, values of the three before
    firsts, seconds, thirds, scales = (array("d", bytes(8 * (size + 3))) for _ in range(4))
    for row in range(size):
        third = a3[row] / s3
        second = (a2[row] - third * s3 * p2) / s2
        first = (a1[row] - third * s3 * q1 - second * s2 * p1) / s1
        scale = a0[row] - first * first * s1 - second * second * s2 - third * third * s3
        value = x[row] - first * y1 - second * y2 - third * y3
        firsts[row], seconds[row], thirds[row], scales[row], x[row] = first, second, third, scale, value
        s1, s2, s3, p1, p2, q1, y1, y2, y3 = scale, s1, s2, first, p1, second, value, y1, y2
    for row in range(size - 1, -1, -1):
        value = x[row] / scales[row] - firsts[row + 1] * x[row + 1]
        x[row] = value - seconds[row + 2] * x[row + 2] - thirds[row + 3] * x[row + 3]
    return np.array(x[:size])


def _drawn(points: Tensor, size: int, length: int) -> Tensor:
    """Cubic curves through the middles of ``size`` samples each, float64 [points] -> float64 [length]."""
    first = size + size // 2  # samples up to the second point belong to the first curve, as those behind to the last
    behind = first + (len(points) - 3) * size
    place = (torch.arange(max(length, first + size), dtype=torch.float64) + 0.5) / size - 0.5

    def curves(at: Tensor) -> tuple[Tensor, ...]:
        zero, one, two, three = (at - node for node in range(4))
        return one * two * three / -6, zero * two * three / 2, zero * one * three / -2, zero * one * two / 6

    def along(at: Tensor, four: Tensor) -> Tensor:
        return sum((weight * point for weight, point in zip(curves(at), four, strict=True)), torch.zeros_like(at))

    weights = curves(place[first : first + size])
    count = len(points) - 3
    inside = sum((points[k : k + count, None] * weights[k] for k in range(1, 4)), points[:count, None] * weights[0])
    last = along(place[behind:length] - count + 1, points[-4:])
    return torch.cat([along(place[:first], points[:4]), inside.flatten(), last])[:length]

"""Offsets and drifts of amplifiers without a high-pass filter: found where they outweigh the wave, and taken away.

Does not know: recordings, files, codes. Works on plain samples.
"""

from __future__ import annotations

import torch
from torch import Tensor

_SECONDS = 2.0  # of the moving average, which goes over the baseline twice: half is taken away at 0.22 Hz
_SHORTEST = 2  # averages that a recording must hold; of shorter ones the mean alone is taken
_SLOWEST_HZ = 8.0  # samples of a slower recording are no waves, but values of their own
_LEAST_MICROVOLT = 1.0  # what is below is the rounding of a converter


def without_baseline(samples: Tensor, rate_hz: float) -> tuple[Tensor, Tensor]:
    """Takes the baseline away from each channel where it outweighs the wave around it; others stay bit for bit.

    A baseline is a straight line and what two moving averages of 2 s keep of the rest: nothing at 0.5 Hz and its
    multiples, 5 % or less above. EEG that was high-passed has less of it than of all other waves together. What is
    shorter than a second or has fewer than 8 samples a second has no baseline.

    Args:
        samples: float32 [channels, time], microvolts.
        rate_hz: of the samples.

    Returns:
        the samples, those that came in if nothing was taken; and the root mean square of what was taken, float64
        [channels], 0 where nothing was.
    """
    taken = torch.zeros(len(samples), dtype=torch.float64)
    rows = list(samples)
    for number, row in enumerate(samples if samples.shape[1] >= rate_hz >= _SLOWEST_HZ else ()):
        values = row.double()
        base = _baseline(values, rate_hz)
        size = base.square().mean().sqrt()
        if size > max(float((values - base).square().mean().sqrt()), _LEAST_MICROVOLT):
            rows[number], taken[number] = (values - base).float(), size
    return (torch.stack(rows) if bool(taken.any()) else samples), taken


def _baseline(values: Tensor, rate_hz: float) -> Tensor:
    size = len(values)
    reach = round(_SECONDS * rate_hz / 2)
    if size < 2 * _SHORTEST * reach or not reach:
        return values.mean().expand(size)
    place = torch.arange(size, dtype=torch.float64) - (size - 1) / 2
    line = values.mean() + place * ((place * values).sum() / place.square().sum())
    rest = values - line
    for _ in range(2):  # mirrored at both ends, without the line, so that neither end bends
        wide = torch.cat([rest[:reach].flip(0), rest, rest[-reach:].flip(0)])
        sums = torch.nn.functional.pad(wide.cumsum(0), (1, 0))
        inner = sums[2 * reach :] - sums[: -2 * reach]  # windows of 2 * reach samples, half a sample to the left
        rest = ((inner[1:] + inner[:-1]) / (4 * reach))[:size]
    return line + rest

"""Intervals of figures: by the bootstrap, and of shares in closed form.

Does not know: what is measured. Source: Efron and Tibshirani 1993, sections 13.3 (percentiles) and 6.2 (errors).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

RESAMPLES = 1000
LEVEL = 0.95


def generator(seed: int, *key: int) -> np.random.Generator:
    """A Philox generator for a seed and up to one further number, so that figures do not depend on their order."""
    return np.random.Generator(np.random.Philox(key=np.array([seed, *(key or (0,))], dtype=np.uint64)))


def percentile_interval(
    statistic: Callable[[np.ndarray], float], count: int, rng: np.random.Generator, resamples: int = RESAMPLES
) -> tuple[float, float] | None:
    """The middle 95 % of a statistic over resamples.

    Args:
        statistic: of the items that an int64 [count] of item numbers names, repeats included.
        count: of items.
        rng: draws the resamples.
        resamples: how many.

    Returns:
        (low, high), or None for fewer than two items.
    """
    if count < 2:
        return None
    values = [statistic(rng.integers(count, size=count)) for _ in range(resamples)]
    low, high = np.nanpercentile(values, [50 * (1 - LEVEL), 50 * (1 + LEVEL)])
    return float(low), float(high)


def mean_interval(values: np.ndarray, rng: np.random.Generator) -> tuple[float, float] | None:
    """The same for the mean of float [items]."""
    return percentile_interval(lambda chosen: float(values[chosen].mean()), len(values), rng)


def share_interval(right: np.ndarray) -> tuple[float, float] | None:
    """95 % interval of a share, by Wilson's score: resamples of a share of 0 or 1 would all be the same.

    Args:
        right: float [items] of zeros and ones.

    Source: Wilson 1927, Journal of the American Statistical Association 22.
    """
    count, z = len(right), 1.959964
    if count < 2:
        return None
    share = float(right.mean())
    middle = (share + z**2 / (2 * count)) / (1 + z**2 / count)
    reach = z / (1 + z**2 / count) * math.sqrt(share * (1 - share) / count + z**2 / (4 * count**2))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def error_interval(
    value: float, statistic: Callable[[np.ndarray], float], count: int, rng: np.random.Generator, resamples: int = 200
) -> tuple[float, float] | None:
    """``value`` plus and minus 1.96 standard deviations over resamples, not below zero.

    For distances of samples, which repeats in a resample move away from the value itself.
    """
    if count < 2:
        return None
    error = float(np.std([statistic(rng.integers(count, size=count)) for _ in range(resamples)], ddof=1))
    return max(0.0, value - 1.96 * error), value + 1.96 * error


def seeds_interval(values: np.ndarray) -> tuple[float, float] | None:
    """95 % interval of the mean of float [seeds] by Student's t; None for fewer than three, which say too little.

    Source: Student 1908, Biometrika 6; quantiles of 0.975 for 2 to 30 degrees of freedom, the normal one beyond.
    """
    count = len(values)
    if count < 3:
        return None
    quantile = _STUDENT[count - 3] if count - 3 < len(_STUDENT) else 1.959964
    mean, reach = float(np.mean(values)), quantile * float(np.std(values, ddof=1)) / math.sqrt(count)
    return mean - reach, mean + reach


_STUDENT = (
    *(4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.3060, 2.2622, 2.2281, 2.2010, 2.1788, 2.1604, 2.1448, 2.1314),
    *(2.1199, 2.1098, 2.1009, 2.0930, 2.0860, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452),
    2.0423,
)

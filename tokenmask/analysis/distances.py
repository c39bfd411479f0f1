"""Distances between and within sets of features: Fréchet distance and diversity.

Does not know: what the features are of.
"""

from __future__ import annotations

import numpy as np

from tokenmask.analysis.intervals import error_interval, percentile_interval

LEAST_PER_DIMENSION = 4  # items for each dimension: covariances of fewer are mostly noise


def dimensions_for(*counts: int, most: int = 16) -> int:
    """Dimensions in which covariances of so many items can be compared: a quarter of the smallest count, at most 16."""
    return max(1, min(most, min(counts) // LEAST_PER_DIMENSION))


def frechet_distance(one: np.ndarray, other: np.ndarray) -> float:
    """Fréchet distance of the Gaussians that fit two sets, squared as is usual.

    |m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2)), never negative. With n items it is too large by about d / n for each
    side, so it is read beside the distance of two sets of data of the same sizes.

    Args:
        one, other: float64 [items, d], two items each at least.

    Source: arXiv:1706.08500, section 2, equation 6. Deviation: few principal components, no pretrained network.
    """
    means = one.mean(0) - other.mean(0)
    first, second = (np.atleast_2d(np.cov(items, rowvar=False)) for items in (one, other))
    values, vectors = np.linalg.eigh(first)
    root = (vectors * np.sqrt(values.clip(0))) @ vectors.T
    cross = np.sqrt(np.linalg.eigvalsh(root @ second @ root).clip(0)).sum()
    return max(0.0, float(means @ means + np.trace(first) + np.trace(second) - 2 * cross))


def frechet_interval(one: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> tuple[float, float] | None:
    """95 % interval of :func:`frechet_distance`, from the spread over resamples of both sets."""

    def resampled(chosen: np.ndarray) -> float:
        return frechet_distance(one[chosen], other[rng.integers(len(other), size=len(other))])

    return error_interval(frechet_distance(one, other), resampled, len(one), rng)


def diversity(items: np.ndarray) -> float:
    """Mean distance of two different items of float64 [items, d]."""
    return _mean_distance(_distances(items), np.arange(len(items)))


def diversity_interval(items: np.ndarray, rng: np.random.Generator) -> tuple[float, float] | None:
    """95 % interval of :func:`diversity`; an item drawn twice does not count as a pair."""
    table = _distances(items)
    return percentile_interval(lambda chosen: _mean_distance(table, chosen), len(items), rng)


def _distances(items: np.ndarray) -> np.ndarray:
    squares = (items**2).sum(1)
    table: np.ndarray = np.sqrt((squares[:, None] + squares - 2 * items @ items.T).clip(0))
    return table


def _mean_distance(table: np.ndarray, chosen: np.ndarray) -> float:
    pairs = chosen[:, None] != chosen
    count = int(pairs.sum())
    return float((table[np.ix_(chosen, chosen)] * pairs).sum() / count) if count else float("nan")

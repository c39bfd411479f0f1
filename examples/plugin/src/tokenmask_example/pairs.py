"""A metric: whether codes follow one another in what is generated as they do in data.

``tokenmask evaluate`` finds it by the entry point.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from tokenmask.analysis import Figure
from tokenmask.analysis.intervals import percentile_interval
from tokenmask.evaluation import Metric
from tokenmask.evaluation.part import Part
from tokenmask.streams import TokenStream

DRAWS = 500  # first of the numbers for draws that are free for packages of others


class PairDivergence(Metric):
    """Jensen-Shannon divergence, in bits, of the pairs of neighbouring codes of generated and of held-out streams.

    Along the last axis of the grid, level 0. 0 where all pairs are as frequent, 1 where none is common.
    Source: Lin 1991, "Divergence measures based on the Shannon entropy", doi:10.1109/18.61115, equation 4.1.
    """

    def __call__(self, part: Part) -> Sequence[Figure]:
        name = f"divergence of neighbouring codes of {part.name}"
        made, training = (list(map(pairs, found)) for found in (part.generated(part.chosen), part.windows))
        real = [pairs(one[part.name]) for one in part.held_out]
        if not (sum(map(len, made)) and sum(map(len, real))):
            return [Figure(name, None, note="needs neighbouring codes in generated and held-out streams, found none")]

        def statistic(chosen: np.ndarray) -> float:
            return divergence([made[at] for at in chosen], real)

        value = divergence(made, real)
        interval = percentile_interval(statistic, len(made), part.rng(DRAWS), resamples=200)
        if interval:  # fewer different streams have fewer different pairs: resamples lie above the value
            interval = min(interval[0], value), max(interval[1], value)
        beside = f"{len(training):,} training streams {divergence(training, real):.4g}"
        return [Figure(name, value, interval, len(made), f"generated and {len(real):,} held-out streams", beside)]


def pairs(stream: TokenStream) -> Counter[tuple[int, int]]:
    """How often each pair of codes stands side by side."""
    rows = stream.codes[..., 0].flatten(0, -2) if stream.codes.dim() > 2 else stream.codes[:, 0][None]
    return Counter(pair for row in rows.tolist() for pair in pairwise(row))  # none in a stream that ended at once


def divergence(some: Sequence[Counter[tuple[int, int]]], others: Sequence[Counter[tuple[int, int]]]) -> float:
    """Bits; H((p + q) / 2) - (H(p) + H(q)) / 2 of the two shares of pairs."""
    totals = sum(some, Counter()), sum(others, Counter())
    p, q = ({pair: n / total.total() for pair, n in total.items()} for total in totals)
    middle = {pair: (p.get(pair, 0.0) + q.get(pair, 0.0)) / 2 for pair in {*p, *q}}
    return max(0.0, _entropy(middle) - (_entropy(p) + _entropy(q)) / 2)


def _entropy(shares: dict[tuple[int, int], float]) -> float:
    values = np.array([share for share in shares.values() if share > 0])
    return float(-(values * np.log2(values)).sum())

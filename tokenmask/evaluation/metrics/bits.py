"""Bits that a hidden code and a second cost, as figures.

Arrow: scores of held-out records --**Bits**--> Figures. Does not know: how records are scored, what is generated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from tokenmask.analysis.figures import Figure
from tokenmask.analysis.intervals import percentile_interval
from tokenmask.evaluation.metric import Metric
from tokenmask.evaluation.part import Part
from tokenmask.training import StreamScore


class Bits(Metric):
    """Masked cross-entropy of held-out codes in bits, beside a unigram."""

    begins: ClassVar[tuple[str, ...]] = ("bits a hidden code", "bits a second")

    def __call__(self, part: Part) -> Sequence[Figure]:
        """Means over the levels, and their sum over a second, for each set of conditions."""
        groups: dict[tuple[tuple[str, ...], tuple[str, ...]], list[StreamScore]] = {}
        for score in part.scores:
            groups.setdefault((score.record, score.given), []).append(score)
        spec, found = part.run.layout.streams[part.name], []
        for number, ((record, given), levels) in enumerate(groups.items()):
            sums = np.stack([level.by_record.numpy() for level in levels])  # [levels, records, 3]
            sums = sums[:, sums[:, :, 2].sum(0) > 0]  # in some records no code was hidden
            known = f", given {' and '.join(given)}" if given else (", nothing given" if len(record) > 1 else ", alone")
            count, of = sums.shape[1], "held-out records"
            model, unigram = (_bits_a_code(sums, np.arange(count), column) for column in (0, 1))

            def mean_bits(chosen: np.ndarray, sums: np.ndarray = sums) -> float:
                return _bits_a_code(sums, chosen, 0)

            interval = percentile_interval(mean_bits, count, part.rng(number))
            sizes = np.log2(spec.codebook_sizes)
            beside = f"unigram {unigram:.4g}, evenly {sizes.mean():.4g}"
            found.append(Figure(f"bits a hidden code{known}", model, interval, count, of, beside))
            if spec.rate_hz is not None and len(levels) == spec.num_levels:
                channel = "channel" in spec.axes
                factor = spec.rate_hz * spec.num_levels
                found.append(
                    Figure(
                        f"bits a second{' and channel' if channel else ''}{known}",
                        model * factor,
                        interval and (interval[0] * factor, interval[1] * factor),
                        count,
                        of,
                        f"unigram {unigram * factor:.4g}, evenly {sizes.mean() * factor:.4g}",
                    )
                )
        return found


def _bits_a_code(sums: np.ndarray, chosen: np.ndarray, column: int) -> float:
    """Mean over levels of the cross-entropy of all hidden codes of some records, in bits."""
    totals = sums[:, chosen].sum(1)
    return float(np.mean(totals[:, column] / np.maximum(totals[:, 2], 1))) / math.log(2)

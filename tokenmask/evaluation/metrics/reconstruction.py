"""How well a tokenizer gives media back, as figures.

Arrow: held-out media --**Reconstruction**--> Figures. Does not know: models, how a tokenizer measures itself.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from tokenmask.analysis.figures import Figure
from tokenmask.analysis.intervals import mean_interval
from tokenmask.evaluation.metric import Metric
from tokenmask.evaluation.part import Part

_WITHOUT_ITEMS = re.compile(r"^(codes_used|perplexity|bits_|scale_bits|pca_|mean_|mpjpe_of)|_levels_")


class Reconstruction(Metric):
    """What the tokenizer says of itself on held-out media."""

    begins: ClassVar[tuple[str, ...]] = ("reconstruction",)

    def __call__(self, part: Part) -> Sequence[Figure]:
        """What the tokenizer's own figures are, item by item, on held-out media."""
        media = part.media
        if not len(media):
            if part.name in part.run.layout.shares:
                return []
            return [Figure("reconstruction", None, note="no held-out media were given")]
        tokenizer = part.run.tokenizers[part.name]
        chosen = [media[at] for at in np.linspace(0, len(media) - 1, min(len(media), part.samples)).round().astype(int)]
        values: dict[str, list[float]] = {}
        for item in chosen:
            for figure, value in tokenizer.evaluate([item]).items():
                if not _WITHOUT_ITEMS.search(figure):
                    values.setdefault(figure, []).append(value)
        return [
            Figure(
                f"reconstruction: {figure}",
                float(np.mean(found)),
                mean_interval(np.array(found), part.rng(90 + number)),
                len(found),
                "held-out items",
            )
            for number, (figure, found) in enumerate(values.items())
        ]

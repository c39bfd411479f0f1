"""How far what is generated lies from held-out streams, and how diverse it is, as figures.

Arrow: Part --**Generated**--> Figures. Does not know: conditions, how a distance is computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from tokenmask.analysis.distances import (
    dimensions_for,
    diversity,
    diversity_interval,
    frechet_distance,
    frechet_interval,
)
from tokenmask.analysis.figures import Figure
from tokenmask.evaluation.metric import Metric
from tokenmask.evaluation.part import LEAST, Part

FLOORS = 20  # draws of training streams whose distance to held-out ones is averaged


class Generated(Metric):
    """Fréchet distance and diversity of streams that are generated for the conditions of held-out records."""

    begins: ClassVar[tuple[str, ...]] = ("Fréchet distance", "diversity, mean distance of two")

    def __call__(self, part: Part) -> Sequence[Figure]:
        """Two figures, or one that says why there are none."""
        space = part.space
        if space is None:
            got = f"{len(part.train)} and {len(part.chosen)}"
            return [
                Figure("Fréchet distance", None, note=f"needs {LEAST} training and {LEAST} held-out records, got {got}")
            ]
        made, windows = part.generated(part.chosen), part.windows
        real = [one[part.name] for one in part.held_out]
        size = min(len(made), len(windows))
        dimensions = dimensions_for(size, len(real))
        generated, data, training = (space.principal(streams, dimensions) for streams in (made, real, windows))
        rng = part.rng(53)
        floor = [frechet_distance(training[rng.permutation(len(training))[:size]], data) for _ in range(FLOORS)]
        return [
            Figure(
                "Fréchet distance",
                frechet_distance(generated, data),
                frechet_interval(generated, data, part.rng(51)),
                len(made),
                f"generated and {len(real):,} held-out streams",
                f"{size:,} training streams {np.mean(floor):.4g}; {dimensions} dimensions",
            ),
            Figure(
                "diversity, mean distance of two",
                diversity(space.whole(made)),
                diversity_interval(space.whole(made), part.rng(52)),
                len(made),
                "generated streams",
                f"held-out streams {diversity(space.whole(real[: 2 * part.samples])):.4g}",
            ),
        ]

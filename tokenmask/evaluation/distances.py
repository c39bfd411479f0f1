"""How far what is generated lies from held-out streams, and how diverse it is, as figures.

Arrow: Part --**distances**--> feature space and Figures. Does not know: conditions, how a distance is computed.
"""

from __future__ import annotations

import numpy as np

from tokenmask.analysis.distances import (
    dimensions_for,
    diversity,
    diversity_interval,
    frechet_distance,
    frechet_interval,
)
from tokenmask.analysis.features import FeatureSpace
from tokenmask.analysis.figures import Figure
from tokenmask.evaluation.part import Part, some
from tokenmask.generation import growing_axis
from tokenmask.streams import TokenStream

MOST_TRAINING = 512  # training streams that a feature space is made from
FLOORS = 20  # draws of training streams whose distance to held-out ones is averaged


def distances(part: Part) -> tuple[FeatureSpace | None, list[Figure]]:
    """Fréchet distance and diversity of streams that are generated for the conditions of held-out records."""
    chosen = some(part.held_out, part.samples)
    if len(chosen) < 4 or len(part.train) < 4:
        reason = f"needs 4 training and 4 held-out records, got {len(part.train)} and {len(chosen)}"
        return None, [Figure("Fréchet distance", None, note=reason)]
    rng = part.rng(50)
    known = [part.train[at][part.name] for at in rng.permutation(len(part.train))[:MOST_TRAINING]]
    windows = [
        _window_like(known[at % len(known)], chosen[at % len(chosen)][part.name], rng) for at in range(len(known))
    ]
    space = FeatureSpace.fit(part.run.tokenizers[part.name], windows)
    made = part.generated(chosen)
    real = [one[part.name] for one in part.held_out]
    size = min(len(made), len(windows))
    dimensions = dimensions_for(size, len(real))
    generated, data, training = (space.principal(streams, dimensions) for streams in (made, real, windows))
    own = frechet_distance(generated, data)
    floor = [frechet_distance(training[rng.permutation(len(training))[:size]], data) for _ in range(FLOORS)]
    of = f"generated and {len(real):,} held-out streams"
    beside = f"{size:,} training streams {np.mean(floor):.4g}; {dimensions} dimensions"
    found = [
        Figure("Fréchet distance", own, frechet_interval(generated, data, part.rng(51)), len(made), of, beside),
        Figure(
            "diversity, mean distance of two",
            diversity(space.whole(made)),
            diversity_interval(space.whole(made), part.rng(52)),
            len(made),
            "generated streams",
            f"held-out streams {diversity(space.whole(real[: 2 * part.samples])):.4g}",
        ),
    ]
    return space, found


def _window_like(stream: TokenStream, like: TokenStream, rng: np.random.Generator) -> TokenStream:
    """A window of a stream as long as another one along the axis that grows; the whole stream if it is shorter."""
    axis = growing_axis(stream.spec)
    length = min(like.grid[axis], stream.grid[axis])
    start = int(rng.integers(stream.grid[axis] - length + 1))
    return TokenStream(stream.spec, stream.codes.narrow(axis, start, length).contiguous())

"""Small worlds, and orders beside the law that each follows."""

from __future__ import annotations

from typing import Any

from tests.exact.law import CONFIDENT, ENTROPY, MARGIN, RANDOM, Order, entropy, fixed, in_groups, margin
from tokenmask.sampling import UniformSchedule
from tokenmask.scores import (
    ConfidenceScore,
    EntropyScore,
    HaltonScore,
    MarginScore,
    QLDSScore,
    RandomScore,
    RasterScore,
    Score,
    SpanScore,
    SumScore,
    halton_ranks,
    qlds_ranks,
)
from tokenmask.worlds import Brackets, Markov, NaeSat, Pairs, Potts, TwinWords, World

WORLDS: dict[str, World] = {
    "chain": Markov(4),
    "pairs": Pairs(),
    "potts": Potts(2, 3),
    "brackets": Brackets(4, 2),
    "twins": TwinWords(("ab", "ba", "bb")),
    "sat": NaeSat(3, 2),
}
EVEN = UniformSchedule()


def ranked(world: World, ranks: Any) -> Order:
    """Stream after stream keeps its own ranks; two streams share them, and of equals the first is better."""
    return fixed([-one for part in world.parts.values() for one in ranks(part.grid).tolist()])


def flat(ranks: Any) -> Any:
    return lambda grid: ranks(*(grid if len(grid) > 1 else (grid[0], 1)))


def spans(world: World) -> Order:
    start, groups = 0, []
    for part in world.parts.values():
        groups += [range(at, min(at + 2, start + len(part))) for at in range(start, start + len(part), 2)]
        start += len(part)
    return in_groups(groups)


def mixed(laws: Any) -> dict[int, float]:
    return {slot: 0.5 * margin(law) + 2 * entropy(law) for slot, law in laws.items()}


ORDERS: dict[str, tuple[Score, Any]] = {
    "random": (RandomScore(), lambda world: RANDOM),
    "raster": (RasterScore(), lambda world: fixed([-at for at in range(len(world.sizes))])),
    "blocks": (RasterScore(2), lambda world: fixed([-((at + 1) // 2) for at in range(len(world.sizes))])),
    "spans": (SpanScore(2), spans),
    "halton": (HaltonScore(), lambda world: ranked(world, flat(halton_ranks))),
    "qlds": (QLDSScore(), lambda world: ranked(world, flat(qlds_ranks))),
    "confidence": (ConfidenceScore(), lambda world: CONFIDENT),
    "noisy": (ConfidenceScore(4.5), lambda world: Order(by_code=True, noise=4.5)),
    "margin": (MarginScore(), lambda world: MARGIN),
    "entropy": (EntropyScore(), lambda world: ENTROPY),
    "sum": (SumScore((MarginScore(), EntropyScore()), (0.5, 2.0)), lambda world: Order(mixed)),
}

TRUE = ("random", "raster", "blocks", "spans", "halton", "qlds", "margin", "entropy", "sum")  # the draw has no say

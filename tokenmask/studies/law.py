"""Law: what is drawn in a world whose law is known, and how far it lies from that law.

Arrow: world + model + sampler --**draw**--> Drawn --**LawMetric**--> Figures. Does not know: which worlds there are,
variants, files.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from tokenmask.analysis.figures import Figure
from tokenmask.analysis.intervals import error_interval, generator, mean_interval, share_interval
from tokenmask.batch import ABSENT, Batch
from tokenmask.layout import Layout
from tokenmask.sampling import Sampler, SamplerState
from tokenmask.worlds import Matching, World

ROWS = 512  # of a batch
_FLOORS = 20  # draws of the law itself whose distance is averaged
_RESAMPLES = 200
_GIVEN_SEED, _FLOOR_SEED, _ENTROPY_SEED = 1 << 20, 1 << 24, 1 << 28  # of draws of the law: none is used twice
_ENTROPY_DRAWS = 1 << 16


@dataclass(frozen=True, eq=False)
class Drawn:
    """What a sampler drew in a world.

    Args:
        world: whose law is compared with.
        codes: int64 [samples, N].
        seed: of what it is compared with, and of intervals.
    """

    world: World
    codes: Tensor
    seed: int

    @cached_property
    def logprob(self) -> np.ndarray:
        """float64 [samples], natural logarithms of their probabilities under the law; -inf where it never gives one."""
        return np.asarray(self.world.log_prob(self.codes).numpy())

    @property
    def entropy(self) -> float:
        """Of the law, nats; from many draws of it where it does not list its probabilities."""
        return _entropy(self.world)

    def given(self, pattern: str | None) -> Drawn:
        """The same codes beside the law given a pattern (:class:`Matching`); itself without one."""
        return self if pattern is None else replace(self, world=Matching(self.world, pattern))

    def rng(self, number: int) -> np.random.Generator:
        """A generator for the figure with a number."""
        return generator(self.seed, number)


def draw(
    world: World, model: Any, sampler: Sampler, samples: int, seed: int, is_open: Tensor | None = None
) -> tuple[Tensor, dict[str, int]]:
    """Fills a record of a world many times.

    Args:
        world: gives layout and size.
        model: its oracle, or one that was trained on its records; with the streams of the world in its layout.
        sampler: which fills.
        samples: how many.
        seed: of all draws.
        is_open: bool [N], slots that are filled; the others are draws of the law and stay as they are. None fills all.

    Returns:
        codes int64 [samples, N], and the counters of the sampler with "rows" and "positions".
    """
    layout = model.layout
    given = is_open is not None and not bool(is_open.all())
    begin = world.draw(samples, seed=_GIVEN_SEED + seed)
    tally: dict[str, int] = {}
    found = []
    models = {stage.model: model for stage in sampler.stages} | {"main": model}
    for first in range(0, samples, ROWS):
        numbers = torch.arange(first, min(first + ROWS, samples))
        if given:
            batch = world.batch(begin[numbers], is_open, layout)
        else:
            batch = world.batch(begin[:1], is_open, layout).rows(torch.zeros_like(numbers))
        state = SamplerState.start(replace(batch, sample_ids=numbers), layout, torch.full_like(numbers, seed))
        state = sampler.run(models, layout, state)
        found.append(_codes(world, layout, state.batch))
        size = batch.shape[0] * batch.shape[1]
        for name, value in {**state.counters, "positions": size, "rows": len(numbers)}.items():
            tally[name] = tally.get(name, 0) + value
    return torch.cat(found), tally


def _codes(world: World, layout: Layout, batch: Batch) -> Tensor:
    """int64 [B, N], the slots of a world in its own order."""
    codes, present = layout.codes_of(batch.ids), batch.role != ABSENT
    rows = len(codes)
    return torch.cat(
        [codes[present & (batch.stream == layout.index(name))[:, :, None]].view(rows, -1) for name in world.parts], 1
    )


def _distance(world: World, codes: Tensor) -> Callable[[np.ndarray], float]:
    """Total variation between the law and the rows of codes int64 [n, N] that an index int64 [m] names.

    Half of the differences of all that was drawn, and of what was not drawn at all.
    """
    kinds, names = torch.unique(codes, dim=0, return_inverse=True)
    law, numbers = world.log_prob(kinds).exp().numpy(), names.numpy()

    def between(chosen: np.ndarray) -> float:
        shares = np.bincount(numbers[chosen], minlength=len(law)) / len(chosen)
        return float(np.abs(shares - law).sum() + max(0.0, 1 - law.sum())) / 2

    return between


@lru_cache(maxsize=16)
def _floor(world: World, count: int) -> float:
    """The mean distance of as many draws of the law itself."""
    draws = [world.draw(count, seed=_FLOOR_SEED + number) for number in range(_FLOORS)]
    return float(np.mean([_distance(world, codes)(np.arange(count)) for codes in draws]))


@lru_cache(maxsize=16)
def _entropy(world: World) -> float:
    listed = getattr(world, "probabilities", None)
    if listed is not None:
        return -float((listed * listed.log()).nansum())
    return -float(world.log_prob(world.draw(_ENTROPY_DRAWS, seed=_ENTROPY_SEED)).mean())


class LawMetric(ABC):
    """A kind of figure of what was drawn in a world; those of packages of others are named by class path."""

    begins: ClassVar[tuple[str, ...]] = ()
    """As of :class:`tokenmask.evaluation.metric.Metric`."""

    @abstractmethod
    def __call__(self, drawn: Drawn) -> Sequence[Figure]:
        """The figures."""


@dataclass(frozen=True)
class TotalVariation(LawMetric):
    """Half the sum of the differences of all shares from the law, beside that of as many draws of the law itself.

    With few samples an exact sampler is at that floor, not at zero; "above the floor" is the difference.

    Args:
        matching: a regular expression; the law is then that of the world given that what it says matches.
    """

    matching: str | None = None

    begins: ClassVar[tuple[str, ...]] = ("total variation", "total variation above the floor")

    def __call__(self, drawn: Drawn) -> Sequence[Figure]:
        """The distance, and what of it is not chance."""
        drawn = drawn.given(self.matching)
        count, between = len(drawn.codes), _distance(drawn.world, drawn.codes)
        found, exact = between(np.arange(count)), _floor(drawn.world, count)
        interval = error_interval(found, between, count, drawn.rng(2), _RESAMPLES)
        above = interval and (interval[0] - exact, interval[1] - exact)
        told = f"as many draws of the law itself {exact:.4g}"
        return [
            Figure("total variation", found, interval, count, "samples", told),
            Figure("total variation above the floor", found - exact, above, count, "samples", told),
        ]


@dataclass(frozen=True)
class ExcessNats(LawMetric):
    """How much less likely samples are under the law than draws of it; below zero where variety is lost.

    Args:
        matching: as of :class:`TotalVariation`.
    """

    matching: str | None = None

    begins: ClassVar[tuple[str, ...]] = ("excess nats",)

    def __call__(self, drawn: Drawn) -> Sequence[Figure]:
        """Over the samples that can be at all."""
        drawn = drawn.given(self.matching)
        values = -drawn.logprob[np.isfinite(drawn.logprob)] - drawn.entropy
        if not len(values):
            return [Figure("excess nats", None, note="no sample is possible under the law")]
        interval, told = mean_interval(values, drawn.rng(3)), f"entropy of the law {drawn.entropy:.4g}"
        return [Figure("excess nats", float(values.mean()), interval, len(values), "possible samples", told)]


@dataclass(frozen=True)
class BestWorth(LawMetric):
    """What the best of all samples are worth, by the ``worth`` of the world (:class:`tokenmask.worlds.Molecules`)."""

    begins: ClassVar[tuple[str, ...]] = ("best worth", "ten best")

    def __call__(self, drawn: Drawn) -> Sequence[Figure]:
        """The best one, and the mean of the ten best ones that differ."""
        alphabet = [symbol for part in drawn.world.parts.values() for symbol in part.alphabet]
        texts = {"".join(alphabet[code] for code in codes) for codes in drawn.codes.tolist()}
        found = (drawn.world.worth(text) for text in texts)
        worths = sorted((one for one in found if one is not None), reverse=True)[:10]
        if not worths:
            return [Figure(name, None, note="no sample is worth anything") for name in self.begins]
        values = {"best worth": worths[0], "ten best, mean worth": float(np.mean(worths))}
        return [Figure(name, value, None, len(drawn.codes), "samples") for name, value in values.items()]


@dataclass(frozen=True)
class Impossible(LawMetric):
    """The share of samples that the law never gives.

    Args:
        matching: as of :class:`TotalVariation`.
    """

    matching: str | None = None

    begins: ClassVar[tuple[str, ...]] = ("impossible samples",)

    def __call__(self, drawn: Drawn) -> Sequence[Figure]:
        """A share with Wilson's interval."""
        drawn = drawn.given(self.matching)
        never = (~np.isfinite(drawn.logprob)).astype(float)
        return [Figure("impossible samples", float(never.mean()), share_interval(never), len(never), "samples")]

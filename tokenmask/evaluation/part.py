"""What is measured of one stream: its records, and what is generated for each of them once.

Arrow: records --**Part.generated**--> a stream for each. Does not know: figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from tokenmask.analysis.features import FeatureSpace
from tokenmask.analysis.intervals import generator
from tokenmask.corpus import HELD_OUT, TRAIN
from tokenmask.generation import Request, fill, growing_axis
from tokenmask.medium import said
from tokenmask.run import Run
from tokenmask.streams import TokenStream, cut
from tokenmask.training import StreamScore

Streams = Mapping[str, TokenStream]
MOST_TRAINING = 512  # training streams that a feature space is made from
LEAST = 4  # training and held-out records without which there is no space


@dataclass(frozen=True, eq=False)
class Part:
    """What is measured of one stream, with whatever conditions its records hold.

    Args:
        run: evaluated.
        name: of the stream.
        train, held_out: records with the stream, cut to what the model takes.
        samples: streams to generate for each figure.
        seed: of everything drawn.
        draws: masks of each rank.
        scores: of the stream on held-out records, one for each level and set of conditions.
        media: held-out media of the stream, or none.
        filled: what was generated, by the number of its record.
        tally: what that took, see :func:`tokenmask.generation.fill`.
    """

    run: Run
    name: str
    train: Sequence[Streams]
    held_out: Sequence[Streams]
    samples: int
    seed: int
    draws: int
    scores: Sequence[StreamScore] = ()
    media: Sequence[Any] = ()
    filled: dict[int, TokenStream] = field(default_factory=dict)
    tally: dict[str, int] = field(default_factory=dict)

    def generated(self, records: Sequence[Streams]) -> list[TokenStream]:
        """A stream for each record, one of ``train`` or ``held_out``; each is filled once, whatever asks for it."""
        number = {id(one): at for at, one in enumerate((*self.train, *self.held_out))}
        missing = {number[id(one)]: one for one in records if number[id(one)] not in self.filled}
        made = generate(self, list(missing.values()), list(missing))
        self.filled.update(zip(missing, made, strict=True))
        return [self.filled[number[id(one)]] for one in records]

    @cached_property
    def chosen(self) -> list[Streams]:
        """The held-out records that streams are generated for, ``samples`` at most."""
        return some(self.held_out, self.samples)

    @cached_property
    def windows(self) -> list[TokenStream]:
        """Pieces of training streams as long as held-out ones, at most 512."""
        rng = self.rng(50)
        order = rng.permutation(len(self.train))[:MOST_TRAINING]
        likes = [one[self.name] for one in self.chosen]
        return [_window_like(self.train[at][self.name], likes[n % len(likes)], rng) for n, at in enumerate(order)]

    @cached_property
    def space(self) -> FeatureSpace | None:
        """Where streams are compared, made from :attr:`windows`; None for fewer than 4 training or held-out records."""
        if len(self.chosen) < LEAST or len(self.train) < LEAST:
            return None
        return FeatureSpace.fit(self.run.tokenizers[self.name], self.windows)

    @property
    def compared_in(self) -> str:
        """The name of :attr:`space`, if a figure has asked for it and there is one; else nothing."""
        space: FeatureSpace | None = vars(self).get("space")
        return "" if space is None else space.name

    def label(self, streams: Streams) -> str | None:
        """The words that the stream of a record is given with, if it is given words alone."""
        given = [name for name in streams if name != self.name]
        if len(given) != 1 or not said(self.run.tokenizers[given[0]].media, "words"):
            return None
        return str(self.run.tokenizers[given[0]].decode(streams[given[0]]))

    def rng(self, number: int) -> np.random.Generator:
        """A generator for the figure with a number."""
        return generator(self.seed, 1000 * self.run.layout.index(self.name) + number)


def records_of(run: Run) -> dict[str, list[Streams]]:
    """The streams of the records of each split of a run's corpora, cut to what the model takes."""

    def fitted(streams: Streams) -> Streams:
        return run.layout.unpack(run.recipe.packing(run.layout, streams))

    return {split: [fitted(one.streams) for one in run.records(split)] for split in (TRAIN, HELD_OUT)}


def part_of(run: Run, name: str, records: Mapping[str, Sequence[Streams]], **options: Any) -> Part:
    """What is measured of one stream: those of the records that hold something of it; options are a Part's."""

    def own(split: str) -> list[Streams]:
        return [one for one in records[split] if name in one and one[name].codes.numel() > 0]

    return Part(run, name, own(TRAIN), own(HELD_OUT), **options)


def generate(part: Part, records: Sequence[Streams], numbers: Sequence[int]) -> list[TokenStream]:
    """A stream for each record: its other streams are given, its size is asked for; numbers tell draws apart."""
    run, packing = part.run, part.run.recipe.packing
    requests = []
    for number, one in zip(numbers, records, strict=True):
        given = {name: stream for name, stream in one.items() if name != part.name}
        own = one[part.name]
        grid = own.grid
        if own.spec.end_code is not None:
            room = packing.max_positions - packing.positions(run.layout, given)
            grid = (max(1, min(packing.padded_length(own.spec, grid[0]), room)),)
        blank = Request.blank(run.layout, part.name, grid, labels=own.labels, given=given, seed=part.seed)
        requests.append(replace(blank, sample=number))
    sampler = run.recipe.sampler_of(part.name)
    return fill(requests, layout=run.layout, models=run.models, sampler=sampler, packing=packing, tally=part.tally)


def some(items: Sequence[Any], count: int) -> list[Any]:
    """``count`` items at even distances, all if there are fewer."""
    if len(items) <= count:
        return list(items)
    return [items[at * len(items) // count] for at in range(count)]


def _window_like(stream: TokenStream, like: TokenStream, rng: np.random.Generator) -> TokenStream:
    """A window of a stream as long as another one along the axis that grows; the whole stream if it is shorter."""
    axis = growing_axis(stream.spec)
    length = min(like.grid[axis], stream.grid[axis])
    start = int(rng.integers(stream.grid[axis] - length + 1))
    return cut(stream, stream.spec.axes[axis], start, start + length)

"""What is measured of one stream: its records, and what is generated for each of them once.

Arrow: records --**Part.generated**--> a stream for each. Does not know: figures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from tokenmask.analysis.intervals import generator
from tokenmask.generation import Request, fill
from tokenmask.run import Run
from tokenmask.streams import TokenStream

Streams = Mapping[str, TokenStream]


@dataclass(frozen=True, eq=False)
class Part:
    """What is measured of one stream with one set of conditions.

    Args:
        run: evaluated.
        name: of the stream.
        train, held_out: records with the stream, cut to what the model takes.
        samples: streams to generate for each figure.
        seed: of everything drawn.
        draws: masks of each rank.
        filled: what was generated, by the number of its record.
    """

    run: Run
    name: str
    train: Sequence[Streams]
    held_out: Sequence[Streams]
    samples: int
    seed: int
    draws: int
    filled: dict[int, TokenStream] = field(default_factory=dict)

    def generated(self, records: Sequence[Streams]) -> list[TokenStream]:
        """A stream for each record, one of ``train`` or ``held_out``; each is filled once, whatever asks for it."""
        number = {id(one): at for at, one in enumerate((*self.train, *self.held_out))}
        missing = {number[id(one)]: one for one in records if number[id(one)] not in self.filled}
        made = generate(self, list(missing.values()), list(missing))
        self.filled.update(zip(missing, made, strict=True))
        return [self.filled[number[id(one)]] for one in records]

    def rng(self, number: int) -> np.random.Generator:
        """A generator for the figure with a number."""
        return generator(self.seed, 1000 * self.run.layout.index(self.name) + number)


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
    return fill(requests, layout=run.layout, models=run.models, sampler=sampler, packing=packing)


def some(items: Sequence[Any], count: int) -> list[Any]:
    """``count`` items at even distances, all if there are fewer."""
    if len(items) <= count:
        return list(items)
    return [items[at * len(items) // count] for at in range(count)]

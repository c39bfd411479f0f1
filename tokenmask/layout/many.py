"""Many: the records of a batch onto positions, all at once.

Arrow: RecordTable + Cut of each stream --**Places**--> rows of a Batch; what :meth:`Layout.pack` and ``collate`` do
record by record, bit for bit. Does not know: where a stream is cut, masks, models.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from tokenmask.batch import ABSENT, FILL, GIVEN, PAD, Batch
from tokenmask.corpus import StreamColumn
from tokenmask.corpus.table import ragged
from tokenmask.layout.arrangement import Arrangement
from tokenmask.layout.layout import Layout
from tokenmask.layout.positions import check_place, column_of, refuse_end_code
from tokenmask.streams import StreamSpec

_KEPT = 512  # arrangements of a number of places, a few kB each


@dataclass(frozen=True, eq=False)
class Cut:
    """One stream of N records, and the part of it that is packed.

    Args:
        column: N rows.
        axis: the one along which it is cut.
        start: int64 [N], the first step that is kept.
        steps: int64 [N], how many are.
        seconds: float64 [N], where the part begins in its recording.
        padded: int64 [N], places of the part with the end codes behind it.
    """

    column: StreamColumn
    axis: int
    start: np.ndarray
    steps: np.ndarray
    seconds: np.ndarray
    padded: np.ndarray

    @property
    def grid(self) -> np.ndarray:
        """int64 [N, A], sizes of the axes of the part, without end codes."""
        grid = self.column.grid.copy()
        grid[:, self.axis] = self.steps
        return grid


class Places:
    """Where every stream of N records stands on the positions of a batch.

    Args:
        layout: of the model.
        cuts: stream name -> what of it is packed; rows without a stream are passed over.

    Attributes:
        lengths: int64 [N], positions of each record, BOS included.

    Raises:
        ValueError: a stream that the layout lacks or whose codes are of another tokenizer, or a record without streams.
    """

    def __init__(self, layout: Layout, cuts: Mapping[str, Cut]) -> None:
        self.layout = layout
        there = [name for name, cut in cuts.items() if cut.column.present.any()]
        self.cuts = {name: cuts[name] for name in sorted(there, key=layout.index)}
        if not self.cuts or not np.logical_or.reduce([cut.column.present for cut in self.cuts.values()]).all():
            raise ValueError("pack needs a record with at least one stream, got none; leave out empty records")
        self.lengths = np.ones(len(next(iter(self.cuts.values())).padded), np.int64)
        self._begins, self._counts = dict[str, np.ndarray](), dict[str, np.ndarray]()
        for name, cut in self.cuts.items():
            check_place(name, layout.streams[name], cut.column.spec, layout.arrangement(name))
            self._begins[name] = self.lengths
            counts = positions_of(layout.arrangement(name), cut.padded, cut.column.spec.num_levels)
            self._counts[name] = np.where(cut.column.present, counts, 0)
            self.lengths = self.lengths + self._counts[name]

    def batch(self, sample_ids: torch.Tensor, own: slice) -> Batch:
        """The rows ``own`` of the batch of all N records, as wide and as long as that is; all slots to fill.

        Args:
            sample_ids: int64 [N].
            own: with step 1.

        Raises:
            ValueError: an end code among the codes of a stream.
        """
        start, stop, _ = own.indices(len(self.lengths))
        rows, length = stop - start, int(self.lengths.max())
        levels = max(cut.column.spec.num_levels for cut in self.cuts.values())
        ids = np.full((rows * length, levels), PAD, np.int32)
        role = np.full((rows * length, levels), ABSENT, np.int8)
        stream = np.full(rows * length, -1, np.int8)
        coordinates = np.zeros((rows * length, 3), np.int32)
        bos = np.arange(rows) * length
        ids[bos, 0], role[bos, 0] = self.layout.control("BOS"), GIVEN
        for name, cut in self.cuts.items():
            count = self._counts[name][own]
            there = np.flatnonzero(count)
            if not len(there):
                continue
            count, chosen = count[there], there + start
            at = ragged(bos[there] + self._begins[name][chosen], count)
            padded, spec = cut.padded[chosen], cut.column.spec
            values = self._codes(name, cut, chosen)
            kinds = sorted(set(padded.tolist()))
            spread = [_spread(self.layout.arrangement(name), size, spec.num_levels) for size in kinds]
            if all(one.as_it_was for one in spread):
                place = ragged(np.zeros_like(count), count)
                ids[at, : spec.num_levels], role[at, : spec.num_levels] = values, FILL
            else:
                first = np.cumsum([0, *(len(one.place) for one in spread[:-1])])
                line = ragged(
                    first[np.searchsorted(kinds, padded)], count
                )  # of all that are spread, one after the other
                place = np.concatenate([one.place for one in spread])[line]
                source = np.concatenate([one.source for one in spread])[line]
                begin = np.repeat((padded.cumsum() - padded) * spec.num_levels, count)
                filled = source >= 0
                taken = values.reshape(-1)[np.where(filled, source + begin[:, None], 0)]
                ids[at, : spec.num_levels] = np.where(filled, taken, PAD)
                role[at, : spec.num_levels] = np.where(filled, FILL, ABSENT)
            stream[at] = self.layout.index(name)
            grid = cut.grid[chosen]
            if spec.end_code is not None:
                grid[:, 0] = padded
            seconds = cut.seconds[chosen]
            _put_coordinates(coordinates, at, spec, grid, seconds, place, count, self.layout.ticks_per_second)
        valid = np.arange(length) < self.lengths[own, None]
        return Batch(
            ids=torch.from_numpy(ids).view(rows, length, levels),
            stream=torch.from_numpy(stream).view(rows, length),
            role=torch.from_numpy(role).view(rows, length, levels),
            coordinates=torch.from_numpy(coordinates).view(rows, length, 3),
            valid=torch.from_numpy(valid),
            sample_ids=sample_ids[own],
        )

    def _codes(self, name: str, cut: Cut, chosen: np.ndarray) -> np.ndarray:
        """Ids of the parts of the chosen records with their end codes, int32 [sum of padded, K]."""
        column, spec = cut.column, cut.column.spec
        padded, grid = cut.padded[chosen], cut.grid[chosen]
        places = grid.prod(1)
        inner = grid[:, cut.axis + 1 :].prod(1)
        block = cut.steps[chosen] * inner  # places that lie one after the other
        first = column.first[chosen] + cut.start[chosen] * inner
        if cut.axis == 0:  # one block each
            index = ragged(first, block)
        else:
            outer = np.where(block > 0, places // np.maximum(block, 1), 0)
            whole = column.grid[chosen, cut.axis] * inner
            number = ragged(np.zeros_like(outer), outer)
            index = ragged(np.repeat(first, outer) + number * np.repeat(whole, outer), np.repeat(block, outer))
        codes = column.codes[index]
        if spec.end_code is not None:
            if (codes[:, 0] == spec.end_code).any():
                raise refuse_end_code(name, spec.end_code)
            ended = np.full((int(padded.sum()), spec.num_levels), spec.end_code, np.int32)
            ended[ragged(padded.cumsum() - padded, places)] = codes
            codes = ended
        offsets = [self.layout.range(name, level).offset for level in range(spec.num_levels)]
        return np.asarray(codes + np.array(offsets, np.int32))


def positions_of(arrangement: Arrangement, places: np.ndarray, num_levels: int) -> np.ndarray:
    """``arrangement.positions`` of many numbers of places, int64 [N] both."""
    sizes = places.tolist()
    counts = {size: arrangement.positions(size, num_levels) for size in set(sizes)}
    return np.array([counts[size] for size in sizes], np.int64)


@dataclass(frozen=True, eq=False)
class _Spread:
    """An arrangement of some places: which code stands in each slot, and which place each position is.

    Args:
        source: int64 [L, K], place * K + level, or -1 for none.
        place: int64 [L].
        as_it_was: whether every code stands at its place.
    """

    source: np.ndarray
    place: np.ndarray
    as_it_was: bool


@functools.lru_cache(_KEPT)
def _spread(arrangement: Arrangement, places: int, num_levels: int) -> _Spread:
    number = torch.arange(places * num_levels).view(places, num_levels)
    source, place = arrangement.place(number)
    same = torch.equal(source, number) and torch.equal(place, torch.arange(places))
    return _Spread(source.numpy().copy(), place.numpy().copy(), same)


def _put_coordinates(
    into: np.ndarray,
    at: np.ndarray,
    spec: StreamSpec,
    grid: np.ndarray,
    seconds: np.ndarray,
    place: np.ndarray,
    count: np.ndarray,
    ticks_per_second: float,
) -> None:
    """The coordinates of positions ``at``, whose places lie in grids [N, A] of which each has ``count`` positions."""
    rest = place
    for axis in reversed(range(len(spec.axes))):
        index = rest
        if axis:  # a Delay runs past the end of its only axis
            size = np.repeat(np.maximum(grid[:, axis], 1), count)
            rest, index = np.divmod(rest, size)
        if spec.axes[axis] == "time" and spec.rate_hz is not None:
            index = ((np.repeat(seconds, count) + index / spec.rate_hz) * ticks_per_second).round()
        into[at, column_of(spec.axes[axis])] = index.astype(np.int32)

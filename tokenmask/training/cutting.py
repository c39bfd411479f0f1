"""Cutting: how long the streams of many records may be, all at once.

Arrow: RecordTable --**Cutting**--> Cut of each stream, inside Packing.batch: what :class:`Packing` says of one record.
Does not know: positions of a batch, masks, models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from tokenmask.corpus import RecordTable, StreamColumn
from tokenmask.layout import Arrangement, Cut, Layout, positions_of
from tokenmask.streams import StreamSpec


@dataclass(frozen=True)
class Cutting:
    """The rules of a packing.

    Args:
        layout: of the model.
        max_positions, end_multiple, budgets: as in :class:`Packing`.
    """

    layout: Layout
    max_positions: int
    end_multiple: int
    budgets: Mapping[str, int]

    def positions(self, table: RecordTable) -> np.ndarray:
        """``Packing.positions`` of every record, int64 [N]."""
        total = np.ones(len(table), np.int64)
        for name, column in _there(table):
            total += self._positions(name, self._budgeted(name, column))
        return np.minimum(total, self.max_positions)

    def cuts(self, table: RecordTable, draws: np.ndarray) -> dict[str, Cut]:
        """What is packed of every stream.

        Args:
            table: N records.
            draws: float64 [N], where their windows lie, from 0 to 1.
        """
        cuts, ended = {}, []
        fixed, count = np.ones(len(table), np.int64), np.zeros(len(table), np.int64)
        for name, column in _there(table):
            part = self._budgeted(name, column)
            if column.spec.end_code is None:
                fixed += self._positions(name, part)
            else:
                ended.append(name)
                count += column.present
            cuts[name] = _drawn(part, draws, column.grid[:, part.axis])
        share = (self.max_positions - np.minimum(fixed, self.max_positions)) // np.maximum(count, 1)
        return cuts | {name: self._ended(cuts[name], share, draws) for name in ended}

    def _budgeted(self, name: str, column: StreamColumn) -> Cut:
        """A stream with the steps of time that fit its budget, from its beginning."""
        spec, nothing = column.spec, np.zeros(len(column.first), np.int64)
        budget, axes, places = self.budgets.get(name), spec.axes, column.places
        if budget is None or "time" not in axes:
            return Cut(column, 0, nothing, column.grid[:, 0], column.start_seconds, places)
        axis = axes.index("time")
        whole = column.grid[:, axis]
        others = places // np.maximum(whole, 1)
        arrangement, levels = self.layout.arrangement(name), spec.num_levels
        pairs = list(zip(others.tolist(), whole.tolist(), strict=True))
        most = {pair: most_steps(arrangement, levels, pair[0], budget, pair[1]) for pair in set(pairs)}
        steps = np.array([most[pair] for pair in pairs], np.int64)
        return Cut(column, axis, nothing, steps, column.start_seconds, others * steps)

    def _positions(self, name: str, part: Cut) -> np.ndarray:
        """Positions of a stream in every record, with its end codes; 0 where a record lacks it."""
        spec, whole = part.column.spec, part.column.grid[:, part.axis]
        places = self._padded(spec, part.column.places)
        places = np.where(part.steps == whole, places, places // np.maximum(whole, 1) * part.steps)
        return np.where(part.column.present, positions_of(self.layout.arrangement(name), places, spec.num_levels), 0)

    def _padded(self, spec: StreamSpec, length: np.ndarray) -> np.ndarray:
        """``Packing.padded_length`` of many."""
        return length if spec.end_code is None else (length // self.end_multiple + 1) * self.end_multiple

    def _ended(self, part: Cut, share: np.ndarray, draws: np.ndarray) -> Cut:
        """A stream with end codes as it fits its share of the room: padded, cut to it, or as it is."""
        length = part.steps
        fits, long = length + 1 <= share, (length > share) & (share > 0)
        steps = np.where(long, share, length)
        padded = np.where(fits, np.minimum(self._padded(part.column.spec, length), share), steps)
        part = Cut(part.column, part.axis, part.start, steps, part.seconds, padded)
        return _drawn(part, draws, length) if long.any() else part


@lru_cache(1 << 14)
def most_steps(arrangement: Arrangement, num_levels: int, others: int, budget: int, steps: int) -> int:
    """The most of ``steps`` whose places, ``others`` each, take no more than ``budget`` positions; at least one."""
    while steps > 1 and arrangement.positions(others * steps, num_levels) > budget:
        steps -= 1
    return steps


def _there(table: RecordTable) -> list[tuple[str, StreamColumn]]:
    """The streams that any of the records has."""
    return [(name, column) for name, column in table.streams.items() if column.present.any()]


def _drawn(part: Cut, draws: np.ndarray, of: np.ndarray) -> Cut:
    """The cut at the place that ``draws`` says among ``of`` steps, int64 [N]; what is whole stays where it is."""
    if part.steps is of or (part.steps == of).all():
        return part
    start = np.where(part.steps == of, 0, (draws * (of - part.steps + 1)).astype(np.int64))
    spec = part.column.spec
    clock = spec.rate_hz if spec.axes[part.axis] == "time" else None
    seconds = part.seconds if clock is None else part.seconds + start / clock
    return Cut(part.column, part.axis, part.start + start, part.steps, seconds, part.padded)

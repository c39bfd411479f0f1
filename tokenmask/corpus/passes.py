"""Passes: one corpus read over and over, shuffled, from any place.

Arrow: Corpus --> **RecordTable** of the next records --> Mixture.
Does not know: other corpora, weights, batches.
"""

from __future__ import annotations

import bisect

import numpy as np
import torch

from tokenmask.corpus.reader import Corpus
from tokenmask.corpus.table import RecordTable
from tokenmask.ops import Purpose, uniform

# A counter is use (2 bits) | corpus (7) | epoch (24) | index (30); CHOICE and BATCHES have a number of draws instead.
ROW_GROUPS, RECORDS, CHOICE, BATCHES = (use << 61 for use in range(4))
MAX_CORPORA, MAX_EPOCHS, MAX_RECORDS = 1 << 7, 1 << 24, 1 << 30


class Passes:
    """One corpus read over and over in shuffled order; ``taken`` records so far say where it stands."""

    def __init__(self, corpus: Corpus, index: int, seed: int, window: int) -> None:
        self._corpus, self._seed, self._window, self._index = corpus, seed, window, index
        self._num_records = len(corpus)
        self.taken = 0
        self._epoch = -1  # to which order and bounds belong
        self._order: list[int] = []  # row groups of the epoch
        self._windows: list[tuple[int, int, int]] = []  # first record, first and last + 1 entry of the order
        self._held: tuple[int, int] = (-1, -1)  # epoch and first record of the window in memory
        self._table: RecordTable | None = None
        self._rows = np.zeros(0, np.int64)  # of the table, shuffled

    def limit(self, epochs: int | None) -> int | None:
        """Records in so many epochs."""
        return None if epochs is None else epochs * self._num_records

    def take(self, count: int) -> list[RecordTable]:
        """The next ``count`` records, in tables one after the other."""
        tables = []
        while count:
            epoch, offset = divmod(self.taken, self._num_records)
            if epoch != self._epoch:
                self._plan(epoch)
            window = self._windows[bisect.bisect_right(self._windows, offset, key=lambda entry: entry[0]) - 1]
            table = self._window_table(epoch, window)
            rows = self._rows[offset - window[0] :][:count]
            tables.append(table.take(rows))
            self.taken += len(rows)
            count -= len(rows)
        return tables

    def first_window(self) -> RecordTable:
        """The records that come first of all, before any was taken."""
        if self.taken:
            raise ValueError(f"the first window is looked at before a record is taken, got {self.taken}; do it then")
        self._plan(0)
        return self._window_table(0, self._windows[0])

    def _plan(self, epoch: int) -> None:
        sizes = [group.num_records for group in self._corpus.row_groups]
        self._epoch, self._order = epoch, self._shuffled(ROW_GROUPS, epoch, 0, len(sizes)).tolist()
        self._windows = []
        first = entry = count = 0
        for position, group in enumerate(self._order):
            count += sizes[group]
            if count - first >= self._window or position + 1 == len(self._order):
                self._windows.append((first, entry, position + 1))
                first, entry = count, position + 1

    def _window_table(self, epoch: int, window: tuple[int, int, int]) -> RecordTable:
        first, start, stop = window
        if self._table is None or self._held != (epoch, first):
            self._table, self._held = None, (-1, -1)  # let go of the last window before the next is read
            self._table = RecordTable.join(self._corpus.read_tables(self._order[start:stop]))
            self._rows, self._held = self._shuffled(RECORDS, epoch, first, len(self._table)), (epoch, first)
        return self._table

    def _shuffled(self, use: int, epoch: int, first: int, count: int) -> np.ndarray:
        base = use | self._index << 54 | (epoch % MAX_EPOCHS) << 30
        counters = torch.arange(first, first + count) + base
        draws = uniform(seed=self._seed, counters=counters, purpose=Purpose.order)
        return draws.argsort(stable=True).numpy()

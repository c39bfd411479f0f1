"""Passes: one corpus read over and over, shuffled, from any place.

Arrow: Corpus --> **Record** after record --> Mixture.
Does not know: other corpora, weights, batches.
"""

from __future__ import annotations

import bisect

import torch

from tokenmask.corpus.reader import Corpus
from tokenmask.corpus.records import Record
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
        self._records: list[Record] = []

    def limit(self, epochs: int | None) -> int | None:
        """Records in so many epochs."""
        return None if epochs is None else epochs * self._num_records

    def take(self) -> Record:
        """The next record."""
        epoch, offset = divmod(self.taken, self._num_records)
        if epoch != self._epoch:
            self._plan(epoch)
        window = self._windows[bisect.bisect_right(self._windows, offset, key=lambda entry: entry[0]) - 1]
        if self._held != (epoch, window[0]):
            self._read(epoch, window)
        self.taken += 1
        return self._records[offset - window[0]]

    def _plan(self, epoch: int) -> None:
        sizes = [group.num_records for group in self._corpus.row_groups]
        self._epoch, self._order, self._windows = epoch, self._shuffled(ROW_GROUPS, epoch, 0, len(sizes)), []
        first = entry = count = 0
        for position, group in enumerate(self._order):
            count += sizes[group]
            if count - first >= self._window or position + 1 == len(self._order):
                self._windows.append((first, entry, position + 1))
                first, entry = count, position + 1

    def _read(self, epoch: int, window: tuple[int, int, int]) -> None:
        first, start, stop = window
        self._records, self._held = [], (-1, -1)  # let go of the last window before the next is read
        records = [record for group in self._order[start:stop] for record in self._corpus.read(group)]
        order = self._shuffled(RECORDS, epoch, first, len(records))
        self._records, self._held = [records[i] for i in order], (epoch, first)

    def _shuffled(self, use: int, epoch: int, first: int, count: int) -> list[int]:
        base = use | self._index << 54 | (epoch % MAX_EPOCHS) << 30
        counters = torch.arange(first, first + count) + base
        order: list[int] = (
            uniform(seed=self._seed, counters=counters, purpose=Purpose.order).argsort(stable=True).tolist()
        )
        return order

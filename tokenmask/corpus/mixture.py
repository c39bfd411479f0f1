"""Mixture: corpora mixed by weight into batches of about equal length, with an exact position.

Arrow: Corpus --> **Draw** (the records of a batch) --Packing.batch--> Batch.
Does not know: shared ids, padding, masks.

How the order comes about, so that a few counters tell all of it:

- A corpus is passed over again and again. Each pass shuffles its row groups, cuts them into windows of at least
  ``shuffle_window`` records and shuffles each window. The n-th record taken from a corpus depends on n alone.
- Draw d picks its corpus by weight from the d-th random number, and takes that corpus' next record. What weights mean
  where they are shares of positions follows from the records that were drawn before the pool.
- Each ``shuffle_window`` draws are a pool. A pool is sorted by length into batches, and its batches are shuffled.

So the position is the number of draws before the pool, the records taken from each corpus by then, and the batches of
the pool that were handed out: going there reads one pool and one window of each corpus, however long the run.
"""

from __future__ import annotations

import itertools
import json
import math
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import torch
from torch import Tensor

from tokenmask.corpus.passes import BATCHES, CHOICE, MAX_CORPORA, MAX_RECORDS, Passes
from tokenmask.corpus.reader import Corpus
from tokenmask.corpus.records import Record
from tokenmask.corpus.table import RecordTable, table_positions
from tokenmask.ops import Purpose, uniform

POSITION_VERSION = 1


@dataclass(frozen=True, eq=False)
class Draw:
    """The records of one batch, about equally long.

    Args:
        table: holds them, and those of other batches.
        rows: int64 [B], where they stand in it.
        sample_ids: int64 [B], the number of each record's draw; never repeats in a run.
    """

    table: RecordTable
    rows: np.ndarray
    sample_ids: Tensor

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def records(self) -> list[Record]:
        """The records themselves, made anew with every call."""
        return self.table.records(self.rows)


BUCKET_WIDTH = 16  # positions; records whose lengths are alike within them stand in any order


class Mixture:
    """An iterator of batches over one or more corpora.

    The order depends on the arguments and the corpora alone: not on the rank, on threads or on any generator.

    Args:
        corpora: each with its weight, the share of records (or positions, see ``by``) that come from it; weights need
            not sum to 1.
        seed: key of the order.
        batch_size: records in a batch, of all ranks together.
        batch_positions: most positions in a batch, of all ranks together: records x the longest, rounded up.
            At least one of the two limits is needed. With ``batch_size`` alone all batches but the last are full.
        length: positions that a record will occupy; :func:`num_positions` if None.
        lengths: the same of all records of a table at once, int64 [N]; much quicker. At most one of the two.
        bucket_width: lengths are rounded up to a multiple of this before they are compared.
        shuffle_window: records among which order is random; held in memory (once, and once for each corpus).
        by: what weights are shares of. "positions" draws a corpus of short records more often: by its weight over the
            mean length of all its records that were drawn before, and of those that come first.
        epochs: passes over each corpus, then the iterator ends; a finished corpus leaves the mix. None: endless.
        rank: of ``world_size`` readers, which gets every world_size-th record of each batch. A batch limited by
            ``batch_positions`` can hold fewer records than there are ranks: then some get none.

    Raises:
        ValueError: an argument out of range or a corpus without records; while reading, a record longer than
            ``batch_positions`` or a damaged shard.
    """

    def __init__(
        self,
        corpora: Sequence[tuple[Corpus, float]],
        *,
        seed: int,
        batch_size: int | None = None,
        batch_positions: int | None = None,
        length: Callable[[Record], int] | None = None,
        lengths: Callable[[RecordTable], np.ndarray] | None = None,
        bucket_width: int = BUCKET_WIDTH,
        shuffle_window: int = 2048,
        by: Literal["records", "positions"] = "records",
        epochs: int | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if by not in ("records", "positions"):
            raise ValueError(f"a Mixture mixes by records or by positions, got {by!r}; take one of these")
        _check(corpora, batch_size, batch_positions, epochs, bucket_width, shuffle_window, rank, world_size)
        self._weights = [float(weight) for _, weight in corpora]
        self._passes = [Passes(corpus, i, seed, shuffle_window) for i, (corpus, _) in enumerate(corpora)]
        if length is not None and lengths is not None:
            raise ValueError("a Mixture takes length or lengths, got both; leave one out")
        self._seed, self._lengths = seed, lengths or (table_positions if length is None else _each(length))
        self._batch_size, self._batch_positions, self._bucket_width = batch_size, batch_positions, bucket_width
        self._epochs, self._rank, self._world_size = epochs, rank, world_size
        self._pool_size = shuffle_window if batch_size is None else max(1, shuffle_window // batch_size) * batch_size
        self._settings: dict[str, Any] = {
            "seed": seed,
            "batch_size": batch_size,
            "batch_positions": batch_positions,
            "bucket_width": bucket_width,
            "shuffle_window": shuffle_window,
            "epochs": epochs,
            "weights": self._weights,
            "corpora": [_checksum(corpus) for corpus, _ in corpora],
        }
        if by == "positions":
            self._settings["by"] = by
        # By positions: records and positions of each corpus that were seen, for their mean; None before the first pool.
        self._seen: list[list[int]] | None = None
        self._start_seen: list[list[int]] | None = None
        self._draws = 0  # so far, those of the pool included
        self._start = (0, [0] * len(corpora))  # draws before the pool, records taken from each corpus by then
        self._batches: list[Draw] = []  # of the pool
        self._batch = 0  # the next of them
        self._skip = 0  # batches of a pool that was gone to and not yet drawn

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> Draw:
        if self._batch == len(self._batches):
            self._draw_pool()
            self._batch, self._skip = self._skip, 0
        if not self._batches:
            raise StopIteration
        batch = self._batches[self._batch]
        self._batch += 1
        mine = slice(self._rank, None, self._world_size)
        return Draw(batch.table, batch.rows[mine], batch.sample_ids[mine])

    def position(self) -> dict[str, Any]:
        """Where the next draw is, as JSON values; :meth:`seek` of an equal mixture goes there."""
        start, batch, seen = self._start, self._batch, self._start_seen
        if batch == len(self._batches):
            start, batch = (self._draws, [passes.taken for passes in self._passes]), self._skip
            seen = self._seen
        found = {
            "version": POSITION_VERSION,
            "draws": start[0],
            "taken": list(start[1]),
            "batch": batch,
            "settings": dict(self._settings),
        }
        return found | ({"seen": seen} if "by" in self._settings else {})

    def seek(self, position: dict[str, Any]) -> None:
        """Goes to a :meth:`position`: the following draws are those that followed it there, bit for bit.

        Any rank may go to a position of any rank, also of another world size.

        Raises:
            ValueError: the position belongs to other corpora or other arguments.
        """
        if position.get("version") != POSITION_VERSION:
            raise ValueError(f"a position of version {POSITION_VERSION} is needed, got {position.get('version')!r}")
        theirs, mine = position.get("settings", {}), self._settings
        changed = [name for name in theirs | mine if theirs.get(name) != mine.get(name)]
        if changed:
            was = ", ".join(f"{name} {theirs.get(name)!r} (now {mine.get(name)!r})" for name in changed)
            raise ValueError(
                f"a mixture goes only to a position of its own, got one with {was}; use the same or start anew"
            )
        self._draws = int(position["draws"])
        for passes, taken in zip(self._passes, position["taken"], strict=True):
            passes.taken = int(taken)
        self._batches, self._batch, self._skip = [], 0, int(position["batch"])  # drawn when it is asked for
        self._seen = position.get("seen")

    def _draw_pool(self) -> None:
        start, seen = (self._draws, [passes.taken for passes in self._passes]), self._seen
        self._batches, self._batch = [], 0
        try:
            if seen is None and "by" in self._settings:
                self._seen = [self._counted(passes.first_window()) for passes in self._passes]
            self._batches = self._make_batches()
        except BaseException:  # a damaged shard or Ctrl-C: nothing was drawn, so that position() still tells the truth
            for passes, taken in zip(self._passes, start[1], strict=True):
                passes.taken = taken
            self._seen = seen
            raise
        self._start, self._start_seen = start, seen
        self._draws += sum(map(len, self._batches))

    def _make_batches(self) -> list[Draw]:
        tables, choices, row = self._draw_records()
        table = RecordTable.join([part for parts in tables for part in parts])
        lengths = self._lengths(table)[row]
        groups = self._group(lengths, table, row)
        counters = torch.arange(len(groups)) + BATCHES + self._draws
        order = uniform(seed=self._seed, counters=counters, purpose=Purpose.order).argsort(stable=True).tolist()
        chosen = [groups[index] for index in order]
        if self._seen is not None:
            drawn = [lengths[choices == index] for index in range(len(self._passes))]
            self._seen = [[n + len(own), p + int(own.sum())] for (n, p), own in zip(self._seen, drawn, strict=True)]
        return [Draw(table, row[group], torch.from_numpy(group) + self._draws) for group in chosen]

    def _counted(self, table: RecordTable) -> list[int]:
        return [len(table), int(self._lengths(table).sum())]

    def _draw_records(self) -> tuple[list[list[RecordTable]], np.ndarray, np.ndarray]:
        """The records of the next pool by corpus, the corpus of each draw and its row; fewer in the end."""
        counters = torch.arange(self._pool_size) + CHOICE + self._draws
        numbers = uniform(seed=self._seed, counters=counters, purpose=Purpose.order).double().numpy()
        choices = self._choose(numbers)
        tables = [passes.take(int((choices == index).sum())) for index, passes in enumerate(self._passes)]
        row = np.empty(len(choices), np.int64)
        row[choices.argsort(kind="stable")] = np.arange(len(choices))
        return tables, choices, row

    def _choose(self, numbers: np.ndarray) -> np.ndarray:
        """The corpus of each draw, int64; fewer than numbers where the last epoch ends."""
        weights = self._weights
        if self._seen is not None:
            weights = [weight * n / max(p, 1) for weight, (n, p) in zip(weights, self._seen, strict=True)]
        taken = [passes.taken for passes in self._passes]
        limits = [passes.limit(self._epochs) for passes in self._passes]
        chosen: list[np.ndarray] = []
        while len(numbers):
            open_ones = [i for i, limit in enumerate(limits) if taken[i] != limit]
            if not open_ones:
                break
            bounds = np.array(list(itertools.accumulate(weights[i] for i in open_ones)))
            choice = np.searchsorted(bounds, numbers * bounds[-1], side="right").clip(max=len(open_ones) - 1)
            choice = np.array(open_ones)[choice]
            ends = [np.flatnonzero(choice == i)[limit - taken[i] - 1 :] for i in open_ones if (limit := limits[i])]
            until = 1 + min((int(end[0]) for end in ends if len(end)), default=len(choice) - 1)  # one is finished there
            chosen.append(choice[:until])
            for i in open_ones:
                taken[i] += int((choice[:until] == i).sum())
            numbers = numbers[until:]
        return np.concatenate(chosen) if chosen else np.zeros(0, np.int64)

    def _group(self, lengths: np.ndarray, table: RecordTable, row: np.ndarray) -> list[np.ndarray]:
        """Draws of the pool, batch by batch: longest first, in the order of drawing inside a bucket."""
        width = self._bucket_width
        padded = np.maximum(1, -(-lengths // width)) * width
        most = self._batch_size or len(padded)
        order = (-padded).argsort(kind="stable")
        groups: list[np.ndarray] = []
        start = 0
        while start < len(order):
            longest = int(padded[order[start]])
            room = most if self._batch_positions is None else min(most, self._batch_positions // longest)
            if not room:
                (record,) = table.records(row[order[start : start + 1]])
                raise ValueError(
                    f"batch_positions must hold the longest record, got {self._batch_positions} for {longest} of "
                    f"record {record.key!r} (a multiple of {width}); raise it or crop the record"
                )
            groups.append(order[start : start + room])
            start += room
        return groups


def _each(length: Callable[[Record], int]) -> Callable[[RecordTable], np.ndarray]:
    """The length of every record of a table, asked one by one."""
    return lambda table: np.array([length(record) for record in table.records()], np.int64)


def _checksum(corpus: Corpus) -> str:
    sizes = [group.num_records for group in corpus.row_groups]
    specs = {name: spec.to_json() for name, spec in corpus.specs.items()}
    return f"{zlib.crc32(json.dumps([sizes, specs], sort_keys=True).encode()):08x}"


def _check(
    corpora: Sequence[tuple[Corpus, float]],
    batch_size: int | None,
    batch_positions: int | None,
    epochs: int | None,
    bucket_width: int,
    shuffle_window: int,
    rank: int,
    world_size: int,
) -> None:
    if not 1 <= len(corpora) <= MAX_CORPORA:
        raise ValueError(f"a Mixture needs 1 to {MAX_CORPORA} corpora, got {len(corpora)}")
    for corpus, weight in corpora:
        if not 0 < weight < math.inf:
            raise ValueError(f"weights must be positive, got {weight} for {corpus}; leave out a corpus of weight 0")
        if not 0 < len(corpus) < MAX_RECORDS:
            raise ValueError(f"a corpus of a Mixture must have 1 to {MAX_RECORDS - 1} records, got {corpus}")
    if batch_size is None and batch_positions is None:
        raise ValueError("a Mixture needs batch_size or batch_positions, got neither")
    counts = {
        "batch_size": batch_size,
        "batch_positions": batch_positions,
        "epochs": epochs,
        "bucket_width": bucket_width,
        "shuffle_window": shuffle_window,
    }
    for name, count in counts.items():
        if count is not None and count < 1:
            raise ValueError(f"{name} must be at least 1, got {count}")
    if not 0 <= rank < world_size:
        raise ValueError(f"rank must lie in 0..{world_size - 1}, got {rank}")
    if batch_size is not None and batch_size % world_size:
        raise ValueError(f"batch_size must be a multiple of world_size, got {batch_size} and {world_size}")

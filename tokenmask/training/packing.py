"""Packing: a record becomes a sequence that fits the model.

Arrow: Record --**Packing**--> Sequence, around Layout.pack; RecordTable --**Packing.batch**--> Batch, the same of many
records at once. Does not know: how ids are assigned, masks, models.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from tokenmask.batch import Batch, Sequence, collate
from tokenmask.corpus import RecordTable
from tokenmask.layout import Layout, Places
from tokenmask.ops import Purpose, uniform
from tokenmask.streams import StreamSpec, TokenStream, cut
from tokenmask.training.cutting import Cutting, most_steps


@dataclass(frozen=True)
class Packing:
    """Says how long the streams of a record may be.

    A stream with an end code (text) is followed by at least one end code and padded with it to a multiple of
    ``end_multiple``, so that a model learns where such a stream ends; LLaDA (arXiv:2502.09992, section 2.3) pads
    answers in the same way. One that is too long is cut to a window and then has no end code.

    A subclass that packs in another way says so of one record; :meth:`batch` and :meth:`table_positions` then ask it
    for one after the other, unless it says these too.

    Args:
        max_positions: most positions of a sequence, BOS included.
        end_multiple: see above.
        budgets: stream name -> most positions of a stream with a time axis; a longer one is cut to a window of time,
            drawn anew for every sample.
    """

    max_positions: int = 128
    end_multiple: int = 8
    budgets: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.max_positions < 2 or self.end_multiple < 1:
            raise ValueError(f"Packing needs max_positions >= 2 and end_multiple >= 1, got {self}; raise them")
        if any(budget < 1 for budget in self.budgets.values()):
            raise ValueError(
                f"Packing.budgets must be positive, got {dict(self.budgets)}; leave a stream out that has none"
            )

    def padded_length(self, spec: StreamSpec, length: int) -> int:
        """Places that ``length`` codes of a complete stream take with their end codes."""
        if spec.end_code is None:
            return length
        return (length // self.end_multiple + 1) * self.end_multiple

    def positions(self, layout: Layout, record: Mapping[str, TokenStream]) -> int:
        """Positions of the packed record, BOS included; what a reader sorts into length buckets."""
        total = 1
        for name, stream in record.items():
            places = self.padded_length(layout.streams[name], stream.codes.shape[:-1].numel())
            steps = self.steps(layout, name, stream)
            if steps is not None:
                places = places // stream.grid[stream.spec.axes.index("time")] * steps
            total += layout.arrangement(name).positions(places, stream.spec.num_levels)
        return min(total, self.max_positions)

    def __call__(
        self,
        layout: Layout,
        record: Mapping[str, TokenStream],
        *,
        seed: int = 0,
        sample_id: int = 0,
        roles: Mapping[str, int | Tensor] | None = None,
    ) -> Sequence:
        """Packs a record.

        Args:
            layout: of the model.
            record: stream name -> codes.
            seed, sample_id: key of the window of a stream that is too long.
            roles: as in :meth:`Layout.pack`.

        Raises:
            ValueError: the record does not fit and none of its streams can be cut.
        """
        streams, lengths = dict(record), {}
        for name, stream in record.items():
            steps = self.steps(layout, name, stream)
            if steps is not None:
                streams[name] = _window(stream, "time", steps, seed, sample_id)
        cuttable = [name for name, stream in record.items() if stream.spec.end_code is not None]
        fixed = self.positions(layout, {name: record[name] for name in record if name not in cuttable})
        room = self.max_positions - fixed
        for name in cuttable:
            share = room // len(cuttable)
            length = streams[name].codes.shape[0]
            if length + 1 <= share:
                lengths[name] = min(self.padded_length(streams[name].spec, length), share)
            elif length > share > 0:
                streams[name] = _window(streams[name], streams[name].spec.axes[0], share, seed, sample_id)
        sequence = layout.pack(streams, roles=roles, lengths=lengths)
        if len(sequence) > self.max_positions:
            raise self._too_long(len(sequence), record)
        return sequence

    def steps(self, layout: Layout, name: str, stream: TokenStream) -> int | None:
        """Steps of time that fit the stream's budget, or None if it fits whole."""
        budget, axes = self.budgets.get(name), stream.spec.axes
        if budget is None or "time" not in axes:
            return None
        whole = stream.grid[axes.index("time")]
        others = stream.codes.shape[:-1].numel() // max(whole, 1)
        steps = most_steps(layout.arrangement(name), stream.spec.num_levels, others, budget, whole)
        return None if steps == whole else steps

    def table_positions(self, layout: Layout, table: RecordTable) -> np.ndarray:
        """:meth:`positions` of every record of a table, int64 [N]."""
        if self._is_changed():
            return np.array([self.positions(layout, record.streams) for record in table.records()], np.int64)
        return self._cutting(layout).positions(table)

    def batch(
        self, layout: Layout, table: RecordTable, sample_ids: Tensor, *, seed: int = 0, own: slice = slice(None)
    ) -> Batch:
        """Packs records and stacks them.

        Args:
            layout: of the model.
            table: N records.
            sample_ids: int64 [N], keys of the windows of streams that are too long.
            seed: of them.
            own: the rows that are wanted, with step 1: only these are packed, as long and as wide as all N would be.

        Returns:
            those rows of ``collate([self(layout, record, ...) for each record], sample_ids)``.

        Raises:
            ValueError: a record does not fit and none of its streams can be cut.
        """
        if self._is_changed():
            keys = sample_ids.tolist()
            packed = [
                self(layout, record.streams, seed=seed, sample_id=key)
                for record, key in zip(table.records(), keys, strict=True)
            ]
            start, stop, _ = own.indices(len(packed))
            return collate(packed, sample_ids).rows(torch.arange(start, stop))
        draws = uniform(seed=seed, counters=sample_ids, purpose=Purpose.crop).double().numpy()
        cuts = self._cutting(layout).cuts(table, draws)
        places = Places(layout, cuts)
        if (places.lengths > self.max_positions).any():
            row = int((places.lengths > self.max_positions).argmax())
            names = [name for name, part in cuts.items() if part.column.present[row]]
            raise self._too_long(int(places.lengths[row]), names)
        return places.batch(sample_ids, own)

    def _too_long(self, length: int, names: Iterable[str]) -> ValueError:
        return ValueError(
            f"a record may take at most {self.max_positions} positions, got {length} for {', '.join(names)}; cut the "
            "media or raise packing.max_positions"
        )

    def _is_changed(self) -> bool:
        """Whether a subclass says anew how one record is packed."""
        return any(getattr(type(self), name) is not getattr(Packing, name) for name in _OF_A_RECORD)

    def _cutting(self, layout: Layout) -> Cutting:
        most, multiple = min(self.max_positions, _BEYOND), min(self.end_multiple, _BEYOND)
        return Cutting(layout, most, multiple, self.budgets)

    def window(
        self, layout: Layout, name: str, stream: TokenStream, beside: Mapping[str, TokenStream]
    ) -> tuple[str, int] | None:
        """The axis along which a stream is cut to be seen, and most of its steps; None if it fits.

        That is as training cuts it, or less where what stands beside it leaves less room.

        Args:
            layout: of the model.
            name: of the stream.
            stream: its codes.
            beside: the other streams of the record, which take their room first.
        """
        depth, room = stream.spec.num_levels, self.max_positions - self.positions(layout, beside)
        arrangement, axes = layout.arrangement(name), stream.spec.axes
        if stream.spec.end_code is not None:
            count = stream.grid[0]
            if arrangement.positions(self.padded_length(stream.spec, count), depth) <= room:
                return None
            while count > 1 and arrangement.positions(count, depth) > room:
                count -= 1
            return axes[0], count
        steps = self.steps(layout, name, stream)
        if name not in self.budgets or "time" not in axes:
            return None
        whole = stream.grid[axes.index("time")]
        others, count = stream.codes.shape[:-1].numel() // max(whole, 1), steps or whole
        while count > 1 and arrangement.positions(others * count, depth) > room:
            count -= 1
        return None if count == whole else ("time", count)


# What `batch` and `table_positions` must agree with.
_BEYOND = 1 << 40  # positions, more than any record has
_OF_A_RECORD = ("__call__", "positions", "padded_length", "steps")


def _window(stream: TokenStream, axis: str, length: int, seed: int, sample_id: int) -> TokenStream:
    """``length`` steps of an axis from a drawn start; a stream with a clock keeps its place in the recording."""
    counter = torch.tensor([sample_id], dtype=torch.int64)
    draw = float(uniform(seed=seed, counters=counter, purpose=Purpose.crop))
    size = stream.grid[stream.spec.axes.index(axis)]
    start = int(draw * (size - length + 1))
    return cut(stream, axis, start, start + length)

"""Sequence and Batch: packed slots, ready for a mask and a model.

Arrow: Record --Layout.pack--> **Sequence** --collate--> **Batch** --> Masker.
Does not know: how ids were assigned (Layout does), what a mask is, models.

Axis letters: B rows, L positions, K levels, S = L * K slots of a row. A *slot* is one (position, level).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from collections.abc import Sequence as SequenceOf
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tokenmask.devices import moved

ABSENT, GIVEN, FILL = 0, 1, 2  # values of ``role``
PAD = 0  # the id of every absent slot


@dataclass(frozen=True)
class Segment:
    """Where one stream of a record lies in its sequence.

    Args:
        name: stream name in the Layout.
        start: first position.
        length: number of positions.
        grid: sizes of the stream's axes as packed, end codes included.
        start_seconds: as in TokenStream.
        labels: as in TokenStream.
    """

    name: str
    start: int
    length: int
    grid: tuple[int, ...]
    start_seconds: float = 0.0
    labels: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class Sequence:
    """One packed record.

    Args:
        ids: int32 [L, K], shared ids; PAD where a slot is absent.
        stream: int8 [L], index of the stream in the Layout; -1 for control positions.
        role: int8 [L, K], ABSENT, GIVEN or FILL.
        coordinates: int32 [L, 3], (time, row, column).
        segments: where each stream lies.
    """

    ids: Tensor
    stream: Tensor
    role: Tensor
    coordinates: Tensor
    segments: tuple[Segment, ...]

    def __len__(self) -> int:
        return int(self.ids.shape[0])


@dataclass(frozen=True, eq=False)
class Batch:
    """Sequences of about equal length, padded and stacked.

    Args:
        ids: int32 [B, L, K], shared ids; PAD where absent.
        stream: int8 [B, L], -1 for control positions and padding.
        role: int8 [B, L, K], ABSENT, GIVEN or FILL.
        coordinates: int32 [B, L, 3], (time, row, column).
        valid: bool [B, L], False at padding and at the positions of a dropped condition.
        sample_ids: int64 [B], keys of this row's randomness.
        features: named tensors from outside, first axis B.
    """

    ids: Tensor
    stream: Tensor
    role: Tensor
    coordinates: Tensor
    valid: Tensor
    sample_ids: Tensor
    features: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def shape(self) -> tuple[int, int, int]:
        """(B, L, K)."""
        return tuple(self.ids.shape)  # type: ignore[return-value]

    @property
    def device(self) -> torch.device:
        """Device of every tensor of the batch."""
        return self.ids.device

    @property
    def to_fill(self) -> Tensor:
        """bool [B, L, K], the FILL slots at valid positions."""
        filled = (self.role.to(torch.int8) - GIVEN).clamp_(min=ABSENT)  # 1 where FILL; torch compares slowly
        return filled.mul_(self.valid.view(torch.int8)[:, :, None]).view(torch.bool)

    def rows(self, index: Tensor) -> Batch:
        """The rows at int64 ``index`` [N], in that order; repeats allowed."""
        return self._each(lambda tensor: tensor[index])

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        return self._each(lambda tensor: moved(tensor, device))

    def join(self, other: Batch) -> Batch:
        """These rows and then those of another batch of the same L, K and features."""
        return Batch(
            ids=torch.cat([self.ids, other.ids]),
            stream=torch.cat([self.stream, other.stream]),
            role=torch.cat([self.role, other.role]),
            coordinates=torch.cat([self.coordinates, other.coordinates]),
            valid=torch.cat([self.valid, other.valid]),
            sample_ids=torch.cat([self.sample_ids, other.sample_ids]),
            features={name: torch.cat([value, other.features[name]]) for name, value in self.features.items()},
        )

    def _each(self, change: Callable[[Tensor], Tensor]) -> Batch:
        return Batch(
            ids=change(self.ids),
            stream=change(self.stream),
            role=change(self.role),
            coordinates=change(self.coordinates),
            valid=change(self.valid),
            sample_ids=change(self.sample_ids),
            features={name: change(value) for name, value in self.features.items()},
        )

    def drop(self, streams: Tensor) -> Batch:
        """Makes the positions of some streams invalid: how a condition is dropped, shapes unchanged.

        Args:
            streams: bool [B, number of streams of the layout], True to drop.
        """
        index = self.stream.long().clamp(min=0)
        dropped = streams.gather(1, index) & (self.stream >= 0)
        return replace(self, valid=self.valid & ~dropped)


def append(sequence: Sequence, other: Sequence) -> Sequence:
    """A sequence and behind it the positions of another one, all but its first (BOS); only the first's segments stay.

    Both are widened to the larger K.
    """
    levels = max(sequence.ids.shape[1], other.ids.shape[1])
    ids, roles = (
        torch.cat(
            [
                torch.nn.functional.pad(part, (0, levels - part.shape[1]))
                for part in (getattr(sequence, name), getattr(other, name)[1:])
            ]
        )
        for name in ("ids", "role")
    )
    return Sequence(
        ids=ids,
        stream=torch.cat([sequence.stream, other.stream[1:]]),
        role=roles,
        coordinates=torch.cat([sequence.coordinates, other.coordinates[1:]]),
        segments=sequence.segments,
    )


def collate(
    sequences: SequenceOf[Sequence], sample_ids: Tensor | None = None, *, multiple: int = 1, num_levels: int = 0
) -> Batch:
    """Pads sequences to one length and stacks them.

    Args:
        sequences: one or more.
        sample_ids: int64 [B]; 0..B-1 if None.
        multiple: the padded length is the smallest multiple of this that holds the longest sequence.
        num_levels: K of the batch is the maximum of this and the sequences' own.

    Raises:
        ValueError: no sequences.
    """
    if not sequences:
        raise ValueError("collate needs at least one sequence, got none; leave out empty batches")
    longest = max(len(sequence) for sequence in sequences)
    length = -(-longest // multiple) * multiple
    levels = max(num_levels, *(sequence.ids.shape[1] for sequence in sequences))
    rows = len(sequences)
    batch = Batch(
        ids=torch.full((rows, length, levels), PAD, dtype=torch.int32),
        stream=torch.full((rows, length), -1, dtype=torch.int8),
        role=torch.full((rows, length, levels), ABSENT, dtype=torch.int8),
        coordinates=torch.zeros(rows, length, 3, dtype=torch.int32),
        valid=torch.zeros(rows, length, dtype=torch.bool),
        sample_ids=torch.arange(rows) if sample_ids is None else sample_ids,
    )
    for row, sequence in enumerate(sequences):
        size, depth = sequence.ids.shape
        batch.ids[row, :size, :depth] = sequence.ids
        batch.stream[row, :size] = sequence.stream
        batch.role[row, :size, :depth] = sequence.role
        batch.coordinates[row, :size] = sequence.coordinates
        batch.valid[row, :size] = True
    return batch

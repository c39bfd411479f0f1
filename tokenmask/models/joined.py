"""Joined: the positions of a batch that count, one behind the other in one row, without padding.

Arrow: inside Backbone. Does not know: networks, ids. What a row is computed from and asked for is the same as padded.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.models.attention_pattern import HIDDEN_KEYS, JOINED, MERGED, AttentionPattern, SlotMeta, dense_mask
from tokenmask.nn import Segments, Stretch

# Pairs of positions times width: what a call of attention and its gradient costs beside them, on a core of a CPU.
CALL = 1_000_000


@dataclass(frozen=True, eq=False)
class Joined:
    """T positions of a batch [B, L]: those that others may see and those that are asked. Rows stand longest first.

    Args:
        index: int64 [T], where each stands in the flattened [B * L].
        place: int64 [B * L], the inverse; -1 for positions that are left out.
        meta: of the T positions, [1, T], with the places of their own row.
        segments: the rows.
    """

    index: Tensor
    place: Tensor
    meta: SlotMeta
    segments: Segments

    @classmethod
    def of(cls, meta: SlotMeta, asked: Tensor, pattern: AttentionPattern, width: int) -> Joined:
        """Args:
        meta: of the batch, [B, L].
        asked: int64 [M], positions in the flattened [B * L].
        pattern: who may look at whom.
        width: H * C of the attention.
        """
        rows, length = meta.valid.shape
        kept = meta.valid | ~meta.valid.any(1, keepdim=True)  # as attention has it: without valid keys all are seen
        kept = kept.flatten().index_fill(0, asked, True).view(rows, length)
        lengths, order = kept.sum(1).sort(descending=True, stable=True)
        at = kept[order].flatten().nonzero().squeeze(1)
        row = order[torch.div(at, length, rounding_mode="floor")]
        index = row * length + at % length
        place = torch.full((rows * length,), -1, device=index.device)
        place[index] = torch.arange(len(index), device=index.device)
        own = SlotMeta(*(getattr(meta, field.name).flatten(0, 1)[index] for field in fields(meta)))
        spared = CALL // width if index.device.type == "cpu" else None
        stretches, first = [], 0
        for counts in _grouped(lengths.tolist(), spared):
            size = sum(counts)
            stretches.append(_stretch(own[first : first + size], counts, pattern))
            first += size
        return cls(index, place, own[None], Segments(row, stretches))

    def take(self, x: Tensor) -> Tensor:
        """[B, L, ...] -> [1, T, ...]."""
        return x.flatten(0, 1)[self.index][None]

    def near(self, near: Tensor) -> Tensor:
        """Neighbours int64 [n, B, L] of :func:`tokenmask.nn.neighbours`, of which L is none -> [n, 1, T], T is none."""
        length = near.shape[2]
        found = near.flatten(1)[:, self.index]
        none, first = found == length, self.index - self.index % length
        return torch.where(none, len(self.index), self.place[torch.where(none, 0, first + found)])[:, None]


def is_joined(inputs: Batch, taps: Sequence[object], cache: object | None) -> bool:
    """Whether the rows of a batch are to be joined.

    Raises:
        ValueError: they are, and something asks for their positions as they stand.
    """
    if JOINED not in inputs.features:
        return False
    beside = [name for name, on in (("taps", taps), ("a cache", cache is not None)) if on]
    beside += [f"the feature {name}" for name in (HIDDEN_KEYS, MERGED) if name in inputs.features]
    if beside:
        raise ValueError(
            f"joined rows have no positions to look at, keep, hide or merge, got {' and '.join(beside)}; leave "
            "training.records padded"
        )
    return True


def _grouped(lengths: Sequence[int], spared: int | None) -> list[list[int]]:
    """Falling lengths, cut where a call of its own costs less than so many pairs of padding; None: nowhere."""
    groups: list[list[int]] = []
    for length, equal in itertools.groupby(lengths):
        run = list(equal)
        if not groups or (spared is not None and len(run) * (groups[-1][0] ** 2 - length**2) > spared):
            groups.append(run)
        else:
            groups[-1] += run
    return groups


def _stretch(own: SlotMeta, counts: Sequence[int], pattern: AttentionPattern) -> Stretch:
    """Rows of so many positions each, whose positions ``own`` tells one behind the other."""
    rows, length, at = len(counts), counts[0], None
    if counts[-1] < length:
        there = torch.arange(length) < torch.tensor(counts)[:, None]
        at = there.flatten().nonzero().squeeze(1).to(own.valid.device)
    stretch = Stretch(rows, length, None, at)
    meta = SlotMeta(*(stretch.spread(getattr(own, field.name)) for field in fields(own)))
    return replace(stretch, mask=dense_mask(pattern, meta))

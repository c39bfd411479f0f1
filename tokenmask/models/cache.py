"""Packed positions, and the keys and values that a model keeps of them.

Arrow: inside Backbone, owned by Reuse. Does not know: when what it holds is stale; a policy does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.models.attention_pattern import AttentionPattern, Full, SlotMeta

TILE = 16  # as in tokenmask.ops.rotate_and_store


@dataclass(frozen=True, eq=False)
class Packed:
    """Some positions of some rows, row after row, without padding.

    Args:
        ids: int32 [M, K].
        meta: [M]; streams, coordinates and the like of the positions.
        slots: int64 [M], where the keys and values of each go in its row of a cache.
        row: int64 [M], ascending.
        row_splits: int64 [B + 1], where each row begins and ends.
        asked: int32 [M, 3], the place that each position is asked for, or None where it is each one's own.
        asked_heads: int64 [M], the range asked for there, -1 for none.
    """

    ids: Tensor
    meta: SlotMeta
    slots: Tensor
    row: Tensor
    row_splits: Tensor
    asked: Tensor | None
    asked_heads: Tensor

    @classmethod
    def of(cls, inputs: Batch, chosen: Tensor, slots: Tensor) -> Packed:
        """The chosen positions, bool [B, L], with ``slots`` int64 [B, L]."""
        row, position = chosen.nonzero(as_tuple=True)
        meta = SlotMeta.of(inputs)[row, position]
        nothing = torch.full_like(row, -1)
        return cls(inputs.ids[row, position], meta, slots[row, position], row, splits(chosen.sum(1)), None, nothing)

    @property
    def stream(self) -> Tensor:
        """int8 [M]."""
        return self.meta.stream

    @property
    def coordinates(self) -> Tensor:
        """int32 [M, 3]."""
        return self.meta.coordinates

    def __len__(self) -> int:
        return int(self.row.shape[0])


def splits(counts: Tensor) -> Tensor:
    """int64 [B] -> int64 [B + 1], from 0 to the sum."""
    return F.pad(counts.cumsum(0), (1, 0))


@dataclass(frozen=True, eq=False)
class KVCache:
    """Keys and values of every layer, in slots of each row.

    The tensors are changed in place as positions join; a value made by :meth:`rows` shares nothing.

    Args:
        keys: float [layers, B, H, T / 16, D, 16], D of a head.
        values: float [layers, B, H, T, D].
        lengths: int64 [B], slots in use.
        meta: [B, T], what is known of the position in each slot.
    """

    keys: Tensor
    values: Tensor
    lengths: Tensor
    meta: SlotMeta

    @classmethod
    def empty(cls, layers: int, heads: int, size: int, rows: int, slots: int, like: Tensor) -> KVCache:
        """Room for ``slots`` positions of each row, heads of ``size``, with the dtype and device of ``like``."""
        tiles = -(-slots // TILE)
        shape = (layers, rows, heads, tiles)
        place = (rows, tiles * TILE)
        meta = SlotMeta(
            stream=torch.full(place, -1, dtype=torch.int8, device=like.device),
            group=torch.zeros(place, dtype=torch.int32, device=like.device),
            coordinates=torch.zeros(*place, 3, dtype=torch.int32, device=like.device),
            valid=torch.zeros(place, dtype=torch.bool, device=like.device),
            position=torch.zeros(place, dtype=torch.int64, device=like.device),
            filled=torch.zeros(place, dtype=torch.bool, device=like.device),
        )
        return cls(
            like.new_zeros(*shape, size, TILE),
            like.new_zeros(*shape[:3], tiles * TILE, size),
            torch.zeros(rows, dtype=torch.int64, device=like.device),
            meta,
        )

    @property
    def slots(self) -> int:
        """T."""
        return self.values.shape[3]

    def rows(self, index: Tensor) -> KVCache:
        """The rows at int64 ``index`` [N], copied; repeats allowed."""
        return KVCache(self.keys[:, index], self.values[:, index], self.lengths[index], self.meta[index])

    def reserve(self, slots: int) -> KVCache:
        """The same with room for at least that many slots; grows by half, so that appending costs little."""
        if slots <= self.slots:
            return self
        more = -(-max(slots - self.slots, self.slots // 2) // TILE)
        wide = {
            f.name: F.pad(value, (*(0, 0) * (value.dim() - 2), 0, more * TILE))
            for f in fields(self.meta)
            for value in [getattr(self.meta, f.name)]
        }
        keys = F.pad(self.keys, (0, 0, 0, 0, 0, more))
        return replace(self, keys=keys, values=F.pad(self.values, (0, 0, 0, more * TILE)), meta=SlotMeta(**wide))

    def admit(self, new: Packed) -> KVCache:
        """Notes positions whose keys and values are about to be written; slots in use may be named again."""
        for f in fields(self.meta):
            getattr(self.meta, f.name)[new.row, new.slots] = getattr(new.meta, f.name)
        return replace(self, lengths=self.lengths.scatter_reduce(0, new.row, new.slots + 1, "amax"))

    def store_of(self, layer: int, valid: Tensor) -> Callable[[Tensor, Tensor], None]:
        """What takes keys and values [B, H, L, D] of a whole pass: the n-th valid position goes to slot n."""
        row, position = valid.nonzero(as_tuple=True)
        slot = (valid.cumsum(1) - 1)[row, position]
        tile, lane = torch.div(slot, TILE, rounding_mode="floor"), slot % TILE

        def store(key: Tensor, value: Tensor) -> None:
            self.keys[layer][row, :, tile, :, lane] = key[row, :, position]
            self.values[layer][row, :, slot] = value[row, :, position]

        return store

    def allowed(self, pattern: AttentionPattern, new: Packed) -> Tensor | None:
        """bool [M, T], which slots each new position may look at; None where all in use."""
        if isinstance(pattern, Full):
            return None
        return pattern.allows(new.meta[:, None], self.meta[new.row]) & self.meta.valid[new.row]

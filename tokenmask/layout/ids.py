"""Ids: what an id stands for, and the ids that stand for something.

Arrow: ids --**Ids**--> ranges, codes, MASK ids. Does not know: how ranges were laid out, records, positions.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from tokenmask.layout.ranges import Range
from tokenmask.streams import StreamSpec

_WORD = 31  # depths in an int32, as its bits


class Ids:
    """Base of :class:`~tokenmask.layout.Layout`: its questions about ids, which follow from these three fields."""

    streams: Mapping[str, StreamSpec]
    shares: Mapping[str, str]
    ranges: tuple[Range, ...]

    def _number(self, num_ids: int) -> None:
        """Makes the tables, once: later a caller may be on another device, or in inference mode."""
        heads = {(r.stream, r.level): index for index, r in enumerate(self.ranges)}
        object.__setattr__(self, "_heads", heads)
        range_of_id = torch.full((num_ids,), -1, dtype=torch.int64)
        for index, r in enumerate(self.ranges):
            range_of_id[r.offset : r.mask_id + 1] = index
        known, at = range_of_id >= 0, range_of_id.clamp(min=0)
        groups = [self.streams[r.stream].level_groups for r in self.ranges]
        depths = [
            next(group.index(r.level) for group in of_stream if r.level in group)
            for r, of_stream in zip(self.ranges, groups, strict=True)
        ]
        ids, depth = torch.arange(num_ids, dtype=torch.int32), torch.tensor(depths, dtype=torch.int64)
        tables = {
            "_range_of_id": range_of_id,
            "_first_of_id": torch.where(known, self.offsets()[at], ids),
            "_mask_of_id": torch.where(known, (self.offsets() + self.sizes())[at], ids),
            "_depth_of_id": torch.where(known, depth[at], -1),
            "_depths": depth,
            "_bits_of_id": _bits(depth, known, at),
        }
        for name, table in tables.items():
            object.__setattr__(self, name, table)

    @property
    def num_levels(self) -> int:
        """The largest K of all streams."""
        return max(spec.num_levels for spec in self.streams.values())

    @property
    def names(self) -> tuple[str, ...]:
        """Stream names; a stream's index here is its value in ``Batch.stream``."""
        return tuple(self.streams)

    def index(self, name: str) -> int:
        """The index of a stream.

        Raises:
            ValueError: the layout has no such stream.
        """
        if name not in self.streams:
            raise ValueError(f"this layout has the streams {', '.join(self.streams)}; it has no {name!r}")
        return self.names.index(name)

    def head(self, name: str, level: int = 0) -> int:
        """The index in ``ranges`` of a level of a stream."""
        self.index(name)
        heads: dict[tuple[str, int], int] = self._heads  # type: ignore[attr-defined]
        return heads[self.shares.get(name, name), level]

    def range(self, name: str, level: int = 0) -> Range:
        """The range of a level of a stream."""
        return self.ranges[self.head(name, level)]

    def head_of(self, ids: Tensor) -> Tensor:
        """Shared ids of any shape -> int64 indices into ``ranges``, -1 for PAD and controls."""
        return self._look_up("_range_of_id", ids)

    def offsets(self, device: torch.device | str = "cpu") -> Tensor:
        """int32 [number of ranges], the id of code 0 of each range."""
        return torch.tensor([r.offset for r in self.ranges], dtype=torch.int32, device=device)

    def sizes(self, device: torch.device | str = "cpu") -> Tensor:
        """int32 [number of ranges], the number of codes of each range."""
        return torch.tensor([r.size for r in self.ranges], dtype=torch.int32, device=device)

    def depths(self, device: torch.device | str = "cpu") -> Tensor:
        """int64 [number of ranges], how many levels of the same group are coarser: 0 for a stream with one level.

        Levels of equal depth in different groups (body parts, branches) are filled together.
        """
        depths: Tensor = self._depths  # type: ignore[attr-defined]
        return depths.to(device, copy=True)

    def first_of(self, ids: Tensor) -> Tensor:
        """The id of code 0 of each id's range, int32; PAD and controls stay as they are. A code is an id less this."""
        return self._look_up("_first_of_id", ids)

    def codes_of(self, ids: Tensor) -> Tensor:
        """The code that each id stands for in its own range, int64; the size of the range for MASK, 0 for the rest."""
        return (ids - self.first_of(ids)).long()

    def mask_of(self, ids: Tensor) -> Tensor:
        """The MASK id of each id's range, int32; PAD and controls stay as they are."""
        return self._look_up("_mask_of_id", ids)

    def depth_of(self, ids: Tensor) -> Tensor:
        """Depth of each id's range, int64, see :meth:`depths`; -1 for PAD and controls."""
        return self._look_up("_depth_of_id", ids)

    def depths_among(self, ids: Tensor, chosen: Tensor) -> Tensor:
        """Which depths the chosen slots of each row have: bool [B, number of depths].

        Args:
            ids: int32 [B, ...].
            chosen: bool of that shape, none of them at PAD or controls.
        """
        tables: Tensor = self._bits_of_id  # type: ignore[attr-defined]
        count = int(self._depths.max()) + 1  # type: ignore[attr-defined]
        rows, flat, among = len(ids), ids.reshape(-1).cpu(), chosen.reshape(len(ids), -1).cpu()
        words = []
        for table in tables:  # numpy joins bits, as torch does not
            bits = table.index_select(0, flat).view(rows, -1).mul_(among)
            words.append(torch.from_numpy(np.bitwise_or.reduce(bits.numpy(), axis=1)))
        bits = torch.stack(words, 1)[:, :, None] >> torch.arange(_WORD)
        return (bits & 1).bool().flatten(1)[:, :count].to(ids.device)

    def _look_up(self, table: str, ids: Tensor) -> Tensor:
        of_id: Tensor = getattr(self, table)
        return of_id.to(ids.device).index_select(0, ids.reshape(-1)).view(ids.shape)


def _bits(depths: Tensor, known: Tensor, at: Tensor) -> Tensor:
    """int32 [words, num_ids], the depth of each id as a bit: depth d is bit d % 31 of word d // 31."""
    depth = depths[at]
    words = torch.arange(int(depths.max()) // _WORD + 1)[:, None]
    mine = known & (torch.div(depth, _WORD, rounding_mode="floor") == words)
    return torch.where(mine, 1 << depth % _WORD, 0).to(torch.int32)

"""Ranges: where the codes of each stream stand among the shared ids.

Arrow: streams --**laid_out**--> Range, and **beside** those that are there. Does not know: records, positions.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from tokenmask.streams import StreamSpec


@dataclass(frozen=True)
class Range:
    """The ids of one level of one stream (or of all streams that share it).

    Args:
        stream: the stream that owns the range.
        level: its level.
        offset: id of code 0.
        size: number of codes.
    """

    stream: str
    level: int
    offset: int
    size: int

    @property
    def mask_id(self) -> int:
        """The id that says: a code of this range is hidden here."""
        return self.offset + self.size


def laid_out(streams: Mapping[str, StreamSpec], shares: Collection[str], first: int) -> tuple[Range, ...]:
    """One range for each level of each stream that shares no other's, in order, from the id ``first`` on."""
    found: list[Range] = []
    for name in streams:
        if name not in shares:
            found += _row(name, streams[name].codebook_sizes, found[-1].mask_id + 1 if found else first)
    return tuple(found)


def beside(kept: Iterable[Range], name: str, sizes: tuple[int, ...], first: int) -> list[Range]:
    """Ranges of a stream in the first gap between ``kept`` ones that holds them all, else after the last."""
    kept = list(kept)
    ends = [first, *sorted(r.mask_id + 1 for r in kept)]
    starts = sorted(r.offset for r in kept)
    needed = sum(size + 1 for size in sizes)
    gaps = (low for low, high in zip(ends, starts, strict=False) if high - low >= needed)
    return _row(name, sizes, next(gaps, ends[-1]))


def _row(name: str, sizes: tuple[int, ...], offset: int) -> list[Range]:
    found = []
    for level, size in enumerate(sizes):
        found.append(Range(name, level, offset, size))
        offset = found[-1].mask_id + 1
    return found

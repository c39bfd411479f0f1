"""Layout: the only code that knows the shared id space.

Arrow: Record --**Layout.pack**--> Sequence, and back: Sequence --**Layout.unpack**--> TokenStreams.
Does not know: media, tokenizers, masks, models, how levels share positions. Others ask it for ranges and MASK ids;
nobody else adds offsets.

Ids: PAD = 0, then the named controls, then one *range* per (stream, level): codes at [offset, offset + size) and the
range's own MASK at offset + size, so that a hidden slot still says which level of which stream is hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from tokenmask.batch import ABSENT, FILL, GIVEN, PAD, Segment, Sequence
from tokenmask.components import component, named
from tokenmask.layout.arrangement import Arrangement, Delay, Parallel
from tokenmask.streams import StreamSpec, TokenStream

CONTROLS = ("BOS", "EOS", "END", "SEP")
FORMAT = 2  # 1 named arrangements without their class path, and had no number
MAX_IDS = 1 << 26  # rows of an embedding table


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


@dataclass(frozen=True, eq=False)
class Layout:
    """Where the codes of every stream stand in the shared id space, and how a record becomes a sequence.

    Args:
        streams: the spec of each stream, in the order in which a record is packed.
        arrangements: how the K levels of a stream meet; Parallel() where not named.
        shares: stream name -> the stream whose ranges it uses (two resolutions, bitext).
        controls: names of the control ids, from id 1 on; must begin with "BOS".
        ticks_per_second: the time coordinate of a stream with a clock is round(seconds * ticks_per_second).
        ranges: one per (stream, level); laid out in order if empty.

    Raises:
        ValueError: unknown names, or a shared range whose sizes differ.
    """

    streams: Mapping[str, StreamSpec]
    arrangements: Mapping[str, Arrangement] = field(default_factory=dict)
    shares: Mapping[str, str] = field(default_factory=dict)
    controls: tuple[str, ...] = CONTROLS
    ticks_per_second: float = 100.0
    ranges: tuple[Range, ...] = ()

    def __post_init__(self) -> None:
        if not self.streams:
            raise ValueError("a Layout needs at least one stream, got none")
        if not self.controls or self.controls[0] != "BOS":
            raise ValueError(f"controls must begin with 'BOS', got {self.controls}")
        for name in (*self.arrangements, *self.shares, *self.shares.values()):
            if name not in self.streams:
                raise ValueError(f"the layout has the streams {list(self.streams)}, got {name!r}")
        for name, owner in self.shares.items():
            if self.streams[name].codebook_sizes != self.streams[owner].codebook_sizes or owner in self.shares:
                raise ValueError(f"{name!r} can share the ranges of {owner!r} only with the same codebook_sizes")
        if not self.ranges:
            offset, ranges = 1 + len(self.controls), []
            for name, spec in self.streams.items():
                if name not in self.shares:
                    for level, size in enumerate(spec.codebook_sizes):
                        ranges.append(Range(name, level, offset, size))
                        offset += size + 1
            object.__setattr__(self, "ranges", tuple(ranges))
        if self.num_ids > MAX_IDS:
            raise ValueError(f"a layout may have up to {MAX_IDS} ids, got {self.num_ids}; use smaller codebooks")
        heads = {(r.stream, r.level): index for index, r in enumerate(self.ranges)}
        object.__setattr__(self, "_heads", heads)
        range_of_id = torch.full((self.num_ids,), -1, dtype=torch.int64)
        for index, r in enumerate(self.ranges):
            range_of_id[r.offset : r.mask_id + 1] = index
        object.__setattr__(self, "_range_of_id", range_of_id)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Layout):
            return NotImplemented
        mine, its = (
            (list(each.streams.items()), dict(each.arrangements), dict(each.shares), each.controls, each.ranges)
            for each in (self, other)
        )  # the order of streams numbers them, and dicts do not compare it
        return mine == its and self.ticks_per_second == other.ticks_per_second

    __hash__ = None  # type: ignore[assignment]

    # ids ---------------------------------------------------------------------------------------------------------

    @property
    def num_ids(self) -> int:
        """Rows of an embedding table that serves this layout."""
        return max([1 + len(self.controls)] + [r.mask_id + 1 for r in self.ranges])

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

    def control(self, name: str) -> int:
        """The id of a control."""
        return 1 + self.controls.index(name)

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
        table: Tensor = self._range_of_id  # type: ignore[attr-defined]
        return table.to(ids.device)[ids.long()]

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
        groups = [self.streams[r.stream].level_groups for r in self.ranges]
        depths = [
            next(group.index(r.level) for group in of_stream if r.level in group)
            for r, of_stream in zip(self.ranges, groups, strict=True)
        ]
        return torch.tensor(depths, dtype=torch.int64, device=device)

    def first_of(self, ids: Tensor) -> Tensor:
        """The id of code 0 of each id's range, int32; PAD and controls stay as they are. A code is an id less this."""
        return self._by_range(ids, self.offsets(ids.device), ids)

    def codes_of(self, ids: Tensor) -> Tensor:
        """The code that each id stands for in its own range, int64; the size of the range for MASK, 0 for the rest."""
        return (ids - self.first_of(ids)).long()

    def mask_of(self, ids: Tensor) -> Tensor:
        """The MASK id of each id's range, int32; PAD and controls stay as they are."""
        return self._by_range(ids, self.offsets(ids.device) + self.sizes(ids.device), ids)

    def depth_of(self, ids: Tensor) -> Tensor:
        """Depth of each id's range, int64, see :meth:`depths`; -1 for PAD and controls."""
        return self._by_range(ids, self.depths(ids.device), -1)

    def _by_range(self, ids: Tensor, values: Tensor, otherwise: Tensor | int) -> Tensor:
        head = self.head_of(ids)
        return torch.where(head >= 0, values[head.clamp(min=0)], otherwise)

    # records <-> sequences ---------------------------------------------------------------------------------------

    def pack(
        self,
        record: Mapping[str, TokenStream],
        *,
        roles: Mapping[str, int | Tensor] | None = None,
        lengths: Mapping[str, int] | None = None,
    ) -> Sequence:
        """Puts the streams of a record, in layout order, behind one BOS.

        Args:
            record: stream name -> codes; at least one.
            roles: GIVEN or FILL for a stream, or int8 [*grid, K] for each of its slots; FILL where not named.
            lengths: pads a stream that has an end code with end codes to that many places.

        Returns:
            Sequence of L = 1 + positions of all streams and K = the most levels of any of them.

        Raises:
            ValueError: a stream that the layout lacks, a foreign fingerprint, or a code where only the padding may be.
        """
        if not record:
            raise ValueError("pack needs a record with at least one stream, got none")
        parts, segments, start = [], [], 1
        levels = max(stream.spec.num_levels for stream in record.values())
        for name in sorted(record, key=self.index):
            part, segment = self._place(name, record[name], (roles or {}).get(name, FILL), (lengths or {}).get(name))
            segments.append(replace(segment, start=start))
            start += segment.length
            parts.append(tuple(_widen(tensor, levels) for tensor in part[:2]) + part[2:])
        bos = _widen(torch.tensor([[self.control("BOS")]], dtype=torch.int32), levels)
        bos_role = _widen(torch.tensor([[GIVEN]], dtype=torch.int8), levels)
        return Sequence(
            ids=torch.cat([bos] + [part[0] for part in parts]),
            stream=torch.cat(
                [torch.full((1,), -1, dtype=torch.int8)]
                + [torch.full((s.length,), self.index(s.name), dtype=torch.int8) for s in segments]
            ),
            role=torch.cat([bos_role] + [part[1] for part in parts]),
            coordinates=torch.cat([torch.zeros(1, 3, dtype=torch.int32)] + [part[2] for part in parts]),
            segments=tuple(segments),
        )

    def unpack(self, sequence: Sequence) -> dict[str, TokenStream]:
        """The exact inverse of :meth:`pack`; a stream with an end code is cut at its first one.

        Raises:
            ValueError: a slot still holds MASK.
        """
        streams = {}
        for segment in sequence.segments:
            spec = self.streams[segment.name]
            ids = sequence.ids[segment.start : segment.start + segment.length, : spec.num_levels]
            placed = torch.where(ids == PAD, -1, ids - self.first_of(ids))
            codes = self.arrangement(segment.name).restore(placed, spec.num_levels)
            if bool((codes == torch.tensor(spec.codebook_sizes)).any()):
                raise ValueError(f"stream {segment.name!r} still has hidden slots; fill them before unpacking")
            codes, grid = codes.reshape(*segment.grid, spec.num_levels).contiguous(), segment.grid
            if spec.end_code is not None:
                ends = (codes[..., 0] == spec.end_code).nonzero()
                codes = codes[: int(ends[0])] if len(ends) else codes
                grid = tuple(codes.shape[:-1])
            labels = segment.labels if grid == segment.grid else {}
            streams[segment.name] = TokenStream(spec, codes.to(torch.int32), segment.start_seconds, labels)
        return streams

    def arrangement(self, name: str) -> Arrangement:
        """How the levels of a stream meet."""
        return self.arrangements.get(name, Parallel())

    def _place(
        self, name: str, stream: TokenStream, role: int | Tensor, length: int | None
    ) -> tuple[tuple[Tensor, Tensor, Tensor], Segment]:
        spec, codes = self.streams[name], stream.codes
        if stream.spec.fingerprint != spec.fingerprint:
            raise ValueError(
                f"stream {name!r} must be coded by the tokenizer {spec.fingerprint[:12] or '(none)'} of this layout, "
                f"got codes of {stream.spec.fingerprint[:12] or '(none)'}; encode it again"
            )
        if stream.spec != spec:
            raise ValueError(f"stream {name!r} must be {spec}, got {stream.spec}")
        if spec.end_code is not None:
            if bool((codes[..., 0] == spec.end_code).any()):
                raise ValueError(f"stream {name!r} may hold its end code {spec.end_code} only as padding")
            missing = max((length or 0) - codes.shape[0], 0)
            codes = torch.cat([codes, codes.new_full((missing, *codes.shape[1:]), spec.end_code)])
        if not isinstance(role, Tensor):
            role = torch.full(codes.shape, role, dtype=torch.int8)
        elif role.shape != codes.shape:
            raise ValueError(f"roles of {name!r} must be {list(codes.shape)}, got {list(role.shape)}")
        arrangement = self.arrangement(name)
        if isinstance(arrangement, Delay) and len(spec.axes) != 1:
            raise ValueError(f"Delay shifts levels along one axis, but {name!r} has {spec.axes}")
        placed, place = arrangement.place(codes.flatten(0, -2))
        placed_role, _ = arrangement.place(role.flatten(0, -2))
        offsets = torch.tensor([self.range(name, k).offset for k in range(spec.num_levels)], dtype=torch.int32)
        ids = torch.where(placed >= 0, placed + offsets, PAD).to(torch.int32)
        roles = torch.where(placed_role >= 0, placed_role, ABSENT).to(torch.int8)
        grid = tuple(codes.shape[:-1])
        coordinates = self._coordinates(spec, grid, stream.start_seconds, place)
        segment = Segment(name, 0, ids.shape[0], grid, stream.start_seconds, stream.labels)
        return (ids, roles, coordinates), segment

    def _coordinates(self, spec: StreamSpec, grid: tuple[int, ...], start_seconds: float, place: Tensor) -> Tensor:
        coordinates = torch.zeros(len(place), 3, dtype=torch.int32)
        rest = place
        for axis in reversed(range(len(grid))):
            index = rest % max(grid[axis], 1) if axis else rest  # a Delay runs past the end of its only axis
            rest = torch.div(rest, max(grid[axis], 1), rounding_mode="floor")
            name = spec.axes[axis]
            if name == "time" and spec.rate_hz is not None:
                seconds = start_seconds + index.double() / spec.rate_hz
                index = (seconds * self.ticks_per_second).round()
            column = {"time": 0, "index": 0, "row": 1, "channel": 1, "column": 2}[name]
            coordinates[:, column] = index.to(torch.int32)
        return coordinates

    # change and storage ------------------------------------------------------------------------------------------

    def replace(self, name: str, spec: StreamSpec) -> Layout:
        """Swaps the tokenizer of one stream, and of all that share its ranges; all other ranges keep their rows.

        The new ranges take the first gap that holds them all, else they follow the last range.
        """
        self.index(name)
        owner = self.shares.get(name, name)
        family = {owner, *(sharer for sharer, its_owner in self.shares.items() if its_owner == owner)}
        streams = {stream: spec if stream in family else own for stream, own in self.streams.items()}
        kept = [r for r in self.ranges if r.stream != owner]
        return self._with(streams, kept, owner)

    def add(self, name: str, spec: StreamSpec, arrangement: Arrangement | None = None) -> Layout:
        """One more stream, after the others; their ranges keep their rows."""
        if name in self.streams:
            raise ValueError(f"the layout already has a stream {name!r}; replace it instead")
        return self._with({**self.streams, name: spec}, list(self.ranges), name, {name: arrangement or Parallel()})

    def remove(self, name: str) -> Layout:
        """Without a stream; the ranges of the others keep their rows.

        Raises:
            ValueError: the only stream, or one whose ranges another stream shares.
        """
        self.index(name)
        sharers = [sharer for sharer, owner in self.shares.items() if owner == name]
        if sharers or len(self.streams) == 1:
            why = f"{', '.join(sharers)} shares its ranges" if sharers else "it is the only one"
            raise ValueError(f"stream {name!r} can't be removed: {why}")
        return replace(
            self,
            streams={stream: spec for stream, spec in self.streams.items() if stream != name},
            arrangements={stream: own for stream, own in self.arrangements.items() if stream != name},
            shares={stream: owner for stream, owner in self.shares.items() if stream != name},
            ranges=tuple(r for r in self.ranges if r.stream != name),
        )

    def _with(
        self,
        streams: Mapping[str, StreamSpec],
        kept: list[Range],
        name: str,
        arrangements: Mapping[str, Arrangement] | None = None,
    ) -> Layout:
        """The layout of ``streams`` with fresh ranges for ``name`` beside the ``kept`` ones."""
        sizes = streams[name].codebook_sizes
        needed = sum(size + 1 for size in sizes)
        ends = [1 + len(self.controls), *sorted(r.mask_id + 1 for r in kept)]
        starts = sorted(r.offset for r in kept)
        gaps = [(low, high) for low, high in zip(ends, starts, strict=False) if high - low >= needed]
        offset = gaps[0][0] if gaps else ends[-1]
        fresh = []
        for level, size in enumerate(sizes):
            fresh.append(Range(name, level, offset, size))
            offset += size + 1
        order = {stream: index for index, stream in enumerate(streams)}
        ranges = tuple(sorted(kept + fresh, key=lambda r: (order[r.stream], r.level)))
        return replace(self, streams=streams, ranges=ranges, arrangements={**self.arrangements, **(arrangements or {})})

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values; :meth:`from_json` is the exact inverse.

        Raises:
            ValueError: an arrangement that no file could name.
        """
        return {
            "format": FORMAT,
            "streams": [[name, spec.to_json()] for name, spec in self.streams.items()],  # their order numbers them
            "arrangements": {
                name: named(own, Arrangement, "tokenmask.layout")  # type: ignore[type-abstract]
                for name, own in self.arrangements.items()
            },
            "shares": dict(self.shares),
            "controls": list(self.controls),
            "ticks_per_second": self.ticks_per_second,
            "ranges": [asdict(r) for r in self.ranges],
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Layout:
        """Rebuilds a layout from :meth:`to_json`, of this format or an older one.

        Raises:
            ValueError: a newer format, or an arrangement that is not installed.
        """
        if values.get("format", 1) not in (1, FORMAT):
            raise ValueError(f"a layout must have a format up to {FORMAT}, got {values['format']}; update tokenmask")
        arrangements = {
            name: component(about, Arrangement, "tokenmask.layout")  # type: ignore[type-abstract]
            for name, about in values["arrangements"].items()
        }
        return cls(
            streams={name: StreamSpec.from_json(spec) for name, spec in values["streams"]},
            arrangements=arrangements,
            shares=dict(values["shares"]),
            controls=tuple(values["controls"]),
            ticks_per_second=values["ticks_per_second"],
            ranges=tuple(Range(**r) for r in values["ranges"]),
        )


def _widen(tensor: Tensor, levels: int) -> Tensor:
    """[L, k] -> [L, levels], zeros (PAD, ABSENT) in the new columns."""
    return torch.nn.functional.pad(tensor, (0, levels - tensor.shape[1]))

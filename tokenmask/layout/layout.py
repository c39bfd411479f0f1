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

from tokenmask.batch import FILL, GIVEN, PAD, Segment, Sequence
from tokenmask.components import component, named
from tokenmask.layout.arrangement import Arrangement, Parallel
from tokenmask.layout.ids import Ids
from tokenmask.layout.positions import place, restore
from tokenmask.layout.ranges import Range, beside, laid_out
from tokenmask.streams import StreamSpec, TokenStream

CONTROLS = ("BOS", "EOS", "END", "SEP")
FORMAT = 2  # 1 named arrangements without their class path, and had no number
MAX_IDS = 1 << 26  # rows of an embedding table


@dataclass(frozen=True, eq=False)
class Layout(Ids):
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
            raise ValueError("a Layout needs at least one stream, got none; name the spec of each")
        if not self.controls or self.controls[0] != "BOS":
            raise ValueError(f"controls must begin with 'BOS', got {self.controls}; put it first")
        for name in (*self.arrangements, *self.shares, *self.shares.values()):
            if name not in self.streams:
                raise ValueError(
                    f"the layout has the streams {list(self.streams)}, got {name!r}; "
                    "name one of these in arrangements and shares"
                )
        for name, owner in self.shares.items():
            if self.streams[name].codebook_sizes != self.streams[owner].codebook_sizes or owner in self.shares:
                raise ValueError(
                    f"{name!r} can share the ranges of {owner!r} only with the same codebook_sizes, and where that one "
                    f"shares none itself, got {self.streams[name].codebook_sizes} and "
                    f"{self.streams[owner].codebook_sizes}; leave {name!r} out of shares"
                )
        if not self.ranges:
            object.__setattr__(self, "ranges", laid_out(self.streams, self.shares, 1 + len(self.controls)))
        if self.num_ids > MAX_IDS:
            raise ValueError(f"a layout may have up to {MAX_IDS} ids, got {self.num_ids}; use smaller codebooks")
        self._number(self.num_ids)

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

    def control(self, name: str) -> int:
        """The id of a control."""
        return 1 + self.controls.index(name)

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
            raise ValueError("pack needs a record with at least one stream, got none; leave out empty records")
        parts, segments, start = [], list[Segment](), 1
        levels = max(stream.spec.num_levels for stream in record.values())
        for name in sorted(record, key=self.index):
            placed = place(
                name,
                self.streams[name],
                record[name],
                self.arrangement(name),
                role=(roles or {}).get(name, FILL),
                length=(lengths or {}).get(name),
                ticks_per_second=self.ticks_per_second,
            )
            segments.append(replace(placed.segment, start=start))
            start += placed.segment.length
            count = self.streams[name].num_levels
            offsets = torch.tensor([self.range(name, k).offset for k in range(count)], dtype=torch.int32)
            ids = torch.where(placed.codes >= 0, placed.codes + offsets, PAD).to(torch.int32)
            parts.append((_widen(ids, levels), _widen(placed.roles, levels), placed.coordinates))
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
            streams[segment.name] = restore(placed, spec, segment, self.arrangement(segment.name))
        return streams

    def arrangement(self, name: str) -> Arrangement:
        """How the levels of a stream meet."""
        return self.arrangements.get(name, Parallel())

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
            raise ValueError(f"stream {name!r} can't be removed: {why}; remove what shares them first, or keep it")
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
        fresh = beside(kept, name, streams[name].codebook_sizes, 1 + len(self.controls))
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

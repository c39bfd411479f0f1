"""Oracle: a world as a model, whose logits are the true conditionals given what a slot may see.

Arrow: Batch with hidden slots + World --**Oracle**--> log-probabilities of the queries. Does not know: samplers.
Conditions that are dropped are not known, so what is unconditional is the marginal law.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokenmask.batch import Batch
from tokenmask.layout import Layout
from tokenmask.masking.masked_batch import Queries
from tokenmask.models.attention_pattern import AttentionPattern, Full, SlotMeta
from tokenmask.models.backbone import Backbone, BackboneConfig, Hidden, Tap
from tokenmask.models.cache import KVCache, Packed
from tokenmask.models.heads import Head, HeadConfig, RangeLogits, Reader
from tokenmask.models.masked_model import MaskedModel
from tokenmask.worlds.world import World

_COORDINATE = {"index": 0, "time": 0, "row": 1, "channel": 1, "column": 2}  # of a place
NEVER = -1e4  # the logit of a code without probability: none is left of it at any temperature


def oracle(world: World, layout: Layout | None = None, pattern: AttentionPattern | None = None) -> MaskedModel:
    """A model that knows a world.

    Args:
        world: its law.
        layout: of the ids, that of the world if None; its streams may have other grids and levels, as long as their
            codes come in the same order.
        pattern: what a slot may see; what it may not is unknown to it.
    """
    return MaskedModel(OracleConfig(world), layout or world.layout, pattern)


@dataclass(frozen=True)
class OracleConfig(BackboneConfig):
    """A model that knows a world instead of having learned it.

    Args:
        world: its law.
    """

    world: World

    def build(self, layout: Layout) -> Oracle:
        return Oracle(self.world, layout)

    def default_head(self) -> HeadConfig:
        return OracleHeadConfig()

    def describe(self) -> str:
        return f"the true conditionals of {self.world}"


@dataclass(frozen=True)
class OracleHeadConfig(HeadConfig):
    """The logits are there already."""

    def build(self, layout: Layout, width: int) -> OracleHead:
        return OracleHead(layout)


class Oracle(Backbone):
    """The vector of a query holds the log-probabilities of its codes, whatever the masking time.

    It keeps ids in the place of keys and values, so that every reuse policy runs it; what is stale there is so here.
    """

    def __init__(self, world: World, layout: Layout) -> None:
        super().__init__()
        self.world, self.layout = world, layout
        missing = [name for name in world.parts if name not in layout.streams]
        if missing:
            raise ValueError(f"a world needs its streams in the layout, but {', '.join(missing)} is not; add it")
        for name, part in world.parts.items():
            spec = layout.streams[name]
            if spec.grid.count(None) or math.prod(map(int, spec.grid)) * spec.num_levels != len(part):  # type: ignore[arg-type]
                raise ValueError(f"stream {name!r} must have a grid of {len(part)} codes, got {spec.grid}; give it one")
        self.rows = nn.Parameter(torch.zeros(layout.num_ids, 0), requires_grad=False)

    def initialise(self, generator: torch.Generator) -> None:
        """There are no weights."""

    @property
    def table(self) -> Tensor:
        """float32 [num_ids, 0]: it has no vectors."""
        return self.rows

    @property
    def width(self) -> int:
        """V, the size of the largest alphabet."""
        return max(self.world.sizes)

    @property
    def asks_elsewhere(self) -> bool:
        """A position may be asked for any slot, by what it sees."""
        return True

    def empty_cache(self, rows: int, slots: int) -> KVCache:
        return KVCache.empty(1, 1, self.layout.num_levels, rows, slots, self.rows.detach())

    def forward(
        self,
        inputs: Batch,
        queries: Queries,
        pattern: AttentionPattern | None = None,
        *,
        group: Tensor | None = None,
        t: Tensor | None = None,
        taps: Sequence[Tap] = (),
        cache: KVCache | None = None,
    ) -> Hidden:
        if taps:
            raise ValueError(f"an oracle has no layers and no attention, got taps {list(taps)}; ask for none")
        if cache is not None:
            ids = F.pad(inputs.ids.float(), (0, self.layout.num_levels - inputs.shape[2]))[:, None]
            cache.store_of(0, inputs.valid)(ids, ids)
        meta = SlotMeta.of(inputs, group)
        position = torch.div(queries.slots, inputs.shape[2], rounding_mode="floor")
        row, place = torch.div(position, inputs.shape[1], rounding_mode="floor"), position % inputs.shape[1]
        asks = meta[row, place]
        asked = self._asked(queries, asks.coordinates if queries.coordinates is None else queries.coordinates)
        if isinstance(pattern or Full(), Full):  # all of a row see the same
            return self._answer(inputs.ids, meta, meta.valid, row, asked)
        line = torch.arange(len(row), device=row.device)
        return self._answer(inputs.ids[row], meta[row], _seen(pattern or Full(), asks, meta[row]), line, asked)

    def extend(
        self,
        new: Packed,
        queries: Queries,
        cache: KVCache,
        pattern: AttentionPattern | None = None,
        *,
        t: Tensor | None = None,
    ) -> Hidden:
        levels = new.ids.shape[1]
        cache.values[0, new.row, 0, new.slots, :levels] = new.ids.float()
        place = torch.div(queries.slots, levels, rounding_mode="floor")
        row, asks = new.row[place], new.meta[place]
        asked = self._asked(queries, (new.coordinates if new.asked is None else new.asked)[place])
        ids, meta = cache.values[0, row, 0, :, :levels].int(), cache.meta[row]
        in_use = torch.arange(cache.slots, device=row.device) < cache.lengths[row][:, None]
        line = torch.arange(len(row), device=row.device)
        return self._answer(ids, meta, _seen(pattern or Full(), asks, meta) & in_use, line, asked)

    def _answer(self, ids: Tensor, meta: SlotMeta, seen: Tensor, row: Tensor, asked: Tensor) -> Hidden:
        """Args:
        ids: int32 [R, L, K].
        meta: of their positions.
        seen: bool [R, L], which of them are seen.
        row: int64 [M], the line of each query.
        asked: int64 [M], the slot of the world that it asks for.
        """
        size = len(self.world.sizes)
        if not len(row):
            return Hidden(self.rows.new_zeros(0, self.width))
        place = self._places(meta.stream, meta.coordinates, ids.shape[2])
        shown = (place < size) & seen[:, :, None] & (ids != self.layout.mask_of(ids))
        codes = torch.where(shown, self.layout.codes_of(ids), -1)
        known = codes.new_full((len(codes), size + 1), -1)
        known.scatter_reduce_(1, place.flatten(1), codes.flatten(1), "amax")
        alike, number = torch.unique(known[:, :size].cpu(), dim=0, return_inverse=True)
        law = self.world.conditionals(alike).log().clamp(min=NEVER).float().to(known.device)
        return Hidden(law[number.to(known.device)[row], asked])

    def _asked(self, queries: Queries, coordinates: Tensor) -> Tensor:
        """int64 [M], the slot of the world at a place, of the stream and level that a query's range is of."""
        ranges = self.layout.ranges
        stream = torch.tensor([self.layout.index(one.stream) for one in ranges], device=queries.heads.device)
        level = torch.tensor([one.level for one in ranges], device=queries.heads.device)
        places = self._places(stream[queries.heads], coordinates, self.layout.num_levels)
        return places.gather(1, level[queries.heads][:, None]).squeeze(1)

    def _places(self, stream: Tensor, coordinates: Tensor, levels: int) -> Tensor:
        """int64 [..., K], the slot of the world that each level of a place [...] is; N where it is none."""
        size, start = len(self.world.sizes), 0
        places = torch.full((*stream.shape, levels), size, dtype=torch.int64, device=stream.device)
        level = torch.arange(levels, device=stream.device)
        for name, part in self.world.parts.items():
            spec, place = self.layout.streams[name], torch.zeros_like(stream, dtype=torch.int64)
            for axis, sides in zip(spec.axes, spec.grid, strict=True):
                place = place * int(sides or 0) + coordinates[..., _COORDINATE[axis]]
            mine = (stream == self.layout.index(name))[..., None] & (level < spec.num_levels)
            places = torch.where(mine, start + place[..., None] * spec.num_levels + level, places)
            start += len(part)
        return places


def _seen(pattern: AttentionPattern, asks: SlotMeta, meta: SlotMeta) -> Tensor:
    """bool [M, L], which positions [M, L] each of M positions sees."""
    return pattern.allows(SlotMeta(*(getattr(asks, part.name)[:, None] for part in fields(asks))), meta) & meta.valid


class OracleHead(Head):
    """Hands the log-probabilities on."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.ranges = layout.ranges

    def forward(
        self, hidden: Tensor, heads: Tensor, embedding: Tensor, read: Reader | None = None
    ) -> tuple[RangeLogits, ...]:
        answers = []
        for head in sorted(set(heads.tolist())):
            queries = (heads == head).nonzero().squeeze(1)
            group = RangeLogits(head, queries, hidden[queries, : self.ranges[head].size])
            answers.append(group if read is None else RangeLogits(head, queries, read(group)))
        return tuple(answers)

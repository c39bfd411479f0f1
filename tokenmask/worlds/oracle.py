"""Oracle: a world as a model, whose logits are the true conditionals given what a slot may see.

Arrow: Batch with hidden slots + World --**Oracle**--> log-probabilities of the queries. Does not know: samplers.
Conditions that are dropped are not known, so what is unconditional is the marginal law.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn

from tokenmask.batch import Batch
from tokenmask.layout import Layout
from tokenmask.masking.masked_batch import Queries
from tokenmask.models.attention_pattern import AttentionPattern, Full, SlotMeta
from tokenmask.models.backbone import Backbone, BackboneConfig, Hidden, Tap
from tokenmask.models.cache import KVCache
from tokenmask.models.heads import Head, HeadConfig, RangeLogits, Reader
from tokenmask.models.masked_model import MaskedModel
from tokenmask.worlds.world import World

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
    """The vector of a query holds the log-probabilities of its codes, whatever the masking time."""

    def __init__(self, world: World, layout: Layout) -> None:
        super().__init__()
        self.world, self.layout = world, layout
        missing = [name for name in world.parts if name not in layout.streams]
        if missing:
            raise ValueError(f"a world needs its streams in the layout, but {', '.join(missing)} is not; add it")
        self.rows = nn.Parameter(torch.empty(layout.num_ids, 0), requires_grad=False)

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
        if taps or cache is not None:
            raise ValueError(f"an oracle has no attention and keeps nothing, got taps {list(taps)}; use NoReuse")
        _, length, levels = inputs.shape
        place = self._places(inputs)  # [B, L, K], which slot of the world each one is, N for none
        size = len(self.world.sizes)
        row = torch.div(queries.slots, length * levels, rounding_mode="floor")
        codes = self.layout.codes_of(inputs.ids)
        shown = (place < size) & inputs.valid[:, :, None] & (inputs.ids != self.layout.mask_of(inputs.ids))
        pattern = pattern or Full()
        if not isinstance(pattern, Full):  # each query sees what it may
            meta = SlotMeta.of(inputs, group)
            asks = meta[row, torch.div(queries.slots, levels, rounding_mode="floor") % length]
            asks = SlotMeta(*(getattr(asks, part.name)[:, None] for part in fields(asks)))
            shown = shown[row] & pattern.allows(asks, meta[row])[:, :, None]
            codes, place, row = codes[row], place[row], torch.arange(len(row), device=row.device)
        known = codes.new_full((len(codes), size + 1), -1)
        known.scatter_(1, place.flatten(1), torch.where(shown, codes, -1).flatten(1))
        alike, number = torch.unique(known[:, :size].cpu(), dim=0, return_inverse=True)
        law = self.world.conditionals(alike).log().clamp(min=NEVER).float().to(known.device)
        asked = self._places(inputs).flatten()[queries.slots]
        return Hidden(law[number.to(known.device)[row], asked])

    def _places(self, inputs: Batch) -> Tensor:
        """int64 [B, L, K], the slot of the world that each one is; N where it is none."""
        size, levels, start = len(self.world.sizes), inputs.shape[2], 0
        places = torch.full(inputs.shape, size, dtype=torch.int64, device=inputs.device)
        for name, part in self.world.parts.items():
            mine = (inputs.stream == self.layout.index(name)) & inputs.valid  # of several conditions, that of the pass
            deep = self.layout.streams[name].num_levels
            own = (mine.cumsum(1) - 1)[:, :, None] * deep + torch.arange(levels, device=inputs.device)
            found = mine.sum(1) * deep
            if bool(((found != 0) & (found != len(part))).any()):
                raise ValueError(
                    f"a row of {type(self.world).__name__} has {len(part)} codes of {name}, got {found.tolist()}; "
                    "pack whole records"
                )
            inside = mine[:, :, None] & (torch.arange(levels, device=inputs.device) < deep)
            places = torch.where(inside, own + start, places)
            start += len(part)
        return places


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

"""Wrapped: a language model of somebody else as a backbone and its head.

Arrow: MaskedBatch --**WrappedModel**--> logits of the queries, those of the network itself. Does not know: which
network, where its words come from. A row is what its authors trained on: the piece that begins a text in the place of
BOS, codes, the piece that hides one in the place of MASK, and the piece that ends a text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from tokenmask.batch import Batch
from tokenmask.layout import Layout
from tokenmask.layout.ranges import Range
from tokenmask.masking.masked_batch import Queries
from tokenmask.models.attention_pattern import AttentionPattern, Full
from tokenmask.models.backbone import Backbone, BackboneConfig, Hidden, Tap
from tokenmask.models.cache import KVCache, Packed
from tokenmask.models.heads import Head, HeadConfig, RangeLogits, Reader
from tokenmask.models.masked_model import MaskedModel
from tokenmask.models.wrapped_cache import NetworkCache, refusal, run_some, seen_by

_MULTIPLE = 64  # rows are padded to it, so that a row is computed alike in any company


@dataclass(frozen=True)
class Marks:
    """Ids of the network's own vocabulary.

    Args:
        begin: stands before a text, or None.
        end: stands behind it.
        mask: hides a code.
        pad: fills a row.
    """

    begin: int | None
    end: int
    mask: int
    pad: int


@dataclass(frozen=True, eq=False)
class WrappedConfig(BackboneConfig):
    """A network that is there already.

    Args:
        network: called with input_ids and attention_mask int64 [B, L], gives ``logits`` float [B, L, V].
        marks: of its vocabulary.
        longest: most ids of a row, marks included.
        causal: it answers a code at the place before it, from what stands before; asked where a code before is hidden,
            it refuses.
        first_place: number of the first place of a row, by which the network knows where a code stands.
    """

    network: nn.Module
    marks: Marks
    longest: int
    causal: bool = False
    first_place: int = 0

    def build(self, layout: Layout) -> Wrapped:
        return Wrapped(self, layout)

    def default_head(self) -> HeadConfig:
        return WrappedHeadConfig()

    def describe(self) -> str:
        return type(self.network).__name__


@dataclass(frozen=True)
class WrappedHeadConfig(HeadConfig):
    """The logits are there already."""

    def build(self, layout: Layout, width: int) -> WrappedHead:
        return WrappedHead(layout)


class Wrapped(Backbone):
    """Runs the network; the vector of a query is its logits of the codes.

    Rows are grouped by their own length, rounded up to a multiple of 64, so that what a row gives does not depend on
    the length of others. Keys and values are kept for those who ask, where transformers lets them be had.
    """

    def __init__(self, config: WrappedConfig, layout: Layout) -> None:
        super().__init__()
        if len(layout.ranges) != 1:
            raise ValueError(f"a wrapped network fills one stream of one level, got {len(layout.ranges)} ranges")
        self.config, self.codes, self.network = config, layout.ranges[0], config.network
        self.bos = layout.control("BOS")
        self._refusal: str | None = None  # of a cache; not known until one is asked for

    @property
    def table(self) -> Tensor:
        """Of the network's own vocabulary."""
        table: Tensor = self.network.get_input_embeddings().weight  # type: ignore[operator]
        return table

    @property
    def reads_before_only(self) -> bool:
        """Of a causal network."""
        return self.config.causal

    @property
    def width(self) -> int:
        """Logits of all codes."""
        return self.codes.size

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
        refuse_parts(self.network, pattern, taps, None if isinstance(cache, NetworkCache) else cache)
        rows = inputs.shape[0]
        own = torch.where(inputs.valid, self._own_ids(inputs.ids[:, :, 0]), -1)
        counts = (own >= 0).sum(1)
        places = (own >= 0).cumsum(1) - 1  # of each position in the row of the network
        row, column = rows_and_columns(inputs, queries)
        place = places[row, column]
        if self.config.causal:
            self._refuse_holes(inputs, row, column)
            place = place - 1
        sizes = self._sizes(counts)
        if isinstance(cache, NetworkCache):
            cache.begin(inputs.valid, torch.where(own >= 0, places, -1))
        answers = queries.slots.new_zeros(len(queries), self.codes.size).to(self.table.dtype)
        for size in sorted(set(sizes.tolist())):
            members = (sizes == size).nonzero().squeeze(1)
            ids, mask = self._padded(own[members], counts[members], size)
            if isinstance(cache, NetworkCache):
                logits = seen_by(self.network, ids, mask, cache.layers_of(members, size))
            else:
                logits = self.network(input_ids=ids, attention_mask=mask).logits
            line = torch.full((rows,), -1, device=row.device).scatter(0, members, torch.arange(len(members)).to(row))
            asked = (line[row] >= 0).nonzero().squeeze(1)
            answers = answers.index_put((asked,), logits[line[row[asked]], place[asked], : self.codes.size])
        return Hidden(answers)

    def _refuse_holes(self, inputs: Batch, row: Tensor, column: Tensor) -> None:
        """ValueError if a code before one that is asked is hidden."""
        before = (inputs.ids[:, :, 0] == self.codes.mask_id).cumsum(1)
        own = inputs.ids[row, column, 0] == self.codes.mask_id
        if bool((before[row, column] > own).any()):
            raise ValueError(
                f"a {type(self.network).__name__} knows what stands before a code alone, so it fills no holes; use it "
                "for log_likelihood, or take a masked language model"
            )

    def empty_cache(self, rows: int, slots: int) -> KVCache:
        """Of a network of transformers that fills holes; whether its keys and values can be had is tried once."""
        if self._refusal is None:
            self._refusal = refusal(self.network, self.config.first_place, self.config.causal)
        if self._refusal:
            raise ValueError(
                f"keys and values of a wrapped {type(self.network).__name__} cannot be kept: {self._refusal}; set "
                "sampler.reuse to NoReuse, or open it with attn_implementation='sdpa'"
            )
        return NetworkCache.of(rows, slots, self.table)

    def extend(
        self,
        new: Packed,
        queries: Queries,
        cache: KVCache,
        pattern: AttentionPattern | None = None,
        *,
        t: Tensor | None = None,
    ) -> Hidden:
        """Of rows that went through the network as a whole before; the piece that ends a text stays as it was then."""
        if not isinstance(cache, NetworkCache) or not cache.held.layers or not isinstance(pattern or Full(), Full):
            raise ValueError(
                f"a wrapped {type(self.network).__name__} keeps keys and values of whole rows that see all of "
                "themselves; set sampler.reuse to StaleReuse or NoReuse"
            )
        own = self._own_ids(new.ids[:, 0])
        answers = self.table.new_zeros(len(queries), self.codes.size)
        return Hidden(run_some(self.network, self.config.first_place, own, new, queries, cache, answers))

    def _own_ids(self, given: Tensor) -> Tensor:
        """int64 of the same shape, ids of the network; -1 for what it does not have."""
        ids, marks = given.long(), self.config.marks
        own = torch.where(ids == self.codes.mask_id, marks.mask, ids - self.codes.offset)
        begins = ids == self.bos
        own = torch.where(begins, -1 if marks.begin is None else marks.begin, own)
        coded = (ids >= self.codes.offset) & (ids <= self.codes.mask_id)
        return torch.where(coded | begins, own, -1)

    def _sizes(self, counts: Tensor) -> Tensor:
        """int64 [B], ids of each row in the network, rounded up."""
        longest = self.config.longest
        if int(counts.max()) + 1 > longest:
            raise ValueError(
                f"a wrapped {type(self.network).__name__} sees {longest - 1} codes and a mark at most, got "
                f"{int(counts.max())}; ask for less"
            )
        return (torch.div(counts + _MULTIPLE, _MULTIPLE, rounding_mode="floor") * _MULTIPLE).clamp(max=longest)

    def _padded(self, own: Tensor, counts: Tensor, size: int) -> tuple[Tensor, Tensor]:
        """(input_ids, attention_mask) int64 [B, size]: rows without gaps, ended where they do not end themselves."""
        marks = self.config.marks
        ids = own.new_full((len(own), size), marks.pad)
        mask = torch.zeros_like(ids)
        for line, codes in enumerate(own):
            present = codes[codes >= 0]
            if not len(present) or int(present[-1]) != marks.end:
                present = torch.cat([present, present.new_tensor([marks.end])])
            ids[line, : len(present)], mask[line, : len(present)] = present, 1
        return ids, mask


def refuse_parts(network: nn.Module, pattern: AttentionPattern | None, taps: Sequence[Tap], cache: Any) -> None:
    """ValueError for what a network of others has not: patterns, taps, a cache."""
    if not isinstance(pattern or Full(), Full) or taps or cache is not None:
        raise ValueError(
            f"a wrapped {type(network).__name__} sees all of a row and keeps nothing of it, got {pattern}, "
            f"taps {list(taps)}; use the pattern Full and no reuse"
        )


def rows_and_columns(inputs: Batch, queries: Queries) -> tuple[Tensor, Tensor]:
    """The row and the position in it of each query, int64 [M] each."""
    _, length, levels = inputs.shape
    position = torch.div(queries.slots, levels, rounding_mode="floor")
    return torch.div(position, length, rounding_mode="floor"), position % length


def holds(codes: Range, ids: Tensor, valid: Tensor) -> Tensor:
    """bool [B, L], positions that hold a code of a range, or its MASK."""
    return valid & (ids >= codes.offset) & (ids <= codes.mask_id)


class WrappedHead(Head):
    """Hands the logits on, as float32; those of a narrower range are the first."""

    def __init__(self, layout: Layout) -> None:
        super().__init__()
        self.ranges = layout.ranges

    def forward(
        self, hidden: Tensor, heads: Tensor, embedding: Tensor, read: Reader | None = None
    ) -> tuple[RangeLogits, ...]:
        found = []
        for head in sorted(set(heads.tolist())):
            queries = (heads == head).nonzero().squeeze(1)
            logits = hidden[queries, : self.ranges[head].size].float()
            if logits.shape[1] < self.ranges[head].size:
                raise ValueError(
                    f"queries must ask a range that the network fills, got one of {self.ranges[head].stream}; give it"
                )
            group = RangeLogits(head, queries, logits)
            found.append(group if read is None else RangeLogits(head, queries, read(group)))
        return tuple(found)


class WrappedModel(MaskedModel):
    """A masked model around a network of somebody else; see :func:`tokenmask.run.wrapping.wrap`."""

    def about(self) -> dict[str, Any]:
        """Refuses: a network of somebody else is saved by its own library, or stands where it was opened from."""
        network = self.config.network  # type: ignore[attr-defined]
        how = "save it with its own save_pretrained" if hasattr(network, "save_pretrained") else "keep its folder"
        raise ValueError(
            f"a wrapped {type(network).__name__} stays in memory; {how}, and wrap it again where it is needed"
        )

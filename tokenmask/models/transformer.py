"""Transformer: the shared backbone.

Arrow: MaskedBatch --**Transformer**--> hidden vectors at the queries --> heads. Does not know: modalities, what is
hidden, losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from tokenmask.batch import Batch
from tokenmask.layout import Layout
from tokenmask.masking.masked_batch import Queries
from tokenmask.models.asked import AskedFeatures, asked_of
from tokenmask.models.attention_pattern import (
    HIDDEN_KEYS,
    MERGED,
    MERGED_PLAN,
    AttentionPattern,
    Causal,
    Full,
    GivenFirst,
    GroupCausal,
    SlotMeta,
    dense_mask,
    without_keys,
)
from tokenmask.models.backbone import AttentionTap, Backbone, BackboneConfig, Hidden, Tap
from tokenmask.models.block import Block
from tokenmask.models.cache import KVCache, Packed
from tokenmask.models.embedding import CodeEmbedding, CoordinateFeatures, PlaceTable
from tokenmask.models.joined import Joined, is_joined
from tokenmask.models.style import BlockStyle
from tokenmask.nn import Merging, Modulation, Rotary, TimeFeatures, match, neighbours, norm_of, pad_rows

MAX_WIDTH, MAX_DEPTH = 1 << 17, 1 << 12  # far beyond any model; larger numbers are mistakes, or meant to fill memory


@dataclass(frozen=True)
class TransformerConfig(BackboneConfig):
    """Shape of a :class:`~tokenmask.models.Transformer`.

    Args:
        width: D, a multiple of 64 (rows are equal in any batch where it is).
        depth: number of blocks.
        heads: attention heads; D / heads must be even.
        ffn: the feed-forward layer has about as many weights as an ungated one of ``ffn`` times the width.
        max_length: longest sequence that may be run.
        rotary_base: of the rotary frequencies.
        rotary_shares: share of a head that turns with (time, row, column).
        absolute: adds features of the absolute coordinates to the embeddings. Rotary positions are relative: a sequence
            in which everything is hidden looks the same everywhere, so what starts from nothing needs this.
        time_input: adds features of the masking time t to the embeddings.
        adaln: shifts, scales and gates every block by t (adaLN-Zero).
        shifted: a position may be asked for a slot elsewhere, and is told which: what group-causal decoding needs.
        style: how its blocks are made, where not as ours: those of Llama, Qwen or BERT.
        mixing: each block begins with a convolution over (time, row, column) of every stream, whatever the attention
            pattern, of these odd sizes (:class:`tokenmask.nn.GridConvolution`); (1, 1, 1) is none.
    """

    width: int = 256
    depth: int = 6
    heads: int = 4
    ffn: float = 4.0
    max_length: int = 4096
    rotary_base: float = 10000.0
    rotary_shares: tuple[float, float, float] = (0.5, 0.25, 0.25)
    absolute: bool = True
    time_input: bool = False
    adaln: bool = False
    shifted: bool = False
    style: BlockStyle = field(default_factory=BlockStyle)
    mixing: tuple[int, int, int] = (1, 1, 1)

    def __post_init__(self) -> None:
        if not 64 <= self.width <= MAX_WIDTH or self.width % 64:
            raise ValueError(
                f"TransformerConfig.width must be a multiple of 64 up to {MAX_WIDTH}, got {self.width}; round it"
            )
        if not 1 <= self.depth <= MAX_DEPTH or self.max_length < 1:
            raise ValueError(
                f"depth must be 1 to {MAX_DEPTH} and max_length at least 1, got {self.depth} and {self.max_length}; "
                "change model.depth or model.max_length"
            )
        if self.heads < 1 or self.heads % 1 or (self.width % (2 * self.heads) and not self.style.head_size):
            raise ValueError(
                f"width / heads must be a whole even number, got {self.width} and {self.heads}; change model.heads"
            )
        if not 0 < self.ffn <= MAX_WIDTH:
            raise ValueError(
                f"TransformerConfig.ffn must be positive and at most {MAX_WIDTH}, got {self.ffn}; 4 is usual"
            )
        if max(self.style.ffn_size, self.style.head_size * self.heads) > MAX_WIDTH:
            raise ValueError(
                f"ffn_size and head_size * heads must be at most {MAX_WIDTH}, got {self.style}; lower them"
            )
        if len(self.mixing) != 3 or not all(1 <= size <= 15 and size % 2 for size in self.mixing):
            raise ValueError(
                f"TransformerConfig.mixing must be three odd sizes up to 15, along time, row and column, got "
                f"{list(self.mixing)}; (3, 3, 3) is usual"
            )
        for name, on, why in (
            ("mixing", self.mixes and self.shifted, "shifted"),
            ("shifted", self.shifted and self.style.places != "coordinates", "style.places other than coordinates"),
            ("shifted", self.shifted and self.style.reads_before, "style.reads_before"),
            ("adaln", self.adaln and self.style.post_norm, "style.post_norm"),
        ):
            if on:
                raise ValueError(f"TransformerConfig.{name} does not go with {why}; leave one of them out")

    def build(self, layout: Layout) -> Backbone:
        return Transformer(self, layout)

    def describe(self) -> str:
        return f"width {self.width}, depth {self.depth}, {self.heads} heads"

    def kept_floats(self, positions: int) -> float:
        """What the blocks keep: counted, within 5 %."""
        return positions * self.depth * self.width * (3 + 4 / 3 * self._ffn)

    def kept_floats_in_full(self, positions: int) -> float:
        """What they keep where nothing is computed again: counted, within 6 %."""
        return positions * self.depth * self.width * (10 + 2 * self._ffn)

    @property
    def _ffn(self) -> float:
        return 1.5 * self.style.ffn_size / self.width if self.style.ffn_size else self.ffn

    @property
    def mixes(self) -> bool:
        """Whether blocks begin with a convolution."""
        return tuple(self.mixing) != (1, 1, 1)

    @property
    def head_size(self) -> int:
        """Components of a head."""
        return self.style.head_size or self.width // self.heads


class _Matched:
    """The matching of the positions that go through blocks as one, made anew where the plan says so."""

    def __init__(self, marks: Tensor, counts: Tensor, each: int) -> None:
        self._marks, self._counts, self._each = marks, counts, each
        self._last: Merging | None = None

    @classmethod
    def of(cls, inputs: Batch) -> _Matched | None:
        """None where nothing is to be merged."""
        marks, plan = inputs.features.get(MERGED), inputs.features.get(MERGED_PLAN)
        if marks is None or plan is None or not bool(plan[:, 0].any()):
            return None
        return cls(marks, plan[:, 0], int(plan[0, 1]))

    def at(self, index: int, x: Tensor) -> Merging:
        """Of block ``index``, into which x float [B, L, D] comes."""
        if self._last is None or (self._each and index % self._each == 0):
            self._last = match(x, self._marks == 1, self._marks == 2, self._counts)
        return self._last


class Transformer(Backbone):
    """Pre-norm transformer: RMSNorm, QK-norm, rotary positions over three axes, SwiGLU, optional conditioning on t.

    ``config.style`` makes it one of Llama's, Qwen's or BERT's arithmetic.

    Make it with ``tokenmask.nn.build``.

    Args:
        config: its shape.
        layout: of the ids.
    """

    def __init__(self, config: TransformerConfig, layout: Layout) -> None:
        super().__init__()
        self.config = config
        self.layout = layout
        self.embedding = CodeEmbedding(layout, config.width)
        self.absolute = CoordinateFeatures(config.width) if config.absolute else None
        self.asked = AskedFeatures(layout, config.width) if config.shifted else None
        self.time = TimeFeatures(config.width) if config.time_input or config.adaln else None
        style = config.style
        self.places = PlaceTable(config.max_length, config.width) if style.places == "table" else None
        self.embedding_norm = norm_of(style.norm, config.width, style.norm_eps) if style.post_norm else None
        shares = config.rotary_shares if style.places == "coordinates" else (1.0,)
        self.rotary = Rotary(config.head_size, shares, config.rotary_base)
        shape = (config.width, config.heads, config.ffn, config.depth, config.adaln, style)
        mixing = config.mixing if config.mixes else None
        blocks = [Block(*shape, mixing=mixing) for _ in range(config.depth)]
        self.blocks: Sequence[Block] = nn.ModuleList(blocks)  # type: ignore[assignment]
        self.norm = None if style.post_norm else norm_of(style.norm, config.width, style.norm_eps)
        self.modulation = Modulation(config.width, 2) if config.adaln else None

    @property
    def table(self) -> Tensor:
        """Of the embedding."""
        return self.embedding.table

    @property
    def reads_time(self) -> bool:
        """With ``time_input`` or ``adaln``."""
        return self.time is not None

    @property
    def asks_elsewhere(self) -> bool:
        """With ``shifted``."""
        return self.asked is not None

    @property
    def hides_keys(self) -> bool:
        """Always."""
        return True

    @property
    def merges(self) -> bool:
        """Unless it asks elsewhere (``shifted``) or reads before."""
        return self.asked is None and not self.config.style.reads_before

    @property
    def joins(self) -> bool:
        """Always."""
        return True

    @property
    def answers_before(self) -> bool:
        """By ``style.reads_before``."""
        return self.config.style.reads_before

    @property
    def row_multiple(self) -> int:
        """16, since its products are of as many rows as they need (:func:`tokenmask.nn.linear`)."""
        return 16

    @property
    def sometimes_unused(self) -> bool:
        """Layers that join the levels of a stream, or ask from other places, where a batch lacks these."""
        return len(self.embedding.fusions) > 0 or self.asked is not None

    def parts(self) -> Sequence[nn.Module]:
        """The blocks."""
        return self.blocks

    def recompute(self, on: bool) -> None:
        for block in self.blocks:
            block.feed_forward.spares = on

    def empty_cache(self, rows: int, slots: int) -> KVCache:
        config = self.config
        if config.mixes:
            raise ValueError(
                "a Transformer whose blocks begin with a convolution (model.mixing) keeps no keys and values, since "
                "steps that run some positions would lack their neighbours; set sampler.reuse to NoReuse"
            )
        return KVCache.empty(config.depth, config.heads, config.head_size, rows, slots, self.table.detach())

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
        """Args:
            inputs: what is seen.
            queries: slots that are asked for; their hidden vector is read at the slot's own position. With
                ``config.shifted`` that position may be asked for a slot elsewhere, at ``queries.coordinates``: it looks
                from there (its queries turn by the place asked for, its keys by its own) and is told the way and the
                range.
            pattern: who may look at whom; Full() if None.
            group: int32 [B, L], for patterns that use it.
            t: float32 [B], the masking time; needed with ``time_input`` or ``adaln``.
            taps: "layer.{i}" for the output of block i, float [B, L, D], or an :class:`AttentionTap`.
            cache: is filled with the keys and values of every valid position, in order.

        Raises:
            ValueError: too long a sequence, a missing t, an unknown tap, or what joined rows don't go with.
        """
        rows, length, levels = inputs.shape
        if length > self.config.max_length:
            raise ValueError(
                f"sequences must have at most max_length {self.config.max_length} positions, got {length}; "
                "raise model.max_length, or lower packing.max_positions"
            )
        positions = torch.div(queries.slots, levels, rounding_mode="floor")
        states, probabilities = self._wanted(taps)
        meta, ids, pattern = SlotMeta.of(inputs, group), inputs.ids, pattern or Full()
        joins, before, joined = is_joined(inputs, taps, cache), self.config.style.reads_before, None
        mask = dense_mask(pattern, meta) if before or not joins else None
        if before:
            positions = _before(positions, mask, length)
        row = torch.div(positions, length, rounding_mode="floor")
        if joins:
            joined = Joined.of(meta, positions, pattern, self.config.heads * self.config.head_size)
            meta, ids, positions = joined.meta, joined.take(ids), joined.place[positions]
        rotary = self._turn(meta)
        query_rotary = None
        x = self._embedded(ids, meta.stream, meta.position)
        if self.absolute is not None:
            x = x + self.absolute(meta.coordinates)
        if queries.coordinates is not None and self.asked is not None:
            place, head = asked_of(queries.coordinates, queries.heads, positions, meta.coordinates)
            x = x + self.asked(place - meta.coordinates, head)
            query_rotary = self.rotary(place)
        condition = self._condition(t)
        if self.config.time_input and condition is not None:
            x = x + (condition[:rows, None] if joined is None else joined.segments.of_each(condition))
        tapped: dict[str, Tensor] = {}
        hidden = inputs.features.get(HIDDEN_KEYS)
        matched = _Matched.of(inputs)
        near = None
        if self.config.mixes:
            if isinstance(pattern, Causal | GroupCausal | GivenFirst):
                raise ValueError(
                    f"model.mixing joins neighbours whatever may be seen, so it does not go with {pattern}; set one of "
                    "pattern and model.mixing otherwise"
                )
            near = neighbours(inputs.coordinates, inputs.stream, inputs.valid, self.config.mixing)
            near = near if joined is None else joined.near(near)
        for index, block in enumerate(self.blocks):
            x = block.mixed(x, near)
            sees = mask if hidden is None else without_keys(mask, hidden[:, index])
            for tap in probabilities.get(index, ()):
                columns = tap.columns_of(rows, x.device)
                seen = block.attention_input(x, condition)
                tapped[tap.name] = block.attention.probabilities(seen, rotary, sees, columns, query_rotary)
            store = None if cache is None else cache.store_of(index, inputs.valid)
            merging = None if matched is None else matched.at(index, x)
            shown = sees if joined is None else joined.segments
            x = block(x, rotary, shown, condition, query_rotary, store, merging)
            if index in states:
                tapped[f"layer.{index}"] = x
        return Hidden(self._read(x.flatten(0, 1)[positions], row, condition, rows), tapped)

    def extend(
        self,
        new: Packed,
        queries: Queries,
        cache: KVCache,
        pattern: AttentionPattern | None = None,
        *,
        t: Tensor | None = None,
    ) -> Hidden:
        """Runs some positions only; they see each other and what the cache holds. No gradient.

        Args:
            new: the positions; their keys and values go into the cache, in place.
            queries: slots of ``new``, flattened [M * K], that are asked for; their hidden vector is read there, with
                ``style.reads_before`` too, so that the position before a code is named for it.
            cache: what is kept of the rows, after :meth:`KVCache.admit` of the same positions.
            pattern: who may look at whom; Full() if None.
            t: float32 [B], the masking time; needed with ``time_input`` or ``adaln``.

        Raises:
            ValueError: a missing t.
        """
        levels, rows = new.ids.shape[1], cache.lengths.shape[0]
        row = pad_rows(new.row)
        rotary, query_rotary = self._turn(new.meta), None
        if rotary is None:  # the kernel always turns: by nothing
            sines = torch.zeros(len(new), self.config.head_size, device=row.device)
            rotary = (sines + 1, sines)
        x = self._embedded(new.ids[None], new.stream[None], new.meta.position[None])
        if self.absolute is not None:
            x = x + self.absolute(new.coordinates[None])
        if new.asked is not None and self.asked is not None:
            x = x + self.asked((new.asked - new.coordinates)[None], new.asked_heads[None])
            query_rotary = self.rotary(new.asked)
        x = pad_rows(x[0])
        condition = self._condition(t)
        if self.config.time_input and condition is not None:
            x = x + condition[row]
        allowed = cache.allowed(pattern or Full(), new)
        for index, block in enumerate(self.blocks):
            keys, values = cache.keys[index], cache.values[index]
            into = (rotary, query_rotary, new.row_splits, new.slots, keys, values, cache.lengths, allowed)
            x = block.extend(x, lambda seen, b=block, i=into: b.attention.extend(seen, *i), condition, row, rows)  # type: ignore[misc]
        positions = torch.div(queries.slots, levels, rounding_mode="floor")
        return Hidden(self._read(x[positions], new.row[positions], condition, rows))

    def _embedded(self, ids: Tensor, stream: Tensor, position: Tensor) -> Tensor:
        """Codes, and what ``places`` adds to them, normalised with ``post_norm``: float [B, L, D]."""
        x: Tensor = self.embedding(ids, stream)
        if self.places is not None:
            x = x + self.places(position)
        return x if self.embedding_norm is None else self.embedding_norm(x)

    def _turn(self, meta: SlotMeta) -> tuple[Tensor, Tensor] | None:
        """Cosines and sines of positions."""
        if self.config.style.places == "table":
            return None
        by_order = self.config.style.places == "order"
        turn: tuple[Tensor, Tensor] = self.rotary(meta.position[..., None] if by_order else meta.coordinates)
        return turn

    def _read(self, asked: Tensor, row: Tensor, condition: Tensor | None, rows: int) -> Tensor:
        """The vectors that are asked for, normalised: float [M, D]."""
        normed = asked if self.norm is None else self.norm(pad_rows(asked))
        if self.modulation is not None and condition is not None:
            shift, scale = self.modulation(condition, rows)
            row = pad_rows(row)
            normed = normed * (1 + scale[row, 0]) + shift[row, 0]
        return normed[: len(asked)]

    def _condition(self, t: Tensor | None) -> Tensor | None:
        if self.time is None:
            return None
        if t is None:
            raise ValueError(
                "this model was made with time_input or adaln and needs the masking time t, got None; pass t"
            )
        return self.time(t)  # type: ignore[no-any-return]

    def _wanted(self, taps: Sequence[Tap]) -> tuple[set[int], dict[int, list[AttentionTap]]]:
        names = {f"layer.{index}": index for index in range(self.config.depth)}
        states: set[int] = set()
        probabilities: dict[int, list[AttentionTap]] = {}
        for tap in taps:
            if isinstance(tap, AttentionTap) and 0 <= tap.layer < self.config.depth:
                probabilities.setdefault(tap.layer, []).append(tap)
            elif isinstance(tap, str) and tap in names:
                states.add(names[tap])
            else:
                raise ValueError(
                    f"taps name layers 0..{self.config.depth - 1}, for example 'layer.0', got {tap!r}; "
                    "name one of these"
                )
        return states, probabilities


def _before(positions: Tensor, mask: Tensor | None, length: int) -> Tensor:
    """int64 [M], the position before each, of B * L, or itself where it is the first or may not see that one."""
    column = positions % length
    sees = column > 0
    if mask is not None:
        row = torch.div(positions, length, rounding_mode="floor")
        sees = sees & mask.expand(-1, 1, length, length)[row, 0, column, (column - 1).clamp(min=0)]
    return torch.where(sees, positions - 1, positions)

"""Backbone: what turns a batch with hidden slots into vectors at the slots that are asked for.

Arrow: MaskedBatch --**Backbone**--> hidden vectors at the queries --> Head. Does not know: what is hidden, losses, how
vectors become logits, modalities.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from tokenmask.batch import Batch
from tokenmask.layout import Layout
from tokenmask.masking.masked_batch import Queries
from tokenmask.models.attention_pattern import AttentionPattern
from tokenmask.models.cache import KVCache, Packed
from tokenmask.models.heads import HeadConfig
from tokenmask.models.range_heads import RangeHeadsConfig


@dataclass(frozen=True, eq=False)
class AttentionTap:
    """Asks for attention probabilities, float32 [B, H, L, C]; 0 in a column that a row does not have.

    Args:
        layer: number of the block, from 0.
        columns: key positions: the same for all rows, or int64 [R, C], a line for each row and -1 behind its last;
            where a step runs R rows several times, as guidance does, the lines begin again.
        label: key of the result; "attention.{layer}" if empty.
    """

    layer: int
    columns: tuple[int, ...] | Tensor
    label: str = ""

    @property
    def name(self) -> str:
        """Key of the result."""
        return self.label or f"attention.{self.layer}"

    def columns_of(self, rows: int, device: torch.device) -> Tensor:
        """int64 [C], or [B, C] where rows have columns of their own.

        Raises:
            ValueError: lines that do not go into the number of rows.
        """
        if isinstance(self.columns, tuple):
            return torch.tensor(self.columns, device=device)
        if self.columns.dim() != 2 or not len(self.columns) or rows % len(self.columns):
            raise ValueError(
                "AttentionTap.columns must have a line for each row, int64 [R, C], "
                f"got {list(self.columns.shape)} for {rows} rows; "
                "give a line for each row, or the same columns for all as a tuple"
            )
        return self.columns.to(device).repeat(rows // len(self.columns), 1)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, AttentionTap) or (self.layer, self.name) != (other.layer, other.name):
            return False
        ours, theirs = self.columns, other.columns
        if isinstance(ours, tuple) or isinstance(theirs, tuple):
            return type(ours) is type(theirs) and ours == theirs
        return torch.equal(ours, theirs)

    def __hash__(self) -> int:
        return hash((self.layer, self.name))


Tap = str | AttentionTap


@dataclass(frozen=True, eq=False)
class Hidden:
    """What a backbone returns.

    Args:
        queries: float [M, D], normalised, the position of each query.
        taps: what was asked for besides, by name.
    """

    queries: Tensor
    taps: dict[str, Tensor] = field(default_factory=dict)


class Backbone(nn.Module, ABC):
    """Base: the network of a model, made by its config on the meta device and filled by ``tokenmask.nn.build``.

    What must hold: the vector of a query is finite and that of its row alone, to rounding, whatever other rows and
    invalid positions stand in the batch; a position sees no other than the pattern allows; what can't be done with a
    pattern, a tap or a cache is refused with a ValueError, never left out; nothing is drawn. Parts whose tensors follow
    from the layout say so by ``layout_rows`` (:class:`tokenmask.models.layout_rows.FollowsLayout`), as
    :class:`tokenmask.models.CodeEmbedding` does.
    """

    @property
    @abstractmethod
    def table(self) -> Tensor:
        """float [num_ids, D], the rows of the ids, with which tied heads score codes."""

    @property
    def width(self) -> int:
        """D of the vectors at the queries."""
        return self.table.shape[1]

    @property
    def reads_time(self) -> bool:
        """Whether ``t`` changes what is returned; it must then be given."""
        return False

    @property
    def asks_elsewhere(self) -> bool:
        """Whether a position may be asked for a slot at another place (``queries.coordinates``).

        A model whose backbone says no refuses such queries itself.
        """
        return False

    @property
    def hides_keys(self) -> bool:
        """Whether it obeys the feature "hidden_keys" of its inputs: bool [B, layers, H, L], keys that nobody looks at.

        A position that could see nothing else sees itself. For interventions; a backbone that says no ignores it.
        """
        return False

    @property
    def merges(self) -> bool:
        """Whether it obeys the features "merged" and "merged_plan" of its inputs: which positions are run as one.

        "merged" is int8 [B, L]: 1 may go on in another one, 2 is kept for others, 0 stays alone. "merged_plan" is int64
        [B, 2]: how many positions of the row go, and how many blocks share a matching (0: all; alike in all rows). For
        interventions; a backbone that says no ignores them.
        """
        return False

    @property
    def joins(self) -> bool:
        """Whether it obeys the feature "joined" of its inputs: bool [B], alike in all rows.

        The valid positions of all rows, and those that are asked, are then run one behind the other as one row, without
        padding: the vectors and gradients are the same to rounding. A backbone that says no ignores it.
        """
        return False

    @property
    def reads_before_only(self) -> bool:
        """Whether a code is answered from those before it alone, so that known codes may all be asked at once."""
        return False

    @property
    def answers_before(self) -> bool:
        """Whether a code is answered at the position before it, so that under ``Causal`` it may itself be known."""
        return False

    @property
    def row_multiple(self) -> int:
        """Positions: a row padded to a multiple of them has the same vectors, bit for bit, in any batch (float32, CPU).

        Products of another number of rows may round differently; a backbone that sees to that itself may say less.
        """
        return 64

    @property
    def sometimes_unused(self) -> bool:
        """Whether a batch may leave a parameter without a gradient, which several processes must know."""
        return True

    def parts(self) -> Sequence[nn.Module]:
        """The parts that run one after the other and hold most of the weights; none here.

        Several processes share the weights out part by part (``training.sharding: full``), and Muon takes their
        matrices.
        """
        return ()

    def recompute(self, on: bool) -> None:
        """Computes wide products again in the backward pass instead of keeping them; the same weights bit for bit.

        Raises:
            ValueError: this backbone can't; that is so unless a subclass says otherwise.
        """
        if on:
            raise ValueError(
                f"training.recompute needs a backbone that can compute its products again, but {type(self).__name__} "
                "can't; leave it false"
            )

    @abstractmethod
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
        queries: slots that are asked for; their vector is that of the slot's position.
        pattern: who may look at whom; Full() if None.
        group: int32 [B, L], for patterns that use it.
        t: float32 [B], the masking time.
        taps: what else to return, see :class:`AttentionTap`.
        cache: of :meth:`empty_cache`; is filled with what is kept of every valid position, in order.
        """

    def empty_cache(self, rows: int, slots: int) -> KVCache:
        """Room for what is kept of ``slots`` positions in each of ``rows`` rows, with the dtype and device of weights.

        Raises:
            ValueError: nothing is kept; that is so unless a subclass says otherwise, and then :meth:`extend` too.
        """
        raise ValueError(
            f"{type(self).__name__} keeps no keys and values of positions, so every step must run all of them; "
            "set sampler.reuse to NoReuse"
        )

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
            new: the positions; what is kept of them goes into the cache, in place.
            queries: slots of ``new``, flattened [M * K], that are asked for: read there, where ``answers_before`` too.
            cache: of the rows, after :meth:`KVCache.admit` of the same positions.
            pattern: who may look at whom; Full() if None.
            t: float32 [B], the masking time.
        """
        raise ValueError(
            f"{type(self).__name__} keeps nothing of positions, so it can't run some of them alone; "
            "run all of them, with sampler.reuse NoReuse"
        )


class BackboneConfig(ABC):
    """Base: the shape of a model; a frozen dataclass, named by recipes and saved models, that makes the network.

    Two networks of one config and one layout have tensors of the same names and shapes.
    """

    @abstractmethod
    def build(self, layout: Layout) -> Backbone:
        """A network for the ids of a layout, without values yet: is called inside ``tokenmask.nn.build``."""

    def default_head(self) -> HeadConfig:
        """The head of models that name none; where one is named, that one counts."""
        return RangeHeadsConfig()

    def describe(self) -> str:
        """Its shape in a few words, for people."""
        return type(self).__name__

    def kept_floats(self, positions: int) -> float | None:
        """About how many float32 values are kept of that many positions for the backward pass; None: not known."""
        return None

    def kept_floats_in_full(self, positions: int) -> float | None:
        """The same within :func:`tokenmask.nn.keeping`, where nothing is computed again; None: not known."""
        return None

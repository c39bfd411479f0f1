"""Reuse: which keys and values stay valid between the steps of a generation, and whether that is exact.

Arrow: inside the Sampler loop, SamplerState --**Reuse.score**--> logits of the slots that a step asks for. Does not
know: codes, orders, how many slots a step reveals. A policy owns the cache that the state carries for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from tokenmask.batch import ABSENT, FILL, Batch
from tokenmask.layout import Layout
from tokenmask.masking.masked_batch import Queries
from tokenmask.masking.scores import Score, ScoreContext
from tokenmask.models.attention_pattern import AttentionPattern, Full, GroupCausal, SlotMeta
from tokenmask.models.cache import KVCache, Packed, splits
from tokenmask.models.heads import RangeLogits
from tokenmask.models.masked_model import MaskedModel
from tokenmask.ops.choose import best_first


class Cache(Protocol):
    """What a policy keeps between steps."""

    @property
    def num_rows(self) -> int:
        """Rows that it holds; a guided generation keeps each row twice."""
        ...

    def rows(self, index: Tensor) -> Cache:
        """The rows at int64 ``index`` [N], copied."""
        ...


@dataclass(frozen=True, eq=False)
class ReuseStep:
    """What a step of the sampler asks.

    Args:
        inputs: all rows as they stand; a guided step has each row twice.
        queries: slots whose codes are to be scored.
        t: float32 [B], the masking time.
        order: float32 [B, L, K], the score by which the asked slots were chosen; None unless the policy is
            ``order_first``.
        fresh: bool [B, L], the positions that a cheap step computes anew; None in a full step.
        keep: cheap steps follow this full one.
        group: int32 [B, L], what attention patterns know as the group; None means 0.
    """

    inputs: Batch
    queries: Queries
    t: Tensor
    order: Tensor | None = None
    fresh: Tensor | None = None
    keep: bool = False
    group: Tensor | None = None

    def packed(self, chosen: Tensor, slots: Tensor) -> Packed:
        """The chosen positions, as :meth:`Packed.of`, with their groups."""
        new = Packed.of(self.inputs, chosen, slots)
        if self.group is None:
            return new
        return replace(new, meta=replace(new.meta, group=self.group[chosen]))


@dataclass(frozen=True, eq=False)
class Scored:
    """Logits of a step.

    Args:
        groups: as :meth:`MaskedModel.logits` gives them.
        cache: for the next step.
        computed: positions that went through the model, padding included where there was any.
        passes: times the model was run.
    """

    groups: tuple[RangeLogits, ...]
    cache: Any
    computed: int
    passes: int = 1


class Reuse(ABC):
    """Base of all policies.

    Class attributes:
        exact: logits equal those of the model without reuse (to rounding).
        keeps: something is kept from step to step, so that a generation of which any step is guided must be so in all.
        order_first: slots are chosen before their codes are scored, so that only these are asked; the order may then
            not read predictions.
    """

    exact: ClassVar[bool] = True
    keeps: ClassVar[bool] = True
    order_first: ClassVar[bool] = False

    def inner(self, steps: int) -> list[int]:
        """The last step of the inner run that each step of a stage belongs to; the first one of a run is full."""
        return list(range(steps))

    def settles(self, context: ScoreContext) -> Tensor | None:
        """The score, float32 [B, L, K], by which a full step settles the slots that it and its cheap steps reveal.

        None: as the order ranks them once their codes are scored.
        """
        return None

    def follows(self, ranks: Tensor) -> Tensor | None:
        """The score by which cheap steps reveal what was settled; None: by their own predictions."""
        return ranks

    def fresh(self, chosen: Tensor, is_open: Tensor, inputs: Batch) -> Tensor:
        """bool [B, L], the positions that cheap steps run.

        Args:
            chosen: bool [B, L, K], the settled slots.
            is_open: bool [B, L, K], all open ones.
            inputs: the rows.
        """
        return (chosen.any(-1) | (inputs.stream < 0)) & inputs.valid

    @abstractmethod
    def score(self, model: MaskedModel, step: ReuseStep, cache: Any) -> Scored:
        """Scores the queries of a step; ``cache`` is None at the start of a generation or of another model's stage."""


@dataclass(frozen=True)
class NoReuse(Reuse):
    """Every step runs every position."""

    keeps: ClassVar[bool] = False

    def score(self, model: MaskedModel, step: ReuseStep, cache: Any) -> Scored:
        groups = tuple(model.logits(step.inputs, step.queries, t=step.t, group=step.group))
        return Scored(groups, None, step.inputs.shape[0] * step.inputs.shape[1])


@dataclass(frozen=True, eq=False)
class KeyValues:
    """The cache of policies that keep keys and values and nothing else."""

    kv: KVCache

    @property
    def num_rows(self) -> int:
        """B."""
        return self.kv.lengths.shape[0]

    def rows(self, index: Tensor) -> KeyValues:
        """The rows at int64 ``index`` [N], copied."""
        return KeyValues(self.kv.rows(index))


@dataclass(frozen=True)
class PrefixReuse(Reuse):
    """What is given is run once; each step runs the positions that are filled, over the kept keys and values.

    Exact, because it is refused unless the model's pattern keeps what is given from looking at what is filled:
    ``GivenFirst``, or ``Causal`` where everything given is packed first. Exact also asks that nothing else of a
    position changes, so a model that is told the masking time is refused.
    """

    def score(self, model: MaskedModel, step: ReuseStep, cache: KeyValues | None) -> Scored:
        inputs, computed = step.inputs, 0
        filled = (inputs.role == FILL).any(-1) & inputs.valid
        given = inputs.valid & ~filled
        slots = torch.where(given, given.cumsum(1), given.sum(1, keepdim=True) + filled.cumsum(1)) - 1
        if cache is None:
            self._check(model, inputs)
            kv = _empty(model, inputs, int(inputs.valid.sum(1).max()))
            kv, computed = _note(model, Packed.of(inputs, given, slots), kv, model.pattern)
            cache = KeyValues(kv)
        new = step.packed(filled, slots)
        kv = cache.kv.admit(new)
        groups = model.extend(new, _queries_among(new, step, filled), kv, t=step.t)
        return Scored(groups, KeyValues(kv), computed + len(new))

    @staticmethod
    def _check(model: MaskedModel, inputs: Batch) -> None:
        if model.config.time_input or model.config.adaln:
            raise ValueError(
                "PrefixReuse keeps what is given, but this model is told the masking time (time_input, adaln), which "
                "changes it in every step; use StaleReuse or NoReuse"
            )
        meta = SlotMeta.of(inputs)
        sees = model.pattern.allows(meta[:, :, None], meta[:, None, :]) & ~meta.filled[:, :, None]
        later = replace(meta, group=meta.group + 1)  # as in the stage of another level
        if not torch.equal(sees, model.pattern.allows(later[:, :, None], later[:, None, :]) & ~meta.filled[:, :, None]):
            raise ValueError(
                "PrefixReuse keeps what is given, so what a given position sees must not change with the level that is "
                f"filled, but it does with the pattern {model.pattern}; use StaleReuse or NoReuse"
            )
        if bool((sees & (meta.filled & meta.valid)[:, None, :] & meta.valid[:, :, None]).any()):
            raise ValueError(
                "PrefixReuse needs a pattern in which given positions never look at filled ones (GivenFirst; Causal "
                f"where all that is given comes first), got {model.pattern}; use StaleReuse or NoReuse"
            )


@dataclass(frozen=True)
class StaleReuse(Reuse):
    """Full steps keep all keys and values; cheap steps between them run a few positions anew over the stale rest.

    A full step settles the slots U that it and its cheap steps reveal, as the order ranks them; a cheap step draws the
    next of them from logits that know the codes drawn since. Approximate: everything outside U is as the last full
    step saw it. ``sampling.drift`` measures what that costs. Source: ReCAP, arXiv:2505.19089, section 4; with
    ``where`` a raster of blocks, ``reorder`` and ``recompute`` "chosen" it is the dual cache of Fast-dLLM,
    arXiv:2505.22618, section 3.2, with "open" its prefix cache.

    Args:
        pre_full: the first steps of a stage are full ones without cheap ones.
        n_local: cheap steps after each later full step.
        where: the score that settles U, where it is not the order's own ranking.
        reorder: cheap steps rank what is left of U by their own predictions.
        recompute: "chosen" runs the positions of U and the controls, "open" also every position that is still open.
    """

    pre_full: int = 0
    n_local: int = 1
    where: Score | None = None
    reorder: bool = False
    recompute: Literal["chosen", "open"] = "chosen"
    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        if self.pre_full < 0 or self.n_local < 0:
            raise ValueError(f"StaleReuse counts steps, so neither may be negative, got {self}")
        if self.where is not None and self.where.reads_predictions:
            raise ValueError(f"StaleReuse.where must not read predictions, like RasterScore, got {self.where}")

    def inner(self, steps: int) -> list[int]:
        """As many single steps as ``pre_full``, then runs of 1 + ``n_local``."""
        last: list[int] = []
        while len(last) < steps:
            run = 1 if len(last) < self.pre_full else min(1 + self.n_local, steps - len(last))
            last += [len(last) + run - 1] * run
        return last

    def settles(self, context: ScoreContext) -> Tensor | None:
        return None if self.where is None else self.where(context)

    def follows(self, ranks: Tensor) -> Tensor | None:
        return None if self.reorder else ranks

    def fresh(self, chosen: Tensor, is_open: Tensor, inputs: Batch) -> Tensor:
        return super().fresh(chosen | is_open if self.recompute == "open" else chosen, is_open, inputs)

    def score(self, model: MaskedModel, step: ReuseStep, cache: KeyValues | None) -> Scored:
        inputs = step.inputs
        if step.fresh is None or cache is None:
            everything = inputs.shape[0] * inputs.shape[1]
            if not step.keep:
                return Scored(tuple(model.logits(inputs, step.queries, t=step.t, group=step.group)), None, everything)
            kv = _empty(model, inputs, inputs.shape[1])
            kv = kv.admit(step.packed(inputs.valid, inputs.valid.cumsum(1) - 1))
            return Scored(
                model.logits(inputs, step.queries, cache=kv, t=step.t, group=step.group), KeyValues(kv), everything
            )
        new = step.packed(step.fresh, inputs.valid.cumsum(1) - 1)
        groups = model.extend(new, _queries_among(new, step, step.fresh), cache.kv, t=step.t)
        return Scored(groups, cache, len(new))


@dataclass(frozen=True, eq=False)
class GroupCache:
    """Keys and values, and the slots revealed last, whose codes no position has been given yet.

    Args:
        kv: of everything that was run.
        pending: int64 [B, n], slots of each row in the order of their ranks; -1 behind the last.
    """

    kv: KVCache
    pending: Tensor

    @property
    def num_rows(self) -> int:
        """B."""
        return self.pending.shape[0]

    def rows(self, index: Tensor) -> GroupCache:
        """The rows at int64 ``index`` [N], copied."""
        return GroupCache(self.kv.rows(index), self.pending[index])


@dataclass(frozen=True)
class GroupCausalReuse(Reuse):
    """Every slot goes through the model once in a whole generation.

    The slots of a step are a group. A step runs one position for each of its slots: it carries a code of the group
    before it, or a mask where that group was smaller, is asked for the slot, and sees all groups so far and its own.
    ``masking.GroupChain`` builds the same as one sequence, in which the model is trained and judged; logits are equal,
    so the policy is exact for a model whose pattern is ``GroupCausal``. Source: M2T, arXiv:2304.07313, section 4.2.

    The order may not read predictions: random, raster and low-discrepancy orders. The masking time is 1 throughout.
    """

    order_first: ClassVar[bool] = True

    def score(self, model: MaskedModel, step: ReuseStep, cache: GroupCache | None) -> Scored:
        inputs, computed, passes = step.inputs, 0, 1
        if cache is None:
            self._check(model)
            known = known_positions(inputs, model.layout)
            new = Packed.of(inputs, known, known.cumsum(1) - 1)
            kv = _empty(model, inputs, int(known.sum(1).max()) + int((inputs.role == FILL).sum((1, 2)).max()))
            kv, computed = _note(model, new, kv, Full())
            cache = GroupCache(kv, torch.empty(inputs.shape[0], 0, dtype=torch.int64, device=inputs.device))
        if not len(step.queries):
            return Scored((), cache, computed, 0)
        targets = _ranked(step)
        new, mine = self._group(step, cache, targets, model.layout)
        kv = cache.kv.reserve(int((cache.kv.lengths + new.row_splits.diff()).max())).admit(new)
        groups = model.extend(new, mine.queries, kv, Full(), t=torch.ones_like(step.t))
        answered = torch.searchsorted(step.queries.slots, mine.asked)
        groups = tuple(replace_queries(group, answered[group.queries]) for group in groups)
        width = max(cache.pending.shape[1], targets.shape[1])
        revealed = (targets >= 0).any(1, keepdim=True)
        pending = torch.where(revealed, _widen(targets, width), _widen(cache.pending, width))
        return Scored(groups, GroupCache(kv, pending), computed + len(new), passes)

    @staticmethod
    def _check(model: MaskedModel) -> None:
        if not isinstance(model.pattern, GroupCausal) or not model.config.shifted:
            raise ValueError(
                "GroupCausalReuse needs a model with the pattern GroupCausal and model.shifted, trained on "
                f"masker.chain, got {model.pattern} and shifted={model.config.shifted}; use another reuse"
            )

    @staticmethod
    def _group(step: ReuseStep, cache: GroupCache, targets: Tensor, layout: Layout) -> tuple[Packed, _Mine]:
        """The positions that this step runs, and which of the step's queries each one answers."""
        inputs = step.inputs
        rows, length, levels = inputs.shape
        width = max(cache.pending.shape[1], targets.shape[1])
        target = _widen(targets, width)
        source = torch.where((target >= 0).any(1, keepdim=True), _widen(cache.pending, width), -1)
        present = (source >= 0) | (target >= 0)
        row = present.nonzero(as_tuple=True)[0]
        source, target = source[present], target[present]
        position = torch.div(torch.where(source >= 0, source, target), levels, rounding_mode="floor")
        is_asked = target >= 0
        asked_position = torch.where(is_asked, torch.div(target, levels, rounding_mode="floor"), position)
        asked_ids = inputs.ids.view(rows, -1)[row, target.clamp(min=0)]
        counts = present.sum(1)
        row_splits = splits(counts)
        slot = cache.kv.lengths[row] + torch.arange(len(row), device=row.device) - row_splits[row]
        new = Packed(
            ids=inputs.ids[row, position],
            meta=SlotMeta.of(inputs)[row, position],
            slots=slot,
            row=row,
            row_splits=row_splits,
            asked=inputs.coordinates[row, asked_position],
            asked_heads=torch.where(is_asked, layout.head_of(asked_ids), -1),
        )
        number = is_asked.nonzero().squeeze(1)
        queries = Queries(number * levels + target[number] % levels, new.asked_heads[number])
        return new, _Mine(queries, (row * (length * levels) + target)[number])


@dataclass(frozen=True, eq=False)
class _Mine:
    """Queries of packed positions, and the slots of the inputs that they ask for."""

    queries: Queries
    asked: Tensor


def known_positions(inputs: Batch, layout: Layout) -> Tensor:
    """bool [B, L], valid positions at least one slot of which is not hidden."""
    hidden = (inputs.role == FILL) & (inputs.ids == layout.mask_of(inputs.ids))
    return inputs.valid & ((inputs.role != ABSENT) & ~hidden).any(-1)


def replace_queries(group: RangeLogits, queries: Tensor) -> RangeLogits:
    """The same logits as answers to other query numbers."""
    return RangeLogits(group.head, queries, group.logits)


def _empty(model: MaskedModel, inputs: Batch, slots: int) -> KVCache:
    return KVCache.empty(model.config, inputs.shape[0], slots, model.backbone.embedding.table.detach())


def _note(model: MaskedModel, new: Packed, kv: KVCache, pattern: AttentionPattern) -> tuple[KVCache, int]:
    """Runs positions for their keys and values alone, and says how many there were."""
    kv = kv.admit(new)
    none = torch.zeros(0, dtype=torch.int64, device=new.row.device)
    t = torch.ones(kv.lengths.shape[0], device=new.row.device)
    model.extend(new, Queries(none, none), kv, pattern, t=t)
    return kv, len(new)


def _queries_among(new: Packed, step: ReuseStep, chosen: Tensor) -> Queries:
    """The step's queries as slots of packed positions, every one of which must have been packed."""
    levels = step.inputs.shape[2]
    number = (chosen.flatten().cumsum(0) - 1)[torch.div(step.queries.slots, levels, rounding_mode="floor")]
    return Queries(number * levels + step.queries.slots % levels, step.queries.heads)


def _ranked(step: ReuseStep) -> Tensor:
    """int64 [B, m], the asked slots of each row, best first; -1 behind the last."""
    assert step.order is not None
    rows = step.inputs.shape[0]
    asked = torch.zeros(step.inputs.ids.numel(), dtype=torch.bool, device=step.inputs.device)
    asked[step.queries.slots] = True
    asked = asked.view(rows, -1)
    count = asked.sum(1)
    most = int(count.max())
    ranked = best_first(step.order.view(rows, -1), asked)[:, :most]
    return torch.where(torch.arange(most, device=ranked.device) < count[:, None], ranked, -1)


def _widen(slots: Tensor, width: int) -> Tensor:
    return F.pad(slots, (0, width - slots.shape[1]), value=-1)

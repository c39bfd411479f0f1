"""GroupCausalReuse: every slot goes through the model once. See policy.py for the contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from tokenmask.batch import ABSENT, FILL, Batch
from tokenmask.layout import Layout
from tokenmask.masking import Queries
from tokenmask.models import Full, GroupCausal, KVCache, MaskedModel, Packed, RangeLogits, SlotMeta
from tokenmask.models.cache import splits
from tokenmask.ops.choose import best_first
from tokenmask.sampling.reuse.key_values import empty_cache, note
from tokenmask.sampling.reuse.policy import Reuse, ReuseStep, Scored


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
            kv = empty_cache(model, inputs, int(known.sum(1).max()) + int((inputs.role == FILL).sum((1, 2)).max()))
            kv, computed = note(model, new, kv, Full())
            cache = GroupCache(kv, torch.empty(inputs.shape[0], 0, dtype=torch.int64, device=inputs.device))
        if not len(step.queries):
            return Scored((), cache, computed, 0)
        targets = _ranked(step)
        new, mine = self._group(step, cache, targets, model.layout)
        kv = cache.kv.reserve(int((cache.kv.lengths + new.row_splits.diff()).max())).admit(new)
        groups = model.extend(new, mine.queries, kv, Full(), t=torch.ones_like(step.t))
        answered = torch.searchsorted(step.queries.slots, mine.asked)
        groups = tuple(_replace_queries(group, answered[group.queries]) for group in groups)
        width = max(cache.pending.shape[1], targets.shape[1])
        revealed = (targets >= 0).any(1, keepdim=True)
        pending = torch.where(revealed, _widen(targets, width), _widen(cache.pending, width))
        return Scored(groups, GroupCache(kv, pending), computed + len(new), passes)

    @staticmethod
    def _check(model: MaskedModel) -> None:
        if not isinstance(model.pattern, GroupCausal) or not model.backbone.asks_elsewhere:
            raise ValueError(
                "GroupCausalReuse needs a model with the pattern GroupCausal and model.shifted, trained on "
                f"masker.chain, got {model.pattern} and shifted={model.backbone.asks_elsewhere}; use another reuse"
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


def _replace_queries(group: RangeLogits, queries: Tensor) -> RangeLogits:
    """The same logits as answers to other query numbers."""
    return RangeLogits(group.head, queries, group.logits)


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

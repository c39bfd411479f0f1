"""StraightPasses: how a straight stage asks its model, with and without conditions.

Arrow: Batch + open slots --**StraightPasses.answers**--> logits. What the passes see apart from codes stays as it is
through a stage, so it is joined once. Does not know: how codes are drawn, which are kept.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.layout import Layout
from tokenmask.masking.masked_batch import Queries
from tokenmask.models import Full, MaskedModel, Transformer
from tokenmask.models.attention_pattern import _KnownFull
from tokenmask.sampling.answers import look_at_scale
from tokenmask.sampling.context import StepContext
from tokenmask.sampling.guidance import ClassifierFree, NoGuidance
from tokenmask.sampling.passes import mixed
from tokenmask.sampling.plan import StagePlan
from tokenmask.sampling.state import SamplerState, changed
from tokenmask.scores import Progress


class StraightPasses:
    """The passes of a stage.

    Args:
        model: of the stage.
        plan: of the stage, whose guidance is classifier-free or none.
        layout: of the model.
        state: at the start of the stage.
        head: the one range that its open slots are of.
        total: number of steps.
    """

    def __init__(
        self, model: MaskedModel, plan: StagePlan, layout: Layout, state: SamplerState, head: int, total: int
    ) -> None:
        guidance, batch, device = plan.stage.guidance, state.batch, state.batch.device
        assert isinstance(guidance, NoGuidance | ClassifierFree)
        steps = [Progress(index, total) for index in range(total)]
        self._scales = [look_at_scale(guidance, guidance.scale(one.on(guidance.grid))) for one in steps]
        context = StepContext(layout, state, plan.inside, steps[0])
        further = guidance.further(batch, context)
        self._model, self._head, self._weights = model, head, [weight for _, weight in further]
        self._once = self._twice = _Inputs.of(model, [batch], plan)
        if further or any(scale != 1.0 for scale in self._scales):
            rows = [batch, guidance.unconditional(batch, context), *(one for one, _ in further)]
            self._twice = _Inputs.of(model, rows, plan)
        size = batch.ids.numel()
        self._starts = torch.arange(self._twice.times, device=device)[:, None] * size
        self._heads = torch.full((self._twice.times * size,), head, dtype=torch.int64, device=device)
        self._times = torch.tensor([1 - one for one in steps], device=device)

    def answers(self, index: int, batch: Batch, slots: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor | None, float]]:
        """Of a step: which slots are answered, logits float32 [m, V] with conditions and, or None, without, and s.

        Args:
            index: of the step.
            batch: as it stands.
            slots: int64 [M], those that are asked.
        """
        inputs, scale = self._inputs(index), self._scales[index]
        every = slots if inputs.times == 1 else (slots + self._starts).view(-1)
        queries = Queries(every, self._heads[: every.shape[0]], head=self._head)
        t = self._times[index].expand(inputs.times * batch.ids.shape[0])
        for _, own, logits in self._model.logits(inputs.now(batch), queries, t=t, group=inputs.group, **inputs.more):
            yield mixed(own, logits, inputs.times, scale, self._weights)

    def times(self, index: int) -> int:
        """How often step ``index`` runs each row."""
        return self._inputs(index).times

    def _inputs(self, index: int) -> _Inputs:
        return self._twice if self._scales[index] != 1.0 or self._weights else self._once


@dataclass(frozen=True, eq=False)
class _Inputs:
    """The rows of some passes, one pass after the other.

    Args:
        joined: all of them.
        shown: for each pass bool [B, L, K], slots that show another id than the row's own, and these ids; or None.
        group: int32 [times * B, L], for attention patterns; None means 0.
        more: what else the model is told.
    """

    joined: Batch
    shown: list[tuple[Tensor, Tensor] | None]
    group: Tensor | None
    more: dict[str, Any]

    @classmethod
    def of(cls, model: MaskedModel, passes: list[Batch], plan: StagePlan) -> _Inputs:
        first, joined = passes[0], functools.reduce(Batch.join, passes)
        shown = [None if one.ids is first.ids else (one.ids != first.ids, one.ids) for one in passes]
        more = {}
        if type(getattr(model, "backbone", None)) is Transformer and type(model.pattern) is Full:
            more["pattern"] = _KnownFull(bool(joined.valid.all()))
        return cls(joined, shown, plan.group(joined), more)

    @property
    def times(self) -> int:
        return len(self.shown)

    def now(self, batch: Batch) -> Batch:
        """With the codes of ``batch``."""
        if self.times == 1:
            return batch
        ids = [batch.ids if own is None else torch.where(*own, batch.ids) for own in self.shown]
        return changed(self.joined, ids=torch.cat(ids))

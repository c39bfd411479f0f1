"""StraightPasses: how a straight stage asks its model, with and without conditions.

Arrow: SamplerState + open slots --**StraightPasses.answers**--> logits. What the passes see apart from codes stays as
it is through a stage, so it is joined once. How many slots are open in each step is known, and so are the times that a
model is told. Does not know: how codes are drawn, which are kept.
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
from tokenmask.masking import MaskingProcess
from tokenmask.masking.masked_batch import Queries
from tokenmask.models import Full, MaskedModel, Transformer
from tokenmask.models.attention_pattern import _KnownFull
from tokenmask.sampling.answers import look_at_scale
from tokenmask.sampling.context import StepContext
from tokenmask.sampling.guidance import ClassifierFree, ContextCorrupted, NoGuidance
from tokenmask.sampling.passes import mixed, reads_time, time_at
from tokenmask.sampling.plan import StagePlan
from tokenmask.sampling.state import SamplerState, changed
from tokenmask.scores import Progress


class StraightPasses:
    """The passes of a stage.

    Args:
        model: of the stage.
        plan: of the stage, whose guidance is classifier-free, by a corrupted context or none.
        layout: of the model.
        state: at the start of the stage.
        head: the one range that its open slots are of.
        opened: int64 [steps, B], slots of the stage that are open before each step.
        process: by which the model was told the masking time; None is the schedule's own.
    """

    def __init__(
        self,
        model: MaskedModel,
        plan: StagePlan,
        layout: Layout,
        state: SamplerState,
        head: int,
        opened: Tensor,
        process: MaskingProcess | None,
    ) -> None:
        guidance, batch, device = plan.stage.guidance, state.batch, state.batch.device
        assert isinstance(guidance, NoGuidance | ClassifierFree | ContextCorrupted)
        steps = [Progress(index, len(opened)) for index in range(len(opened))]
        self._scales = [look_at_scale(guidance, guidance.scale(one.on(guidance.grid))) for one in steps]
        context = StepContext(layout, state, plan.inside, steps[0])
        further = guidance.further(batch, context)
        self._model, self._head, self._weights = model, head, [weight for _, weight in further]
        self._context, self._steps = context, steps
        self._hides = guidance if isinstance(guidance, ContextCorrupted) else None
        self._once = self._twice = _Inputs.of(model, [batch], plan)
        if further or any(scale != 1.0 for scale in self._scales):
            rows = [batch, guidance.unconditional(batch, context), *(one for one, _ in further)]
            self._twice = _Inputs.of(model, rows, plan)
        size = batch.ids.numel()
        self._starts = torch.arange(self._twice.times, device=device)[:, None] * size
        self._heads = torch.full((self._twice.times * size,), head, dtype=torch.int64, device=device)
        times = torch.tensor([1 - one for one in steps], device=device)
        self._times = [times[i].expand(self.times(i) * len(batch.ids)) for i in range(len(steps))]
        if reads_time(model):
            elsewhere = (state.is_open & plan.around & ~plan.inside).sum((1, 2))  # in other blocks
            whole = plan.whole(layout, batch)
            told = [time_at(here + elsewhere, whole, plan.stage, process) for here in opened.unbind()]
            self._times = [time.repeat(self.times(i)) for i, time in enumerate(told)]

    def answers(
        self, index: int, state: SamplerState, slots: Tensor
    ) -> Iterator[tuple[Tensor, Tensor, Tensor | None, float]]:
        """Of a step: which slots are answered, logits float32 [m, V] with conditions and, or None, without, and s.

        Args:
            index: of the step.
            state: as it stands.
            slots: int64 [M], those that are asked.
        """
        inputs, scale, batch = self._inputs(index), self._scales[index], state.batch
        corrupted = None
        if self._hides is not None and inputs.times > 1:
            context = changed(self._context, state=state, progress=self._steps[index])
            corrupted = self._hides.unconditional(batch, context).ids
        every = slots if inputs.times == 1 else (slots + self._starts).view(-1)
        queries = Queries(every, self._heads[: every.shape[0]], head=self._head)
        t, now = self._times[index], inputs.now(batch, corrupted)
        for _, own, logits in self._model.logits(now, queries, t=t, group=inputs.group, **inputs.more):
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

    def now(self, batch: Batch, second: Tensor | None = None) -> Batch:
        """With the codes of ``batch``; in the second pass with the ids ``second``, if they are others in each step."""
        if self.times == 1:
            return batch
        ids = [batch.ids if own is None else torch.where(*own, batch.ids) for own in self.shown]
        if second is not None:
            ids[1] = second
        return changed(self.joined, ids=torch.cat(ids))

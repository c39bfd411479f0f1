"""Asking: a part of a step asks a model of the run anew, about any slots.

Arrow: inside the Sampler loop, slots --**Asking**--> Answers. Does not know: what answers are good for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from torch import Tensor

from tokenmask.masking import MaskingProcess
from tokenmask.masking.masked_batch import Queries
from tokenmask.models import MaskedModel
from tokenmask.sampling.answers import look_at_batch
from tokenmask.sampling.context import StepContext
from tokenmask.sampling.passes import counted, times_of
from tokenmask.sampling.plan import RunStep
from tokenmask.sampling.state import SamplerState
from tokenmask.scores import Answer


class Asking:
    """What an order finds as ``context.ask``, and a revocation, which asks of the state after the step.

    Each call runs a model over the rows as they stand, in full and beside the sampler's cache.

    Args:
        models: of the run, by name.
        context: whose state is asked about.
        step: as planned.
        process: the sampler's.
    """

    def __init__(
        self,
        models: Mapping[str, MaskedModel],
        context: StepContext,
        step: RunStep,
        process: MaskingProcess | None,
    ) -> None:
        self._models, self._context, self._step, self._process = models, context, step, process
        self._passes = self._positions = self._queries = 0

    def __call__(self, slots: Tensor, *, model: str | None = None, scale: float | None = None) -> list[Answer]:
        """Logits of slots, those that hold codes too.

        Args:
            slots: bool [B, L, K].
            model: name of another model; None is that of the stage.
            scale: s of u + s (c - u) with the guidance of the stage; None is 1, the conditional pass alone.

        Returns:
            an answer for each range that has any of the slots.

        Raises:
            ValueError: no such model.
        """
        state, layout = self._context.state, self._context.layout
        name = self._step.stage.model if model is None else model
        if name not in self._models:
            raise ValueError(f"a model that is asked must be one of {', '.join(self._models)}, got {name!r}; rename it")
        asked = slots.flatten().nonzero().squeeze(1)
        queries = Queries(asked, layout.head_of(state.batch.ids).flatten()[asked])
        t = times_of(self._models[name], self._context, self._step, self._process)
        batches = [state.batch] if scale is None or scale != 0 else []
        if scale is not None and scale != 1:
            guidance = self._step.stage.guidance
            assert guidance is not None
            batches.append(guidance.unconditional(state.batch, self._context))
            look_at_batch(guidance, batches[-1], state.batch)
        found = [
            tuple(self._models[name].logits(batch, queries, t=t, group=self._step.group)) if len(queries) else ()
            for batch in batches
        ]
        self._passes += len(batches)
        self._positions += len(batches) * state.batch.ids[:, :, 0].numel()
        self._queries += len(batches) * len(queries)
        answers = []
        for groups in zip(*found, strict=True):
            head, index, logits = groups[0]
            if len(groups) == 2:
                assert scale is not None
                logits = groups[1][2] + scale * (logits - groups[1][2])
            answers.append(Answer(head, asked[index], logits))
        return answers

    def noted(self, state: SamplerState) -> SamplerState:
        """The state with what was computed for the questions added to its counters."""
        if not self._passes:
            return state
        more = {"forward_passes": self._passes, "computed_positions": self._positions, "queries": self._queries}
        return replace(state, counters=counted(state.counters, **more))

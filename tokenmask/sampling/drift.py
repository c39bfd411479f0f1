"""Drift: what an approximate reuse policy changes.

Arrow: Sampler + model + SamplerState --**drift**--> numbers. Does not know: modalities, how policies work.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.layout import Layout
from tokenmask.models import MaskedModel
from tokenmask.sampling.reuse import NoReuse, Reuse, ReuseStep, Scored
from tokenmask.sampling.sampler import Sampler
from tokenmask.sampling.state import SamplerState
from tokenmask.scores import Progress, ScoreContext


@dataclass(frozen=True)
class Drift:
    """How far a policy is from running everything.

    Args:
        codes: share of the filled slots whose codes differ from those without reuse, same seeds. One code that differs
            early changes what follows, so this is large where distributions are close.
        kl: mean of KL(full || reused) in nats over all queries of the steps that reused something, each step seen from
            where the reusing generation stood; 0 if none did.
        kl_largest: the largest mean of a step.
        computed: positions computed, as a share of those without reuse.
    """

    codes: float
    kl: float
    kl_largest: float
    computed: float


def drift(sampler: Sampler, models: Mapping[str, MaskedModel], layout: Layout, state: SamplerState) -> Drift:
    """Generates with the sampler's policy and without, and compares.

    Args:
        sampler: with the policy in question.
        models: by name.
        layout: of the models.
        state: from :meth:`SamplerState.start`.

    Raises:
        ValueError: the policy decodes in another mode of the model, so that there is nothing to compare.
    """
    if sampler.reuse.order_first:
        raise ValueError(
            f"drift compares with a full pass over the same inputs, which {type(sampler.reuse).__name__} never runs; "
            "it is exact for its own mode of the model"
        )
    watched = _Watched(sampler.reuse)
    reused = replace(sampler, reuse=watched).run(models, layout, state)
    full = replace(sampler, reuse=NoReuse()).run(models, layout, state)
    differs = (reused.batch.ids != full.batch.ids)[state.is_open]
    sums, counts = zip(*watched.means, strict=True) if watched.means else ((0.0,), (1,))
    return Drift(
        codes=float(differs.float().mean()) if len(differs) else 0.0,
        kl=sum(sums) / sum(counts),
        kl_largest=max(total / count for total, count in zip(sums, counts, strict=True)),
        computed=reused.counters["computed_positions"] / full.counters["computed_positions"],
    )


class _Watched(Reuse):
    """A policy, and beside each of its reusing steps the whole model; ``means`` holds (sum of KL, queries) of each."""

    def __init__(self, policy: Reuse) -> None:
        self.policy = policy
        self.exact, self.keeps = policy.exact, policy.keeps  # type: ignore[misc]
        self.order_first, self.gives_taps = policy.order_first, policy.gives_taps  # type: ignore[misc]
        self.means: list[tuple[float, int]] = []

    def inner(self, steps: int) -> list[int]:
        return self.policy.inner(steps)

    def pace(self, progress: Progress) -> Progress:
        return self.policy.pace(progress)

    def settles(self, context: ScoreContext) -> Tensor | None:
        return self.policy.settles(context)

    def follows(self, ranks: Tensor) -> Tensor | None:
        return self.policy.follows(ranks)

    def fresh(self, chosen: Tensor, is_open: Tensor, inputs: Batch) -> Tensor:
        return self.policy.fresh(chosen, is_open, inputs)

    def score(self, model: MaskedModel, step: ReuseStep, cache: Any) -> Scored:
        scored = self.policy.score(model, step, cache)
        if scored.computed < step.inputs.shape[0] * step.inputs.shape[1] and len(step.queries):
            full = model.logits(step.inputs, step.queries, group=step.group, t=step.t)
            pairs = zip(full, scored.groups, strict=True)
            total = sum(
                float(F.kl_div(b.logits.log_softmax(-1), a.logits.log_softmax(-1), reduction="sum", log_target=True))
                for a, b in pairs
            )
            self.means.append((total, len(step.queries)))
        return scored

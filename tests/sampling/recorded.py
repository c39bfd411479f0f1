"""Generations of which every step is noted, and what a model answers without reuse."""

from __future__ import annotations

from dataclasses import replace

import torch

from tests.sampling.reuse_worlds import filled
from tokenmask.sampling import ClassifierFree, Sampler


class Recorded:
    """A policy that notes the logits of every slot of every step, and how many positions ran."""

    def __init__(self, policy):
        self.policy, self.steps = policy, []

    def __getattr__(self, name):
        return getattr(self.policy, name)

    @property
    def __class__(self):
        """It is taken for the policy."""
        return type(self.policy)

    def score(self, model, step, cache):
        scored = self.policy.score(model, step, cache)
        logits = {}
        for group in scored.groups:
            for query, row in zip(group.queries.tolist(), group.logits, strict=True):
                logits[int(step.queries.slots[query])] = row
        self.steps.append((step, logits, scored.computed))
        return scored


def recorded(sampler: Sampler, model, batch):
    watch = Recorded(sampler.reuse)
    done = filled(replace(sampler, reuse=watch), model, batch)
    return done, watch.steps


def full_logits(model, inputs, queries, **options):
    with torch.inference_mode():
        return model.logits(inputs, queries, **options)


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).abs().max() < 1e-5 * max(1.0, float(b.abs().max())))


GUIDANCE = [None, ClassifierFree(2.5, 1.0)]


def with_guidance(sampler: Sampler, guidance) -> Sampler:
    return sampler if guidance is None else replace(sampler, guidance=guidance)

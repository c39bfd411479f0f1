"""Rows of a world that a sampler fills, with what must hold of every generation looked at in every step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch

from tokenmask.layout import Layout
from tokenmask.models import AttentionPattern, MaskedModel
from tokenmask.sampling import DecidingSchedule, NeverRevoke, Sampler, SamplerState
from tokenmask.worlds import World, oracle


def started(model: MaskedModel, world: World, count: int, given: tuple[int, ...] | None, seed: int = 0) -> SamplerState:
    """As many rows alike, which differ in their sample; what is given is the same in all."""
    given = given or (-1,) * len(world.sizes)
    codes = torch.tensor([given]).clamp(min=0)
    batch = world.batch(codes, torch.tensor(given) < 0, model.layout).rows(torch.zeros(count, dtype=torch.int64))
    batch = replace(batch, sample_ids=torch.arange(count))
    return SamplerState.start(batch, model.layout, torch.full((count,), seed))


def codes_of(state: SamplerState, layout: Layout) -> torch.Tensor:
    """int64 [B, N], the codes of all slots of rows without padding."""
    return layout.codes_of(state.batch.ids)[:, 1:].flatten(1)


def drawn(
    sampler: Sampler,
    world: World,
    count: int,
    given: tuple[int, ...] | None = None,
    *,
    pattern: AttentionPattern | None = None,
    layout: Layout | None = None,
    seed: int = 0,
    others: Mapping[str, World] | None = None,
) -> torch.Tensor:
    """int64 [B, N], what the sampler makes of the world; AssertionError where a step does what no step may."""
    model = oracle(world, layout, pattern)
    start = state = started(model, world, count, given, seed)
    revokes, plan = sampler.pick.revises or not isinstance(sampler.revoke, NeverRevoke), None
    of_one_stage = not sampler.stages and model.layout.num_levels == 1
    if of_one_stage and not isinstance(sampler.schedule, DecidingSchedule):
        first = int(start.is_open[0].sum())
        plan = sampler.schedule.plan(first, sampler.schedule.steps(first, sampler.steps))
    models = {"main": model, **{name: oracle(other, model.layout) for name, other in (others or {}).items()}}
    for step in sampler.iterate(models, model.layout, start):
        before, state = state, step.state
        now, hidden = state.is_open, state.batch.ids == model.layout.mask_of(state.batch.ids)
        assert torch.equal(hidden & start.batch.to_fill, now), "what is open shows MASK, and nothing else does"
        fixed = ~start.is_open
        assert torch.equal(state.batch.ids[fixed], start.batch.ids[fixed]), "what is given never changes"
        if revokes:
            continue
        kept, left = ~before.is_open, before.is_open.sum((1, 2))
        assert torch.equal(state.batch.ids[kept], before.batch.ids[kept]), "what is revealed stays without revocation"
        if plan is not None:
            assert now.sum((1, 2)).tolist() == [plan[step.index]] * count, "a step reveals as many slots as planned"
        else:
            assert bool((now.sum((1, 2)) <= left).all()), "no step opens a slot"
    assert not bool(state.is_open.any()), "nothing is open in the end"
    return codes_of(state, model.layout)

"""Drawn: what a step saw becomes a code for every slot that it asked, and what is known of each.

Arrow: inside the Sampler loop, Seen --**draw**--> Drawn. Does not know: models, which slots are kept.
"""

from __future__ import annotations

import functools

import torch
from torch import Tensor

from tokenmask.masking import MaskingProcess
from tokenmask.sampling.answers import look_at_allowed, look_at_drawn, refuse
from tokenmask.sampling.asked import Asked
from tokenmask.sampling.constraint import Constraint
from tokenmask.sampling.context import SlotContext, StepContext
from tokenmask.sampling.passes import Seen
from tokenmask.sampling.pick import Categorical, PickContext
from tokenmask.sampling.plan import RunStep
from tokenmask.sampling.predicted import STATISTICS, Predicted
from tokenmask.scores import slot_counters


def draw(
    seen: Seen,
    asked: Asked,
    context: StepContext,
    step: RunStep,
    constraint: Constraint,
    process: MaskingProcess | None = None,
) -> tuple[Tensor, Predicted]:
    """Draws a code for every slot that was asked.

    Args:
        seen: logits of the slots.
        asked: what was asked.
        context: the step that is taken.
        step: as planned; its stage says how codes are drawn.
        constraint: which codes may be drawn.
        process: the sampler's.

    Returns:
        ids int32 [B, L, K] with the drawn codes, and what was predicted.

    Raises:
        ValueError: an answer of the constraint or of the pick that is none, see :mod:`tokenmask.sampling.answers`.
    """
    state, slots, progress, pick = context.state, seen.slots, context.progress, step.stage.pick
    assert pick is not None
    rows, length, levels = asked.slots.shape
    counters = slot_counters(asked.context.keys, length, levels).view(-1)
    proposed = state.batch.ids.flatten().clone()
    drawn = torch.zeros(len(STATISTICS), rows, length, levels, device=slots.device)
    predicted = Predicted(drawn, seen.taps)
    flat, on_grid = drawn.view(len(STATISTICS), -1), progress.on(pick.grid)
    for of in seen.heads:
        where = slots.index_select(0, of.index)
        if rows == 1:
            seeds = state.seeds.expand(len(where))
        else:
            seeds = state.seeds[torch.div(where, length * levels, rounding_mode="floor")]
        at = SlotContext(context.layout, state, context.inside, progress, where, of.head)
        allowed = None if pick.tests else constraint.allowed(at)
        if allowed is not None:
            look_at_allowed(constraint, allowed, len(where), of.conditional.shape[1])
            allowed = allowed.to(of.conditional.device)
        told = PickContext(
            seeds=seeds,
            counters=counters.index_select(0, where),
            guidance=of.scale,
            progress=on_grid,
            allowed=allowed,
            slots=where,
            state=state,
            head=of.head,
            taps=seen.taps,
            process=process,
            layout=context.layout,
            accepts=functools.partial(constraint.accepts, at) if pick.tests else None,
        )
        try:
            answer = pick(of.conditional, of.uncond, told)
        except ValueError:
            _name_the_constraint(constraint, allowed)
            raise
        if type(pick) is not Categorical:
            look_at_drawn(pick, answer, of.conditional, hides=step.revises, weighs=pick.weighs)
        predicted.notes.update(pick.observe(of.conditional, of.uncond, told))
        codes, *statistics = answer
        if pick.weighs:
            predicted.weigh(where, statistics.pop())
        proposed.index_copy_(0, where, codes + context.layout.ranges[of.head].offset)
        flat.index_copy_(1, where, torch.stack(statistics))
        if step.revises:
            codes = codes.clamp(max=of.conditional.shape[1] - 1)  # a slot that is hidden again has no code
        predicted.add(where, of, codes, (seeds, told.counters))
    return proposed.view_as(asked.slots), predicted


def _name_the_constraint(constraint: Constraint, allowed: Tensor | None) -> None:
    """ValueError if it allowed no code for some slot, which is why a pick could draw none."""
    if allowed is not None and not bool(allowed.any(-1).all()):
        refuse(constraint, "at least one code for each slot", "none for some", "allowed")

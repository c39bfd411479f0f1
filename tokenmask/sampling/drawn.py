"""Drawn: what a step saw becomes a code for every slot that it asked, and what is known of each.

Arrow: inside the Sampler loop, Seen --**draw**--> Drawn. Does not know: models, which slots are kept.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tokenmask.masking import MaskingProcess
from tokenmask.sampling.asked import Asked
from tokenmask.sampling.constraint import Constraint
from tokenmask.sampling.context import SlotContext, StepContext
from tokenmask.sampling.passes import Seen
from tokenmask.sampling.pick import Categorical, Pick, PickContext
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
        allowed = constraint.allowed(at)
        if allowed is not None:
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
        )
        codes, *statistics = pick(of.conditional, of.uncond, told)
        if type(pick) is not Categorical:
            _check_codes(pick, codes, of.conditional, hides=step.revises)
        proposed.index_copy_(0, where, codes + context.layout.ranges[of.head].offset)
        flat.index_copy_(1, where, torch.stack(statistics))
        if step.revises:
            codes = codes.clamp(max=of.conditional.shape[1] - 1)  # a slot that is hidden again has no code
        predicted.add(where, of, codes)
    return proposed.view_as(asked.slots), predicted


def _check_codes(pick: Pick, codes: Tensor, logits: Tensor, *, hides: bool) -> None:
    """ValueError for codes of a pick of one's own that are none: they would be codes of another level."""
    rows, most = logits.shape[0], logits.shape[1] - 1 + hides
    if not isinstance(codes, Tensor) or codes.shape != (rows,) or codes.dtype != torch.int32:
        kind = type(codes).__name__
        found = f"{codes.dtype} {list(codes.shape)}" if isinstance(codes, Tensor) else kind
        raise ValueError(f"{type(pick).__name__} must answer codes int32 [{rows}], got {found}; mend its __call__")
    if rows and not (int(codes.min()) >= 0 and int(codes.max()) <= most):
        found = f"{int(codes.min())}..{int(codes.max())}"
        raise ValueError(f"{type(pick).__name__} must answer codes in 0..{most}, got {found}; mend its __call__")

"""Commit: the best of the drawn codes are written; what was written may be opened again.

Arrow: inside the Sampler loop, drawn codes --**commit_best**, **reopened**--> SamplerState. Does not know: models,
where codes come from.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tokenmask.layout import Layout
from tokenmask.ops import commit
from tokenmask.sampling.answers import look, look_at_notes, refuse
from tokenmask.sampling.asked import RANKS, Asked
from tokenmask.sampling.context import StepContext
from tokenmask.sampling.particles import WEIGHT
from tokenmask.sampling.passes import Seen
from tokenmask.sampling.plan import RunStep
from tokenmask.sampling.predicted import Predicted
from tokenmask.sampling.schedule import DecidingSchedule
from tokenmask.sampling.state import SamplerState, changed


def commit_best(
    context: StepContext, step: RunStep, asked: Asked, seen: Seen, proposed: Tensor, predicted: Predicted
) -> SamplerState:
    """The state with the best of the drawn codes.

    Args:
        context: the step that is taken.
        step: as planned.
        asked: which slots were asked, and by what they are ranked if that was known before.
        seen: what the model answered.
        proposed: int32 [B, L, K], ids with the drawn codes.
        predicted: of them.

    Raises:
        ValueError: an answer of order, schedule or guidance that is none, see :mod:`tokenmask.sampling.answers`.
    """
    state, stage, rows = context.state, step.stage, asked.slots.shape[0]
    assert stage.order is not None and stage.schedule is not None and stage.guidance is not None
    observed = {
        **look_at_notes(stage.guidance, stage.guidance.observe(context, seen.taps), state.carry, rows),
        **look_at_notes(stage.pick, predicted.notes, state.carry, rows),
    }
    if step.revises:
        noted = _for_rows(observed, state.carry, asked.slots.flatten(1).any(1))
        return changed(_revised(context, step, asked, seen, proposed, predicted), carry={**state.carry, **noted})
    ranks, count, told = asked.ranks, asked.count, asked.context
    if ranks is None:
        told = changed(told, predictions=predicted, taps=seen.taps)
        ranks = stage.order(told)
        look(stage.order, "scores", ranks, torch.float32, asked.slots)
        if isinstance(stage.schedule, DecidingSchedule) and not step.is_last:
            count = stage.schedule.reveal(told)
            look(stage.schedule, "counts", count, torch.int64, asked.open, "reveal")
            count = torch.minimum(count.clamp(min=stage.schedule.least), asked.open)
    try:
        ids, still_open = commit(
            state.batch.ids.view(rows, -1),
            proposed.view(rows, -1),
            ranks.reshape(rows, -1),
            asked.slots.view(rows, -1),
            count,
        )
    except ValueError:
        _name_who_is_no_number(step, asked, predicted, ranks)
        raise
    committed = asked.slots ^ still_open.view_as(asked.slots)
    observed = {**look_at_notes(stage.order, stage.order.observe(told), state.carry, rows), **observed}
    carry = asked.carry
    if observed:
        carry = {**carry, **_for_rows(observed, carry, told.is_open.flatten(1).any(1))}
    if step.keeps:
        carry = {**carry, RANKS: ranks}
    if predicted.log_weight is not None:
        more = torch.where(committed, predicted.log_weight, 0.0).sum((1, 2))
        carry = {**carry, WEIGHT: carry[WEIGHT] + more if WEIGHT in carry else more}
    return changed(
        state,
        batch=changed(state.batch, ids=ids.view_as(asked.slots)),
        is_open=state.is_open ^ committed,
        score=torch.where(committed, predicted["logprob"], state.score),
        step=state.step + 1,
        carry=carry,
        cache=seen.cache,
        counters=seen.counters,
    )


def _revised(
    context: StepContext, step: RunStep, asked: Asked, seen: Seen, proposed: Tensor, predicted: Predicted
) -> SamplerState:
    """The state with all that a revising pick drew, MASK too."""
    state, hidden = context.state, asked.slots & (proposed == context.layout.mask_of(proposed))
    if step.is_last and bool(hidden.any()):
        raise ValueError(
            f"{type(step.stage.pick).__name__} must answer codes in the last step of a stage, "
            f"but left {int(hidden.sum())} slots hidden"
        )
    return changed(
        state,
        batch=changed(state.batch, ids=proposed),
        is_open=state.is_open & ~asked.slots | hidden,
        score=torch.where(asked.slots & ~hidden, predicted["logprob"], state.score),
        step=state.step + 1,
        cache=seen.cache,
        counters=seen.counters,
    )


def _name_who_is_no_number(step: RunStep, asked: Asked, predicted: Predicted, ranks: Tensor) -> None:
    """ValueError with the part whose NaN is why nothing could be chosen."""
    for part, what, value in (
        (step.stage.pick, "log-probability", predicted["logprob"]),
        (step.stage.order, "scores", ranks),
    ):
        wrong = (value.isnan() & asked.slots).flatten(1).any(1)
        if bool(wrong.any()):
            row = int(wrong.int().argmax())
            refuse(part, f"{what} other than NaN", f"NaN in row {row} (if it is ours, logits of the model are NaN)")


def reopened(state: SamplerState, revoked: Tensor, layout: Layout) -> SamplerState:
    """The state with bool [B, L, K] ``revoked`` slots open again."""
    ids = torch.where(revoked, layout.mask_of(state.batch.ids), state.batch.ids)
    return changed(state, batch=changed(state.batch, ids=ids), is_open=state.is_open | revoked)


def _for_rows(observed: Mapping[str, Tensor], carry: Mapping[str, Tensor], asked: Tensor) -> dict[str, Tensor]:
    """What is carried on: new for the rows that this step asked, as it was for those with nothing open."""
    return {
        name: torch.where(asked.view(-1, *[1] * (value.dim() - 1)), value, carry[name]) if name in carry else value
        for name, value in observed.items()
    }

"""Asked: which open slots a step asks the model for, and by what they are revealed, if that is known beforehand.

Arrow: SamplerState + RunStep + Reuse --**asked_of**--> Asked. Here and in the plan, and nowhere else, a reuse policy
decides. Does not know: models, codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.sampling.answers import look
from tokenmask.sampling.plan import RunStep
from tokenmask.sampling.reuse import Reuse
from tokenmask.sampling.state import SamplerState, changed
from tokenmask.scores import ScoreContext, best

RANKS = "reuse.ranks"  # float32 [B, L, K], by which a full step revealed slots; cheap ones go on by it
_OPEN, _SETTLED = "reuse.open", "reuse.settled"  # open in it, in all blocks; the policy's own ranks, where it has some
_CHOSEN, _FRESH = "reuse.chosen", "reuse.fresh"  # what it and its cheap steps reveal; positions that these run anew


@dataclass(frozen=True, eq=False)
class Asked:
    """What a step asks.

    Args:
        slots: bool [B, L, K], whose codes are to be scored.
        count: int64 [B], how many of them the step reveals, if the schedule knows that beforehand.
        open: int64 [B], open slots of the stage, asked or not.
        context: for the order; its ``is_open`` are the slots among which it chooses.
        ranks: float32 [B, L, K], where slots are chosen before their codes are scored; None leaves it to the order.
        fresh: bool [B, L], the positions that a cheap step runs anew; None in a full step.
        carry: that of the state, with what cheap steps need.
    """

    slots: Tensor
    count: Tensor
    open: Tensor
    context: ScoreContext
    ranks: Tensor | None
    fresh: Tensor | None
    carry: Mapping[str, Tensor]


def asked_of(state: SamplerState, step: RunStep, reuse: Reuse) -> Asked | None:
    """What a step asks; None where nothing is left to ask.

    Args:
        state: before the step.
        step: as planned.
        reuse: settles, in a full step, what the cheap steps after it reveal.
    """
    mine, carry, ranks, fresh = state.is_open & step.inside, state.carry, None, None
    if step.revises:
        mine = step.inside & state.batch.to_fill
    slots = mine
    if step.cheap:
        if _OPEN not in carry:  # the full step had nothing open
            return None
        carry = _settled(state, step, reuse)
        slots, fresh = mine & carry[_CHOSEN], carry[_FRESH]
    if not bool(slots.any()):
        return None
    now = mine.sum((1, 2))
    context = ScoreContext(
        state.batch,
        slots,
        state.seeds,
        state.keys,
        reuse.pace(step.progress).on("after"),
        carry=carry,
    )
    if step.keeps:
        carry = {name: value for name, value in carry.items() if name != _SETTLED} | {
            _OPEN: state.is_open & step.around
        }
        settled = reuse.settles(context)
        if settled is not None:
            look(reuse, "scores", settled, torch.float32, slots, "settles")
            slots = best(settled, slots, now - step.open_at_end)
            carry |= {_SETTLED: settled}
            context = changed(context, is_open=slots)
    if step.cheap:
        ranks = reuse.follows(carry[RANKS])
    elif reuse.order_first or (step.stage.pick is not None and step.stage.pick.tests):
        assert step.stage.order is not None
        ranks = step.stage.order(context)
        look(step.stage.order, "scores", ranks, torch.float32, slots)
    count = now if step.revises else now - step.open_after
    if ranks is not None:
        slots = best(ranks, slots, count)
    return Asked(slots, count, now, context, ranks, fresh, carry)


def _settled(state: SamplerState, step: RunStep, reuse: Reuse) -> Mapping[str, Tensor]:
    """The carry of a cheap step: the first one of an inner run settles what all of them reveal and run."""
    carry = state.carry
    if step.inner > 1:
        return carry
    was_open = carry[_OPEN]
    mine = was_open & step.inside
    chosen = best(carry.get(_SETTLED, carry[RANKS]), mine, mine.flatten(1).sum(1) - step.open_at_end)
    return {**carry, _CHOSEN: chosen, _FRESH: reuse.fresh(chosen, was_open, state.batch)}

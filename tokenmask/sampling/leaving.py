"""Leaving: rows of a batch that a stage has filled are not asked for again; the others go on without them.

Arrow: SamplerState + RunStep of all rows <--**Leaving**--> those of the rows that a step is taken for. Where a schedule
decides in the step, rows of a batch need other numbers of steps, and a row that is done stays so. Draws are keyed by
seed, sample, step and place, and no part looks across rows, so what the others become does not change. Does not know:
models, codes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tokenmask.sampling.plan import RunStep
from tokenmask.sampling.state import SamplerState, changed


class Leaving:
    """The rows of a stage that are left, and what became of the others.

    Args:
        state: before the stage, all rows.
    """

    def __init__(self, state: SamplerState) -> None:
        self._whole = state
        self._left: Tensor | None = None  # int64, places of the rows that are left; None while all are

    def step(self, step: RunStep) -> RunStep:
        """The step for the rows that are left."""
        rows = self._left
        if rows is None:
            return step
        return changed(
            step,
            inside=step.inside[rows],
            around=step.around[rows],
            open_after=step.open_after[rows],
            open_at_end=step.open_at_end[rows],
            group=None if step.group is None else step.group[rows],
            whole=step.whole[rows],
        )

    def without(self, state: SamplerState, going_on: Tensor) -> SamplerState:
        """The state of the rows that go on; the others are kept as they are.

        Args:
            state: of the rows that are left.
            going_on: bool, one of each, some of them True.
        """
        if bool(going_on.all()):
            return state
        self._whole = changed(self.all(state), cache=None)
        stay = going_on.nonzero()[:, 0]
        self._left = stay if self._left is None else self._left[stay]
        return state.rows(stay)

    def all(self, state: SamplerState) -> SamplerState:
        """The state of all rows, those that are left as they are in ``state``; without a cache once rows have left."""
        rows, whole = self._left, self._whole
        if rows is None:
            return state
        carry = {}
        for name, value in state.carry.items():
            known = whole.carry.get(name)
            if known is None:  # of cheap steps, which rows that are done have none of
                known = torch.zeros(len(whole.is_open), *value.shape[1:], dtype=value.dtype, device=value.device)
            carry[name] = known.index_copy(0, rows, value)
        return changed(
            state,
            batch=changed(whole.batch, ids=whole.batch.ids.index_copy(0, rows, state.batch.ids)),
            is_open=whole.is_open.index_copy(0, rows, state.is_open),
            score=whole.score.index_copy(0, rows, state.score),
            seeds=whole.seeds,
            carry=carry,
            cache=None,
        )

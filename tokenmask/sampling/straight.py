"""Straight: a stage in which nothing but the plain parts take part, in as few calls as its steps need.

Arrow: SamplerState + StagePlan --**Straight.steps**--> SamplerState after each step, bit for bit that of the loop that
asks every part. What follows from the stage is worked out once, and what no part will read is not made. Does not know:
constraints, revocations, reuse.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tokenmask.layout import Layout
from tokenmask.models import MaskedModel
from tokenmask.ops import Purpose, commit, sample_codes, uniform
from tokenmask.ops._extension import USES_REFERENCE
from tokenmask.sampling.constraint import AllowAll
from tokenmask.sampling.guidance import ClassifierFree, NoGuidance
from tokenmask.sampling.pick import Categorical
from tokenmask.sampling.plan import StagePlan
from tokenmask.sampling.reuse import NoReuse
from tokenmask.sampling.revoke import NeverRevoke
from tokenmask.sampling.schedule import DecidingSchedule
from tokenmask.sampling.state import _STEP_BITS, SamplerState, changed
from tokenmask.sampling.straight_passes import StraightPasses
from tokenmask.scores import (
    ConfidenceScore,
    EntropyScore,
    MarginScore,
    Progress,
    RandomScore,
    RasterScore,
    ScoreContext,
    slot_counters,
)
from tokenmask.scores.noise import _SLOT_BITS, gumbel_of
from tokenmask.threads import look_again

if TYPE_CHECKING:
    from tokenmask.sampling.sampler import Sampler

_READS = {ConfidenceScore: "logprob", MarginScore: "margin", EntropyScore: "entropy", RandomScore: "", RasterScore: ""}


@dataclass(frozen=True, eq=False)
class Straight:
    """A stage that can be run so, and what follows from it.

    Args:
        plan: of the stage.
        layout: of the models.
        model: of the stage.
        head: the one range that its open slots are of.
        after: int64 [steps, B], slots of each row that stay open after each step.
    """

    plan: StagePlan
    layout: Layout
    model: MaskedModel
    head: int
    after: Tensor

    @classmethod
    def of(
        cls, sampler: Sampler, plan: StagePlan, layout: Layout, state: SamplerState, model: MaskedModel
    ) -> Straight | None:
        """The stage, or None where a part may have a say that the loop must ask for.

        Args:
            sampler: of the generation.
            plan: of the stage.
            layout: of the models.
            state: before the stage.
            model: of the stage.
        """
        stage = plan.stage
        plain = (
            type(stage.guidance) in (NoGuidance, ClassifierFree)
            and type(stage.pick) is Categorical
            and type(sampler.constraint) is AllowAll
            and type(sampler.revoke) is NeverRevoke
            and type(sampler.reuse) is NoReuse
            and sampler.particles is None
            and type(stage.order) in _READS
            and not isinstance(stage.schedule, DecidingSchedule)
            and not getattr(stage.order, "plain", False)
            and not getattr(getattr(model, "backbone", None), "reads_time", False)
            and state.step + plan.length < 1 << _STEP_BITS
        )
        if not plain:
            return None
        heads = layout.head_of(state.batch.ids[state.is_open & plan.inside])
        if not len(heads) or bool((heads != heads[0]).any()):
            return None
        return cls(plan, layout, model, int(heads[0]), plan.after(state, sampler.reuse)[0])

    def steps(self, state: SamplerState) -> Iterator[SamplerState]:
        """The state after each step; a step that finds nothing open asks nothing, as in the loop."""
        stage, total = self.plan.stage, len(self.after)
        pick, order = stage.pick, stage.order
        assert isinstance(pick, Categorical) and order is not None
        shape = state.batch.shape
        rows, size = shape[0], shape[1] * shape[2]
        offset = self.layout.ranges[self.head].offset
        reads, known_as = _READS[type(order)], ("logprob", "entropy", "margin")
        noisy = order if isinstance(order, ConfidenceScore) else None
        passes = StraightPasses(self.model, self.plan, self.layout, state, self.head, total)

        mine = (state.is_open & self.plan.inside).view(rows, size)
        everything = bool((mine.view(shape) == state.is_open).all())
        counters = slot_counters(state.batch.sample_ids << _STEP_BITS, *shape[1:]).reshape(-1)
        seeds = state.seeds.repeat_interleave(size) if rows > 1 else None
        opened = torch.cat([mine.sum(1)[None], self.after]).cummin(0).values
        counts = (opened[:-1] - self.after).unbind()
        left = opened.sum(1).tolist()  # so that the host need not ask how many slots are open after each step
        ids, score = state.batch.ids.view(-1), state.score.reshape(-1)
        slots = _where(mine, left[0])
        kept = (pick.top_k, float(pick.top_p), float(pick.min_p))
        checked = False  # by the faces of the ops, in the first step; later ones hand over the like
        for index in range(total):
            look_again()
            many, number, before = slots.shape[0], state.step, Progress(index, total)
            if not many:
                state = changed(state, step=number + 1)
                yield state
                continue
            proposed, drawn, ranked = ids, score, score  # what stands at slots that are not asked does not matter
            heat = pick.temperature_at(before.on(pick.grid))
            scale = 0.0 if noisy is None else noisy.scale(before.on("after"))
            for own, logits, uncond, strength in passes.answers(index, state.batch, slots):
                where = slots.index_select(0, own)
                own_seeds = state.seeds.expand(where.shape[0]) if seeds is None else seeds.index_select(0, where)
                keys = counters.index_select(0, where) + (number << _SLOT_BITS)
                if checked:
                    given = (logits, keys, 0, own_seeds, heat, None, *kept, uncond, strength, None, None)
                    codes, *known = torch.ops.tokenmask.sample_codes(*given)
                else:
                    codes, *known = sample_codes(
                        logits,
                        seed=own_seeds,
                        counters=keys,
                        temperature=heat,
                        top_k=pick.top_k,
                        top_p=pick.top_p,
                        min_p=pick.min_p,
                        uncond=uncond,
                        guidance=strength,
                    )
                proposed = proposed.index_copy(0, where, codes + offset)
                drawn = drawn.index_copy(0, where, known[0])
                if scale > 0:
                    draws = uniform(seed=own_seeds, counters=keys, purpose=Purpose.order)
                    ranked = ranked.index_copy(0, where, known[0] + scale * gumbel_of(draws))
                elif reads and noisy is None:
                    ranked = ranked.index_copy(0, where, known[known_as.index(reads)])
            if noisy is not None and scale <= 0:
                ranked = drawn
            if noisy is not None:
                scores = ranked.view(rows, size)
            else:
                predicted = {reads: ranked.view(shape)} if reads else {}
                after = before.on("after")
                context = ScoreContext(
                    state.batch, mine.view(shape), state.seeds, state.keys, after, predicted, state.carry
                )
                scores = order(context).reshape(rows, size)
            write = torch.ops.tokenmask.commit if checked else commit
            found, still = write(ids.view(rows, size), proposed.view(rows, size), scores, mine, counts[index])
            checked = not USES_REFERENCE
            now = still if everything else state.is_open.view(rows, size) ^ mine ^ still
            score = torch.where(still.view(-1), score, drawn)
            ids, mine, slots = found.view(-1), still, _where(still, left[index + 1])
            seen, times = state.counters, passes.times(index)
            state = changed(
                state,
                batch=changed(state.batch, ids=found.view(shape)),
                is_open=now.view(shape),
                score=score.view(shape),
                step=number + 1,
                cache=None,
                counters={
                    **seen,
                    "forward_passes": seen.get("forward_passes", 0) + 1,
                    "computed_positions": seen.get("computed_positions", 0) + times * rows * shape[1],
                    "queries": seen.get("queries", 0) + times * many,
                },
            )
            yield state


def _where(slots: Tensor, count: int) -> Tensor:
    """int64 [count], the places of bool [B, S], of which there are so many."""
    if slots.device.type == "cpu":  # where it is faster to count again, and nothing to wait for
        return slots.view(-1).nonzero().view(-1)
    return torch.nonzero_static(slots.view(-1), size=count).view(-1)

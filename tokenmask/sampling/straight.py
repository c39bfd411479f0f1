"""Straight: a stage in which nothing but the plain parts take part, in as few calls as its steps need.

Arrow: SamplerState + StagePlan --**Straight.steps**--> SamplerState after each step, bit for bit that of the loop that
asks every part. What follows from the stage is worked out once, and what no part will read is not made. Does not know:
constraints, revocations, reuse.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from tokenmask.layout import Layout
from tokenmask.masking import MaskingProcess
from tokenmask.models import MaskedModel
from tokenmask.ops import Purpose, uniform
from tokenmask.ops.reveal import STATISTICS, Revealed, reveal, reveal_in_parts, revealed
from tokenmask.sampling.constraint import AllowAll
from tokenmask.sampling.guidance import ClassifierFree, ContextCorrupted, NoGuidance
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
ONE_OP = ("cpu",)
"""Kinds of devices on which a plain step is one op."""
_Answer = tuple[Tensor, Tensor, Tensor | None, float]


@dataclass(frozen=True, eq=False)
class Straight:
    """A stage that can be run so, and what follows from it.

    Args:
        plan: of the stage.
        layout: of the models.
        model: of the stage.
        head: the one range that its open slots are of.
        after: int64 [steps, B], slots of each row that stay open after each step.
        process: by which the model was told the masking time; None is the schedule's own.
    """

    plan: StagePlan
    layout: Layout
    model: MaskedModel
    head: int
    after: Tensor
    process: MaskingProcess | None = None

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
            type(stage.guidance) in (NoGuidance, ClassifierFree, ContextCorrupted)
            and type(stage.pick) is Categorical
            and type(sampler.constraint) is AllowAll
            and type(sampler.revoke) is NeverRevoke
            and type(sampler.reuse) is NoReuse
            and sampler.particles is None
            and type(stage.order) in _READS
            and not isinstance(stage.schedule, DecidingSchedule)
            and not getattr(stage.order, "plain", False)
            and not getattr(stage.order, "trial", False)
            and state.step + plan.length < 1 << _STEP_BITS
        )
        if not plain:
            return None
        heads = layout.head_of(state.batch.ids[state.is_open & plan.inside])
        if not len(heads) or bool((heads != heads[0]).any()):
            return None
        return cls(plan, layout, model, int(heads[0]), plan.after(state, sampler.reuse)[0], sampler.process)

    def steps(self, state: SamplerState) -> Iterator[SamplerState]:
        """The state after each step; a step that finds nothing open asks nothing, as in the loop."""
        stage, total = self.plan.stage, len(self.after)
        pick, order = stage.pick, stage.order
        assert isinstance(pick, Categorical) and order is not None
        shape = state.batch.shape
        rows, size = shape[0], shape[1] * shape[2]
        offset = self.layout.ranges[self.head].offset
        reads = _READS[type(order)]
        by = STATISTICS.index(reads) if reads else 0
        noisy = order if isinstance(order, ConfidenceScore) else None
        mine = state.is_open & self.plan.inside
        everything = torch.equal(mine, state.is_open)
        counters = slot_counters(state.batch.sample_ids << _STEP_BITS, *shape[1:])
        opened = torch.cat([mine.sum((1, 2))[None], self.after]).cummin(0).values
        passes = StraightPasses(self.model, self.plan, self.layout, state, self.head, opened[:-1], self.process)
        counts = (opened[:-1] - self.after).unbind()
        left = opened.sum(1).tolist()  # so that the host need not ask how many slots are open after each step
        ids, score = state.batch.ids, state.score
        is_one_op = mine.device.type in ONE_OP
        slots = mine.view(-1).nonzero().view(-1)
        kept = (pick.top_k, float(pick.top_p), float(pick.min_p), offset, by)
        # What is handed over is looked at in the first step; later ones hand over the like.
        write: Callable[..., Revealed] = reveal
        for index in range(total):
            look_again()
            many, number, before = slots.shape[0], state.step, Progress(index, total)
            if not many:
                state = changed(state, step=number + 1)
                yield state
                continue
            later, noise, ranks = number << _SLOT_BITS, None, None
            answers = tuple(passes.answers(index, state, slots))
            own, logits, uncond, strength = answers[0] if len(answers) == 1 else _joined(answers)
            if noisy is not None:
                scale = noisy.scale(before.on("after"))
                if scale > 0:
                    where = slots.index_select(0, own)
                    seeds = state.seeds[torch.div(where, size, rounding_mode="floor")]
                    keys = counters.view(-1).index_select(0, where) + later
                    noise = scale * gumbel_of(uniform(seed=seeds, counters=keys, purpose=Purpose.order))
            elif not reads:
                after = before.on("after")
                asked = ScoreContext(state.batch, mine, state.seeds, state.keys, after, {}, state.carry)
                ranks = order(asked)
            heat = pick.temperature_at(before.on(pick.grid))
            drawn = (logits, own, slots, ids, score, mine, counts[index], counters, later, state.seeds, heat)
            if uncond is None and (is_one_op or write is reveal):
                ids, still, score, slots = write(*drawn, *kept, noise, ranks)
            else:
                open_after = None if is_one_op else left[index + 1]
                more = (uncond, strength, open_after)
                ids, still, score, slots = reveal_in_parts(*drawn, *kept, noise, ranks, *more)
            write = revealed
            now = still if everything else state.is_open ^ mine ^ still
            mine = still
            seen, times = state.counters, passes.times(index)
            state = changed(
                state,
                batch=changed(state.batch, ids=ids),
                is_open=now,
                score=score,
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


def _joined(answers: Sequence[_Answer]) -> _Answer:
    """Of a model that answers one range in pieces."""
    index, logits, uncond, strength = zip(*answers, strict=True)
    others = [one for one in uncond if one is not None]
    return torch.cat(index), torch.cat(logits), torch.cat(others) if others else None, strength[0]

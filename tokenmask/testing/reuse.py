"""Reuse: which keys and values stay valid between steps; where it says that it is exact, it is.

Does not know: which policy.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from tokenmask.masking import Queries, chained
from tokenmask.models import Causal, GroupCausal, MaskedModel, RangeLogits
from tokenmask.sampling import NoReuse, Reuse, Sampler, SamplerState
from tokenmask.sampling.reuse import ReuseStep
from tokenmask.scores import RandomScore, RasterScore
from tokenmask.testing.anything import value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.world import LAYOUT, World, filled, model_for, others

STEPS = 4
NEAR = 1e-4  # of logits that are computed in other tiles


@dataclass(frozen=True)
class Subject:
    """What is checked: the policy, and a model that it takes."""

    component: Reuse
    own: MaskedModel | None = None

    @cached_property
    def model(self) -> MaskedModel:
        """The first that the policy does not refuse."""
        return self.own or model_for(self.sampler)

    @property
    def sampler(self) -> Sampler:
        """A loop with the policy, whose order the policy can know beforehand."""
        return Sampler(STEPS, order=RandomScore(), reuse=self.component)

    def filled(self, world: World) -> SamplerState:
        """The rows of a world."""
        return filled(self.sampler, world, self.model)

    def begin(self, world: World) -> tuple[ReuseStep, Any]:
        """The second step of a generation, and the cache that the first one left."""
        state = SamplerState.start(world.batch, LAYOUT, world.seeds)
        chosen = state.is_open & (world.chance(6) < 0.4)
        first = self._step(state, chosen, world)
        cache = self.component.score(self.model, first, None).cache
        ids = torch.where(chosen, world.batch.ids, state.batch.ids)
        state = replace(state, batch=replace(state.batch, ids=ids), is_open=state.is_open & ~chosen)
        second = self._step(state, state.is_open & (world.chance(7) < 0.6), world)
        if self.component.inner(2) == [1, 1] and cache is not None:  # a cheap step
            fresh = self.component.fresh(chosen | state.is_open, state.is_open, state.batch)
            second = replace(second, fresh=fresh, keep=False)
        return second, cache

    def _step(self, state: SamplerState, asked: Tensor, world: World) -> ReuseStep:
        slots = asked.flatten().nonzero().squeeze(1)
        queries = Queries(slots, LAYOUT.head_of(state.batch.ids.flatten()[slots]))
        order = world.chance(8) if self.component.order_first else None
        keep = self.component.inner(2) == [1, 1]
        return ReuseStep(state.batch, queries, torch.full((len(world.numbers),), 0.5), order, keep=keep)


def _use(subject: Subject, world: World) -> list[Any]:
    done = subject.filled(world)
    return [done.batch.ids, done.score, [subject.component.inner(steps) for steps in (1, 5)]]


def plans_inner_runs(subject: Subject) -> None:
    """``inner`` names for each step the last one of its run, in order, to the end of the stage."""
    for steps in (1, 2, 3, 7, 12):
        last = subject.component.inner(steps)
        got = f"got {last} for {steps} steps"
        require(len(last) == steps and last[-1] == steps - 1, f"inner must name a last step for each one, {got}")
        runs = all(at <= end < steps and last[end] == end for at, end in enumerate(last))
        require(runs and last == sorted(last), f"inner must be runs of steps, one behind the other, {got}")


def fills_everything_and_keeps_what_is_given(subject: Subject) -> None:
    """A generation ends with nothing open, and what is given never changes."""
    world = World()
    done = subject.filled(world)
    require(not bool(done.is_open.any()), "a generation must end with nothing open")
    same = torch.equal(done.batch.ids[~world.maskable], world.batch.ids[~world.maskable])
    require(same, "what is given must never change, but it did")


def exact_means_equal(subject: Subject) -> None:
    """A policy that says ``exact`` gives the generation of ``NoReuse``, codes and probabilities.

    One that chooses slots first, for a group-causal model, gives the probabilities of one pass over
    :func:`tokenmask.masking.chained`, for a causal one the generation of ``NoReuse``; for another model its own tests
    have to say what it equals.
    """
    if not subject.component.exact:
        return
    world = World()
    if subject.component.order_first:
        if isinstance(subject.model.pattern, GroupCausal):
            off = float((_in_steps(subject, world) - _in_one_pass(subject, world)).abs().max())
            near = off <= NEAR
            require(near, f"must give what one pass over the chain gives, since it says exact, but is off by {off:.2g}")
        if not isinstance(subject.model.pattern, Causal):
            return
    mine, plain = subject.filled(world), filled(replace(subject.sampler, reuse=NoReuse()), world, subject.model)
    off = float((mine.score - plain.score).abs().max())
    equal = torch.equal(mine.batch.ids, plain.batch.ids) and off <= NEAR
    require(equal, f"must give what NoReuse gives, since it says exact, but log-probabilities are off by {off:.2g}")


def _in_steps(subject: Subject, world: World) -> Tensor:
    """float64 [M], log-probabilities of all filled slots, sorted within each row and range."""
    done = _by_place(subject, world)[0]
    heads = LAYOUT.head_of(done.batch.ids)[world.maskable]
    return _sorted(done.score[world.maskable], world.maskable.nonzero()[:, 0], heads)


def _in_one_pass(subject: Subject, world: World) -> Tensor:
    """The same from the model itself, asked for the whole generation at once."""
    done, group, rank = _by_place(subject, world)
    masked = chained(done.batch, LAYOUT, group, rank)
    found = torch.zeros(len(masked.queries))
    for _, queries, logits in subject.model.logits(masked.inputs, masked.queries, group=masked.group, t=masked.t):
        codes = masked.targets.codes[queries]
        found[queries] = logits.detach().log_softmax(1).gather(1, codes[:, None])[:, 0]
    row = torch.div(masked.queries.slots, masked.inputs.ids[0].numel(), rounding_mode="floor")
    return _sorted(found, row, masked.queries.heads)


def _sorted(values: Tensor, row: Tensor, heads: Tensor) -> Tensor:
    order = torch.tensor(sorted(range(len(values)), key=lambda at: (int(row[at]), int(heads[at]), float(values[at]))))
    return values.double()[order]


def _by_place(subject: Subject, world: World) -> tuple[SamplerState, Tensor, Tensor]:
    """A generation in packing order, the step that filled each slot, from 1, and the rank of each slot."""
    sampler = replace(subject.sampler, order=RasterScore())
    state = SamplerState.start(world.batch, LAYOUT, world.seeds)
    group = torch.zeros(world.batch.shape, dtype=torch.int64)
    for step in sampler.iterate({"main": subject.model}, LAYOUT, state):
        group = torch.where(state.is_open & ~step.state.is_open, step.index + 1, group)
        state = step.state
    return state, group, RasterScore()(world.context(predicted=False)).contiguous()


def answers_every_query(subject: Subject) -> None:
    """Each query of a step has finite logits of its own range, once."""
    step, cache = subject.begin(World())
    answer = subject.component.score(subject.model, step, cache)
    found = torch.cat([group.queries for group in answer.groups])
    once = torch.equal(found.sort().values, torch.arange(len(step.queries)))
    require(once, f"must answer each of {len(step.queries)} queries once, got {len(found)} answers")
    for head, queries, logits in answer.groups:
        right = list(logits.shape) == [len(queries), LAYOUT.ranges[head].size] and bool(logits.isfinite().all())
        require(right, f"logits must be finite [{len(queries)}, {LAYOUT.ranges[head].size}], got {list(logits.shape)}")
        own = bool((step.queries.heads[queries] == head).all())
        require(own, "must answer a query by codes of its own range, got another")


def rows_of_the_cache_can_be_chosen(subject: Subject) -> None:
    """A cache holds all rows, and some of them in another order go on as they would have."""
    step, cache = subject.begin(World())
    if cache is None:
        return
    rows = len(step.t)
    require(cache.num_rows == rows, f"the cache must hold the {rows} rows of the batch, got {cache.num_rows}")
    index = torch.tensor([4, 1])
    size = step.inputs.ids[0].numel()
    chosen = cache.rows(index)
    require(chosen.num_rows == 2, f"rows of the cache must be those that are named, 2, got {chosen.num_rows}")
    row = torch.div(step.queries.slots, size, rounding_mode="floor")
    taken = [(row == number).nonzero().squeeze(1) for number in index.tolist()]
    slots = torch.cat([step.queries.slots[own] % size + place * size for place, own in enumerate(taken)])
    part = replace(
        step,
        inputs=step.inputs.rows(index),
        queries=Queries(slots, step.queries.heads[torch.cat(taken)]),
        t=step.t[index],
        order=None if step.order is None else step.order[index],
        fresh=None if step.fresh is None else step.fresh[index],
    )
    mine = _by_query(subject.component.score(subject.model, part, chosen).groups)
    step, cache = subject.begin(World())
    whole = _by_query(subject.component.score(subject.model, step, cache).groups)
    for query, own in enumerate(torch.cat(taken).tolist()):
        near = torch.allclose(mine[query], whole[own], atol=NEAR)
        require(near, "rows of the cache must go on as they would have among all, got other logits")


def _by_query(groups: tuple[RangeLogits, ...]) -> dict[int, Tensor]:
    return {query: row for _, queries, logits in groups for query, row in zip(queries.tolist(), logits, strict=True)}


def rows_do_not_matter_to_one_another(subject: Subject) -> None:
    """A row is filled alone as among others, in any order and with any padding."""
    whole = World()
    expected = subject.filled(whole)
    for company, world in [*others(whole)[:2], *others(whole)[3::3]]:
        done = subject.filled(world)
        for place, number in enumerate(world.numbers):
            length, levels = (min(a, b) for a, b in zip(done.score.shape[1:], expected.score.shape[1:], strict=True))
            mine, its = done.batch.ids[place, :length, :levels], expected.batch.ids[number, :length, :levels]
            require(torch.equal(mine, its), f"must fill row {number} {company} as among the others, got other codes")


def _subject(reuse: Reuse, *, model: MaskedModel | None = None) -> Subject:
    return Subject(reuse, model)


REUSES = Contract(
    "reuse",
    Reuse,
    (
        plans_inner_runs,
        fills_everything_and_keeps_what_is_given,
        exact_means_equal,
        answers_every_query,
        rows_of_the_cache_can_be_chosen,
        rows_do_not_matter_to_one_another,
        *value_requirements(_use),
    ),
    _subject,
)


def check_reuse(reuse: Reuse, *, model: MaskedModel | None = None) -> list[str]:
    """Runs every check of a reuse policy; see :meth:`Contract.check` for what it returns and raises.

    Args:
        reuse: any.
        model: that it takes, of the layout :data:`tokenmask.testing.LAYOUT`; the first of small ones that it does not
            refuse if None.
    """
    return REUSES.check(reuse, model=model)

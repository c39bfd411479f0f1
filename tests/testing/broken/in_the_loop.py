"""Broken reuse policies and samplers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch

from tests.testing.broken.planting import planted
from tokenmask.batch import GIVEN
from tokenmask.sampling import GroupCausalReuse, NoReuse, PrefixReuse, Sampler, Step

NOTHING, PREFIX, CHAINS, LOOP = NoReuse(), PrefixReuse(), GroupCausalReuse(), Sampler(2)


def logits_of(change):
    """A policy whose logits are others."""

    def score(self, model, step, cache):
        scored = NOTHING.score(model, step, cache)
        return replace(
            scored, groups=tuple(group._replace(logits=change(group.logits, step)) for group in scored.groups)
        )

    return score


def writes_into_the_rows(self, model, step, cache):
    scored = NOTHING.score(model, step, cache)
    step.inputs.ids[step.inputs.role == GIVEN] = 1
    return scored


def forgets_a_group(self, model, step, cache):
    scored = NOTHING.score(model, step, cache)
    return replace(scored, groups=scored.groups[:-1]) if len(scored.groups) > 2 else scored


@dataclass(frozen=True)
class TurnedRows:
    """A cache whose rows come in another order than they were asked for."""

    inner: Any

    @property
    def num_rows(self):
        return self.inner.num_rows

    def rows(self, index):
        return TurnedRows(self.inner.rows(index.flip(0)))


def keeps_turned(self, model, step, cache):
    scored = PREFIX.score(model, step, None if cache is None else cache.inner)
    return replace(scored, cache=TurnedRows(scored.cache))


def stops_early(self, models, layout, state):
    yield next(iter(LOOP.iterate(models, layout, state)))


def shows_other_rows(self, models, layout, state):
    given = ~state.is_open & (state.batch.role == GIVEN)
    for step in LOOP.iterate(models, layout, state):
        ids = torch.where(given, 1, step.state.batch.ids)
        yield Step(step.index, step.total, replace(step.state, batch=replace(step.state.batch, ids=ids)))


def by_place(self, models, layout, state):
    places = torch.arange(len(state.seeds)) + state.seeds[:1]
    yield from LOOP.iterate(models, layout, replace(state, seeds=places))


def always_alike(self, models, layout, state):
    yield from LOOP.iterate(models, layout, replace(state, seeds=state.seeds * 0))


def halves(self, model, step, cache):
    scored = CHAINS.score(model, step, cache)
    return replace(scored, groups=tuple(group._replace(logits=group.logits / 2) for group in scored.groups))


BROKEN: dict[tuple[str, str], Any] = {
    ("reuse", "plans_inner_runs"): planted(NOTHING, inner=lambda self, steps: [*range(1, steps), 0]),
    ("reuse", "fills_everything_and_keeps_what_is_given"): planted(NOTHING, score=writes_into_the_rows),
    ("reuse", "exact_means_equal"): planted(NOTHING, score=logits_of(lambda logits, step: logits * 0.5)),
    ("reuse", "answers_every_query"): planted(NOTHING, score=forgets_a_group),
    ("reuse", "rows_of_the_cache_can_be_chosen"): planted(PREFIX, score=keeps_turned),
    ("reuse", "rows_do_not_matter_to_one_another"): planted(
        NOTHING, score=logits_of(lambda logits, step: logits / len(step.t))
    ),
    ("sampler", "fills_everything"): planted(LOOP, iterate=stops_early),
    ("sampler", "keeps_what_is_given"): planted(LOOP, iterate=shows_other_rows),
    ("sampler", "rows_do_not_matter_to_one_another"): planted(LOOP, iterate=by_place),
    ("sampler", "draws_follow_seed_and_keys"): planted(LOOP, iterate=always_alike),
}

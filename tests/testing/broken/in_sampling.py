"""Broken schedules, picks, guidance, constraints and revocations."""

from __future__ import annotations

import collections
import math
from dataclasses import replace
from typing import Any

import torch

from tests.testing.broken.planting import planted
from tokenmask.batch import FILL, GIVEN
from tokenmask.masking import Linear
from tokenmask.sampling import (
    AllowAll,
    Categorical,
    ClassifierFree,
    ConfidenceAbove,
    RevokeDrawn,
    RevokeLeastLikely,
    UniformSchedule,
)

EVEN, SURE, PICK, PUSH, LEAST, DRAWN = (
    UniformSchedule(),
    ConfidenceAbove(0.6),
    Categorical(),
    ClassifierFree(),
    RevokeLeastLikely(0.5),
    RevokeDrawn(process=Linear()),
)


def rising(initial, steps):
    plan = EVEN.plan(initial, steps)
    return [initial + 1, *plan[1:]] if len(plan) > 1 else plan


def in_bits(self, *told):
    codes, logprob, entropy, margin = PICK(*told)
    return codes, logprob, entropy / math.log(2), margin


def above(self, *told):
    codes, *statistics = PICK(*told)
    return (codes + told[0].shape[1], *statistics)


def alternating():
    turns = collections.Counter()

    def allowed(self, context):
        turns[context.head] += 1
        return torch.arange(context.layout.ranges[context.head].size) % 2 == turns[context.head] % 2

    return allowed


def as_often_as_others(self, context):
    """Codes that stand in more than a few slots of the batch are no longer drawn."""
    place = context.layout.ranges[context.head]
    codes = (context.state.batch.ids - place.offset).flatten()
    often = torch.bincount(codes[(codes >= 0) & (codes < place.size)], minlength=place.size)
    return often <= often.float().mean()


def without(batch, where):
    return replace(batch, valid=batch.valid & ~where)


BROKEN: dict[tuple[str, str], Any] = {
    ("schedule", "plans_every_step"): planted(EVEN, plan=lambda self, initial, steps: [*EVEN.plan(initial, steps), 0]),
    ("schedule", "ends_with_nothing_open"): planted(
        EVEN, plan=lambda self, initial, steps: [*EVEN.plan(initial, steps)[:-1], min(initial, 1)]
    ),
    ("schedule", "never_opens_more"): planted(EVEN, plan=lambda self, initial, steps: rising(initial, steps)),
    ("schedule", "tells_the_time_of_a_share"): planted(EVEN, time=lambda self, share: 1 - share),
    ("schedule", "reveals_within_bounds"): planted(SURE, reveal=lambda self, context: context.is_open.sum((1, 2)) + 1),
    ("schedule", "rows_do_not_matter_to_one_another"): planted(
        SURE,
        reveal=lambda self, context: torch.minimum(SURE.reveal(context).amax(), context.is_open.sum((1, 2))),
    ),
    ("pick", "draws_codes_of_the_range"): planted(PICK, __call__=above),
    ("pick", "statistics_are_of_one_softmax"): planted(PICK, __call__=in_bits),
    ("pick", "obeys_what_is_allowed"): planted(
        PICK, __call__=lambda self, c, u, context: PICK(c, u, replace(context, allowed=None))
    ),
    ("pick", "guides_as_it_is_told"): planted(PICK, __call__=lambda self, c, u, context: PICK(c, None, context)),
    ("pick", "slots_do_not_matter_to_one_another"): planted(
        PICK,
        __call__=lambda self, c, u, context: PICK(
            c, u, replace(context, counters=torch.arange(len(c)) + context.counters.sum())
        ),
    ),
    ("pick", "rows_do_not_matter_to_one_another"): planted(
        PICK, __call__=lambda self, c, u, at: PICK(c / (1 + at.state.is_open.float().mean()), u, at)
    ),
    ("pick", "draws_follow_seed_and_keys"): planted(
        PICK, __call__=lambda self, c, u, context: PICK(c, u, replace(context, seeds=context.seeds * 0))
    ),
    ("pick", "takes_another_temperature"): planted(PICK, at=lambda self, temperature: self),
    ("guidance", "scale_is_a_number"): planted(PUSH, scale=lambda self, progress: math.log(progress + 1e-9) * math.inf),
    ("guidance", "passes_keep_rows_as_they_are"): planted(
        PUSH,
        unconditional=lambda self, batch, context: without(PUSH.unconditional(batch), (batch.role == FILL).any(-1)),
    ),
    ("guidance", "drops_the_conditions"): planted(PUSH, unconditional=lambda self, batch, context: batch),
    ("guidance", "rows_do_not_matter_to_one_another"): planted(
        PUSH,
        unconditional=lambda self, batch, context: without(
            PUSH.unconditional(batch), batch.valid & (len(batch.ids) == 1)
        ),
    ),
    ("guidance", "takes_another_strength"): planted(PUSH, at=lambda self, strength: ClassifierFree(2 * strength)),
    ("guidance", "at_scale_1_is_none"): planted(
        PUSH, at=lambda self, strength: ClassifierFree(4.0 if strength == 1 else strength)
    ),
    ("constraint", "says_it_of_every_code"): planted(
        AllowAll(), allowed=lambda self, context: torch.ones(context.layout.ranges[context.head].size)
    ),
    ("constraint", "leaves_a_code_to_draw"): planted(
        AllowAll(),
        allowed=lambda self, context: torch.zeros(context.layout.ranges[context.head].size, dtype=torch.bool),
    ),
    ("constraint", "is_obeyed_by_the_draw"): planted(AllowAll(), allowed=alternating()),
    ("constraint", "says_what_each_row_is_worth"): planted(
        AllowAll(), worth=lambda self, context: torch.zeros(len(context.state.seeds))
    ),
    ("constraint", "rows_do_not_matter_to_one_another"): planted(AllowAll(), allowed=as_often_as_others),
    ("revoke", "opens_committed_slots_alone"): planted(
        LEAST, __call__=lambda self, told: ~told.state.is_open & (told.state.score > -9)
    ),
    ("revoke", "generation_ends_and_keeps_what_is_given"): planted(
        LEAST, __call__=lambda self, told: told.state.batch.ids.masked_fill_(told.state.batch.role == GIVEN, 1) < 0
    ),
    ("revoke", "rows_do_not_matter_to_one_another"): planted(
        LEAST,
        __call__=lambda self, told: told.committed & (told.state.score < told.state.score.mean()),
    ),
    ("revoke", "draws_follow_seed_and_keys"): planted(
        DRAWN,
        __call__=lambda self, told: DRAWN(replace(told, state=replace(told.state, seeds=told.state.seeds * 0))),
    ),
}

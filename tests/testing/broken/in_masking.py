"""Broken processes, rates, scores, corruptions, stages, chains, maskers and conditionings."""

from __future__ import annotations

import itertools
import math
from dataclasses import replace
from typing import Any

import torch

from tests.testing.broken.planting import planted
from tokenmask.batch import ABSENT, FILL, GIVEN
from tokenmask.masking import (
    Conditioning,
    Corruption,
    Cosine,
    FixedRate,
    GroupChain,
    LevelStages,
    Linear,
    Masker,
    ProcessRate,
)
from tokenmask.scores import ConfidenceScore, QLDSScore, RandomScore

LAW, RATE, SCORE, STAGES = Cosine(), ProcessRate(Linear()), RandomScore(), LevelStages()
CHAIN, MASKER, GIVES = GroupChain(1.0), Masker(FixedRate(0.5)), Conditioning(0.5)


def by_place(batch):
    """Keys that are the places of the rows in their batch."""
    return replace(batch, sample_ids=torch.arange(batch.shape[0]))


def filled(batch, where=GIVEN):
    """Everything that is there is to be filled."""
    return replace(batch, role=torch.where(batch.role == where, FILL, batch.role).to(torch.int8))


def first(number, then):
    """A share that is ``number`` in the 12 batches that are drawn with it, and ``then`` when it is compared."""
    looks = itertools.count()
    return property(lambda self: number if next(looks) < 12 else then, lambda self, value: None)


def half(corruption):
    corruption.__dict__["mask"] = 0.5
    return corruption


def to_fill_where_nothing_is(batch):
    return batch if bool((batch.role == FILL).any()) else filled(batch)


def least_of_all(self, context, share):
    """As many slots in every row as the row with the fewest has."""
    slots = context.is_open.sum((1, 2))
    return slots.clamp(max=int(slots[slots > 0].min()) if bool(slots.any()) else 0)


BROKEN: dict[tuple[str, str], Any] = {
    ("process", "begins_at_0_and_ends_at_1"): planted(LAW, hidden=lambda self, t: 0.1 + 0.9 * LAW.hidden(t)),
    ("process", "never_falls"): planted(
        Linear(),
        hidden=lambda self, t: t + 0.2 * torch.sin(4 * math.pi * t),
        hidden_prime=lambda self, t: 1 + 0.8 * math.pi * torch.cos(4 * math.pi * t),
    ),
    ("process", "keeps_dtype_and_shape"): planted(LAW, hidden_prime=lambda self, t: LAW.hidden_prime(t).float()),
    ("process", "derivative_is_right"): planted(LAW, hidden_prime=lambda self, t: torch.ones_like(t)),
    ("process", "weight_is_that_of_the_bound"): planted(LAW, weight=lambda self, t: LAW.hidden_prime(t)),
    ("process", "share_is_hidden_of_one_number"): planted(LAW, share=lambda self, t: 1 - t),
    ("process", "random_share_is_a_share"): planted(LAW, random_share=lambda self, t: 1 + t),
    ("rate", "says_a_count_or_a_probability"): planted(
        RATE, __call__=lambda self, n, **told: replace(RATE(n, **told), count=RATE(n, **told).count + 1)
    ),
    ("rate", "says_whether_each_slot_is_alone"): planted(RATE, each_slot_alone=True),
    ("rate", "more_time_hides_no_less"): planted(
        RATE, __call__=lambda self, n, **told: replace(RATE(n, **told), count=n - RATE(n, **told).count)
    ),
    ("rate", "each_row_counts_for_itself"): planted(
        RATE, __call__=lambda self, n, **told: RATE(n, **{**told, "sample_ids": torch.arange(len(n)) + told["seed"]})
    ),
    ("rate", "draws_follow_seed_and_keys"): planted(
        RATE, __call__=lambda self, n, **told: RATE(n, **{**told, "seed": 0})
    ),
    ("score", "scores_every_open_slot"): planted(SCORE, __call__=lambda self, context: SCORE(context) / 0.0),
    ("score", "rows_do_not_matter_to_one_another"): planted(
        SCORE, __call__=lambda self, context: SCORE(context) - context.is_open.sum()
    ),
    ("score", "draws_follow_seed_and_keys"): planted(
        SCORE, __call__=lambda self, context: SCORE(replace(context, seeds=torch.zeros_like(context.seeds)))
    ),
    ("score", "says_whether_it_reads_predictions"): planted(
        QLDSScore(), __call__=lambda self, c: c.predictions.get("logprob", torch.zeros(c.is_open.shape))
    ),
    ("score", "says_whether_it_reads_drawn_codes"): planted(ConfidenceScore(), reads_drawn_codes=False),
    ("score", "says_that_it_reads_predictions_if_it_taps"): planted(SCORE, taps=lambda self, context: ["layer.0"]),
    ("score", "spreads_within_bounds"): planted(
        SCORE, spread=lambda self, context, share: context.is_open.sum((1, 2)) + 1
    ),
    ("score", "spread_follows_from_the_row"): planted(SCORE, spread=least_of_all),
    ("score", "carries_rows"): planted(SCORE, observe=lambda self, context: {"seen": torch.zeros(2, 3)}),
    ("corruption", "shares_are_a_whole"): half(planted(Corruption())),
    ("corruption", "corrupts_as_it_says"): planted(
        Corruption(0.5, 0.0, 0.5), mask=first(1.0, then=0.5), keep=first(0.0, then=0.5)
    ),
    ("stages", "draws_a_stage_for_each_row"): planted(
        STAGES, stage=lambda self, *told, **keys: -STAGES.stage(*told, **keys)
    ),
    ("stages", "parts_what_is_to_fill"): planted(
        STAGES, split=lambda self, *told: (STAGES.split(*told)[0], told[1], STAGES.split(*told)[2])
    ),
    ("stages", "is_one_call"): planted(
        STAGES, __call__=lambda self, *told, **keys: STAGES(*told, **{**keys, "seed": keys["seed"] + 1})
    ),
    ("stages", "rows_do_not_matter_to_one_another"): planted(
        STAGES,
        stage=lambda self, ids, may, layout, seed, sample_ids: STAGES.stage(
            ids, may, layout, seed=seed, sample_ids=torch.arange(len(ids)) + sample_ids[:1]
        ),
    ),
    ("stages", "draws_follow_seed_and_keys"): planted(
        STAGES, stage=lambda self, *told, **keys: STAGES.stage(*told, **{**keys, "seed": 0})
    ),
    ("chain", "asks_every_slot_once"): planted(
        CHAIN, __call__=lambda self, *told, **keys: one_less(CHAIN(*told, **keys))
    ),
    ("chain", "shows_nothing_before_it_was_asked"): planted(
        CHAIN, __call__=lambda self, *told, **keys: in_one_group(CHAIN(*told, **keys))
    ),
    ("chain", "rows_do_not_matter_to_one_another"): planted(
        CHAIN, __call__=lambda self, batch, *told, **keys: CHAIN(by_place(batch), *told, **keys)
    ),
    ("chain", "draws_follow_seed_and_keys"): planted(
        CHAIN, __call__=lambda self, *told, **keys: CHAIN(*told, **{**keys, "seed": 0})
    ),
    ("masker", "hides_slots_to_fill_alone"): planted(
        MASKER, __call__=lambda self, batch, *told, **keys: MASKER(filled(batch), *told, **keys)
    ),
    ("masker", "targets_are_right"): planted(
        MASKER, __call__=lambda self, *told, **keys: with_other_codes(MASKER(*told, **keys))
    ),
    ("masker", "hides_as_many_as_the_rate_says"): planted(
        MASKER, __call__=lambda self, *told, **keys: Masker(FixedRate(0.9))(*told, **keys)
    ),
    ("masker", "rows_do_not_matter_to_one_another"): planted(
        MASKER, __call__=lambda self, batch, *told, **keys: with_keys(MASKER(by_place(batch), *told, **keys), batch)
    ),
    ("masker", "draws_follow_seed_and_keys"): planted(
        MASKER, __call__=lambda self, *told, **keys: MASKER(*told, **{**keys, "seed": 0})
    ),
    ("masker", "takes_scores_of_others"): planted(
        MASKER, __call__=lambda self, batch, layout, seed, scores=None: MASKER(batch, layout, seed=seed)
    ),
    ("masker", "hides_nothing_where_nothing_is_to_fill"): planted(
        MASKER, __call__=lambda self, batch, *told, **keys: MASKER(to_fill_where_nothing_is(batch), *told, **keys)
    ),
    ("conditioning", "changes_roles_and_validity_alone"): planted(
        GIVES, __call__=lambda self, batch, *told, **keys: with_other_ids(GIVES(batch, *told, **keys))
    ),
    ("conditioning", "every_row_fills_a_stream"): planted(
        GIVES, __call__=lambda self, batch, *told, **keys: given(GIVES(batch, *told, **keys))
    ),
    ("conditioning", "rows_do_not_matter_to_one_another"): planted(
        GIVES,
        __call__=lambda self, batch, *told, **keys: replace(
            GIVES(by_place(batch), *told, **keys), sample_ids=batch.sample_ids
        ),
    ),
    ("conditioning", "draws_follow_seed_and_keys"): planted(
        GIVES, __call__=lambda self, *told, **keys: GIVES(*told, **{**keys, "seed": 0})
    ),
}


def one_less(masked):
    queries, targets = masked.queries, masked.targets
    return replace(
        masked,
        queries=replace(
            queries, slots=queries.slots[:-1], heads=queries.heads[:-1], coordinates=queries.coordinates[:-1]
        ),
        targets=replace(targets, queries=targets.queries[:-1], codes=targets.codes[:-1], weights=targets.weights[:-1]),
    )


def in_one_group(masked):
    return replace(masked, group=torch.zeros_like(masked.group))


def with_other_codes(masked):
    return replace(masked, targets=replace(masked.targets, codes=(masked.targets.codes + 1) % 5))


def with_keys(masked, batch):
    return replace(masked, inputs=replace(masked.inputs, sample_ids=batch.sample_ids), clean=batch)


def with_other_ids(batch):
    return replace(batch, ids=batch.ids.flip(0))


def given(batch):
    return replace(batch, role=torch.where(batch.role == ABSENT, ABSENT, GIVEN).to(torch.int8))

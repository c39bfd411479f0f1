"""Maskers: what is hidden, and what is said to be right.

Does not know: which masker.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tokenmask.batch import ABSENT, GIVEN
from tokenmask.masking import MaskedBatch, Masker
from tokenmask.scores import Score
from tokenmask.testing.alike import alike, finite
from tokenmask.testing.anything import in_any_company, value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.draws import follows_its_keys
from tokenmask.testing.world import LAYOUT, World

SEEDS = (0, 1, 2)


def _without_chain(masker: Masker) -> Masker:
    """Without the batches that are chains, which hide nothing but line everything up anew."""
    return masker if masker.chain is None else replace(masker, chain=None)


def masked_of(masker: Masker, world: World, seed: int = 0) -> MaskedBatch:
    """The world as the masker masks it."""
    return masker(world.batch, LAYOUT, seed=seed)


def used(masker: Masker, world: World) -> list[Any]:
    """What a masker makes of the world, for checks of any component."""
    return [masked_of(masker, world, seed) for seed in SEEDS]


def hides_slots_to_fill_alone(masker: Masker) -> None:
    """What is given stays, and so does everything but the ids."""
    world, masker = World(), _without_chain(masker)
    for seed in SEEDS:
        masked = masked_of(masker, world, seed)
        inputs, clean = masked.inputs, world.batch
        require(inputs.ids.shape == clean.ids.shape, "inputs must have the shape of the batch")
        changed = (inputs.ids != clean.ids) & ~world.maskable
        require(not bool(changed.any()), "must leave slots that are given or absent as they are, but changed one")
        rest = replace(inputs, ids=clean.ids)
        require(alike(rest, clean), "must change nothing of the batch but its ids")
        own = LAYOUT.head_of(inputs.ids) == LAYOUT.head_of(clean.ids)
        require(bool(own.all()), "must put MASK or a code of the slot's own range, but got an id of another range")
        said = torch.equal(masked.hidden, inputs.ids != clean.ids)
        require(said, "hidden must be True where the inputs do not show the clean id, and nowhere else")


def targets_are_right(masker: Masker) -> None:
    """Queries name slots to fill, ascending, with their ranges; targets are the clean codes. Chains too."""
    for seed in SEEDS:
        masked = masked_of(masker, World(), seed)
        queries, targets = masked.queries, masked.targets
        slots = queries.slots
        inside = slots.dtype == torch.int64 and bool(((slots >= 0) & (slots < masked.inputs.ids.numel())).all())
        require(inside, "queries must be int64 indices of slots of the inputs")
        require(bool((slots.diff() > 0).all()), "queries must be ascending slots, each of them once")
        sizes = LAYOUT.sizes()[queries.heads][targets.queries]
        known = bool(((targets.codes >= 0) & (targets.codes < sizes)).all())
        require(known, "targets must be codes of the queries' own ranges")
        lengths = {len(targets.queries), len(targets.codes), len(targets.weights)}
        require(len(lengths) == 1 and finite(targets.weights), "targets need a query, a code and a finite weight each")
        if queries.coordinates is not None:  # asked for another place than their own
            continue
        clean = masked.clean.ids.flatten()[slots]
        require(torch.equal(LAYOUT.head_of(clean), queries.heads), "queries must ask the range of their slot")
        codes = (clean - LAYOUT.first_of(clean))[targets.queries]
        require(torch.equal(codes.long(), targets.codes), "targets must be the codes that stood there, got others")
        to_fill = World().maskable.flatten()[slots]
        require(bool(to_fill.all()), "must ask for slots to fill alone, but asked for one that is given")


def hides_as_many_as_the_rate_says(masker: Masker) -> None:
    """Exactly the count of the rate, in every row, where nothing else decides how many: no strategy that spreads."""
    if masker.chain is not None or masker.stages is not None or type(masker.strategy).spread is not Score.spread:
        return
    world = World()
    for seed in SEEDS:
        amount = masker.rate(
            world.maskable.sum((1, 2)), step=0, total_steps=1, seed=seed, sample_ids=world.batch.sample_ids
        )
        if amount.count is None:
            return
        masked = masked_of(masker, world, seed)
        row = torch.div(masked.queries.slots, world.batch.ids[0].numel(), rounding_mode="floor")
        chosen = torch.bincount(row, minlength=len(amount.count))
        wrong = chosen != amount.count
        at = int(wrong.int().argmax())
        require(
            not bool(wrong.any()),
            f"must choose {amount.count[at]} slots of row {at} as its rate says, got {chosen[at]}",
        )


def rows_do_not_matter_to_one_another(masker: Masker) -> None:
    """What is hidden in a row follows from its own slots and key.

    Compiled draws are numbered by position * K + level, so batches of one K are compared.
    """
    masker = _without_chain(masker)
    if masker.rate.draws_for_batch:
        return

    def answers(world: World) -> list[Tensor]:
        masked = masked_of(masker, world)
        asked = torch.zeros_like(masked.hidden).flatten()
        asked[masked.queries.slots] = True
        return [masked.inputs.ids, masked.t, asked.view_as(masked.hidden)]

    in_any_company(answers, World(num_levels=3))


def draws_follow_seed_and_keys(masker: Masker) -> None:
    """Another seed and another key hide other slots, or nothing is drawn."""
    masker = _without_chain(masker)
    follows_its_keys(lambda seed, keys: masked_of(masker, World(keys=keys), seed).inputs.ids)


def takes_scores_of_others(masker: Masker) -> None:
    """``scores`` say which slots are hidden, in the place of its strategy."""
    world = World()
    masker = _without_chain(masker)
    if masker.stages is not None or masked_of(masker, world).targets.codes.numel() == 0:
        return
    rows, length, levels = world.batch.shape
    first_is_best = -torch.arange(float(length * levels)).expand(rows, -1)
    try:
        masked = masker(world.batch, LAYOUT, seed=0, scores=first_is_best.reshape(rows, length, levels))
    except ValueError:  # a rate that hides each slot on its own refuses them
        return
    asked = torch.zeros_like(masked.hidden).flatten()
    asked[masked.queries.slots] = True
    for own, may in zip(asked.view(rows, -1), world.maskable.flatten(1), strict=True):
        first = may.nonzero().squeeze(1)[: int(own.sum())]
        require(bool(own[first].all()), "must hide the slots with the highest scores that it is given, got others")


def hides_nothing_where_nothing_is_to_fill(masker: Masker) -> None:
    """A batch in which everything is given has no queries."""
    batch = World().batch
    given = replace(batch, role=torch.where(batch.role == ABSENT, batch.role, GIVEN).to(torch.int8))
    masked = masker(given, LAYOUT, seed=0)
    require(not len(masked.queries), f"must ask for nothing where all is given, got {len(masked.queries)} queries")


MASKERS = Contract(
    "masker",
    Masker,
    (
        hides_slots_to_fill_alone,
        targets_are_right,
        hides_as_many_as_the_rate_says,
        rows_do_not_matter_to_one_another,
        draws_follow_seed_and_keys,
        takes_scores_of_others,
        hides_nothing_where_nothing_is_to_fill,
        *value_requirements(used),
    ),
)


def check_masker(masker: Masker) -> list[str]:
    """Runs every check of a masker; see :meth:`Contract.check` for what it returns and raises."""
    return MASKERS.check(masker)

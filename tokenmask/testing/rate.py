"""Rates: how many slots of each row are hidden in a training step.

Does not know: which rate.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tokenmask.masking import Amount, Rate
from tokenmask.testing.alike import finite
from tokenmask.testing.anything import value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.draws import follows_its_keys
from tokenmask.testing.world import World

SLOTS = torch.arange(64) * 7 % 41  # of each row, 0 among them
STEPS = ((0, 1), (0, 100), (50, 100), (99, 100))


def _amount(rate: Rate, slots: Tensor = SLOTS, step: tuple[int, int] = (0, 1), seed: int = 3, first: int = 0) -> Amount:
    keys = torch.arange(len(slots)) * 11 + first
    return rate(slots, step=step[0], total_steps=step[1], seed=seed, sample_ids=keys)


def _said(amount: Amount) -> Tensor:
    """How much, as a tensor [B]; the count or the probability."""
    value = amount.count if amount.count is not None else amount.probability
    assert value is not None
    return value


def _use(rate: Rate, world: World) -> list[Any]:
    given = world.maskable.sum((1, 2))
    keys, slots = world.batch.sample_ids, world.lend("numbers of slots", SLOTS)
    return [
        *(_amount(rate, slots, step) for step in STEPS),
        rate(given, step=0, total_steps=1, seed=3, sample_ids=keys),
    ]


def says_a_count_or_a_probability(rate: Rate) -> None:
    """Exactly one of the two, of the right dtype and inside its bounds, in every step; t in 0..1."""
    for step in STEPS:
        amount, where = _amount(rate, step=step), f"in step {step[0]} of {step[1]}"
        count, probability, t = amount.count, amount.probability, amount.t
        require((count is None) != (probability is None), "must set exactly one of count and probability")
        require(
            t.dtype == torch.float32 and t.shape == SLOTS.shape and finite(t) and bool(((t >= 0) & (t <= 1)).all()),
            f"t must be float32 [{len(SLOTS)}] in 0..1, got {t.dtype} {list(t.shape)} {where}",
        )
        if count is not None:
            got = f"{count.dtype} {list(count.shape)}"
            right = count.dtype == torch.int64 and count.shape == SLOTS.shape
            require(right, f"count must be int64 [{len(SLOTS)}], got {got}")
            over = (count < 0) | (count > SLOTS)
            row = int(over.int().argmax())
            require(
                not bool(over.any()),
                f"count must lie in 0..slots that may be hidden, got {count[row]} of {SLOTS[row]} {where}",
            )
        if probability is not None:
            right = probability.dtype == torch.float32 and probability.shape == SLOTS.shape and finite(probability)
            require(
                right and bool(((probability >= 0) & (probability <= 1)).all()),
                f"probability must be float32 [{len(SLOTS)}] in 0..1, got {probability.dtype} from "
                f"{float(probability.min()):g} to {float(probability.max()):g} {where}",
            )


def says_whether_each_slot_is_alone(rate: Rate) -> None:
    """``each_slot_alone`` tells a masker beforehand that amounts are probabilities."""
    for step in STEPS:
        found = _amount(rate, step=step).probability is not None
        said = f"must give a probability where each_slot_alone says so, and only there; it is {rate.each_slot_alone}"
        require(found == rate.each_slot_alone, said)


def more_time_hides_no_less(rate: Rate) -> None:
    """t = 0 hides nothing and t = 1 everything, so of rows of one size a larger t hides no less."""
    amount = _amount(rate, torch.full((64,), 40))
    order = amount.t.argsort(stable=True)
    said, t = _said(amount)[order], amount.t[order]
    falls = (said.diff() < 0) & (t.diff() > 0)
    require(not bool(falls.any()), "must hide no less where t is larger, got less")


def each_row_counts_for_itself(rate: Rate) -> None:
    """A row's amount follows from its slots and key alone; where the batch shares a draw, from that too."""
    whole = _amount(rate)
    if rate.draws_for_batch:
        require(len(set(whole.t.tolist())) == 1, "must have one t for the batch, since draws_for_batch says so")
        return
    for index in ([5], [9, 5, 60], list(range(63, -1, -1))):
        rows = torch.tensor(index)
        part = rate(SLOTS[rows], step=0, total_steps=1, seed=3, sample_ids=rows * 11)
        same = torch.equal(part.t, whole.t[rows]) and torch.equal(_said(part), _said(whole)[rows])
        require(same, f"must give a row the same amount in any batch, got another one among the rows {index[:3]}")


def draws_follow_seed_and_keys(rate: Rate) -> None:
    """Another seed and another key draw anew, or nothing is drawn."""
    slots = torch.full((64,), 1000)
    follows_its_keys(lambda seed, first: _said(_amount(rate, slots, seed=seed, first=first)))


RATES = Contract(
    "rate",
    Rate,
    (
        says_a_count_or_a_probability,
        says_whether_each_slot_is_alone,
        more_time_hides_no_less,
        each_row_counts_for_itself,
        draws_follow_seed_and_keys,
        *value_requirements(_use),
    ),
)


def check_rate(rate: Rate) -> list[str]:
    """Runs every check of a rate; see :meth:`Contract.check` for what it returns and raises."""
    return RATES.check(rate)

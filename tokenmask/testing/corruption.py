"""Corruption: what stands in a chosen slot.

Does not know: which corruption.
"""

from __future__ import annotations

import torch

from tokenmask.masking import Corruption, FixedRate, Masker
from tokenmask.testing.anything import value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.masker import masked_of, used
from tokenmask.testing.world import LAYOUT, World


def _corrupted(corruption: Corruption, seeds: int) -> dict[str, float]:
    """Shares of masked, random and kept among all slots to fill, over many draws."""
    masker, world, seen = Masker(FixedRate(1.0), corruption=corruption), World(), []
    for seed in range(seeds):
        ids, clean = masked_of(masker, world, seed).inputs.ids, world.batch.ids
        kept, hidden = ids == clean, ids == LAYOUT.mask_of(clean)
        seen.append(torch.stack([hidden, ~hidden & ~kept, kept], -1)[world.maskable])
    total = torch.cat(seen).double().mean(0)
    return dict(zip(("mask", "random", "keep"), total.tolist(), strict=True))


def shares_are_a_whole(corruption: Corruption) -> None:
    """None is negative and they sum to 1."""
    shares = (corruption.mask, corruption.random, corruption.keep)
    whole = min(shares) >= 0 and abs(sum(shares) - 1) < 1e-6
    require(whole, f"mask, random and keep must not be negative and sum to 1, got {shares}")


def corrupts_as_it_says(corruption: Corruption) -> None:
    """Over many slots each share is what it says; a random code may be the right one."""
    found = _corrupted(corruption, 12)
    likely = 0.15  # of a random code to be the code itself, over ranges of 5 to 11
    for name, low, high in (
        ("mask", corruption.mask, corruption.mask),
        ("random", corruption.random * (1 - likely - 0.06), corruption.random),
        ("keep", corruption.keep, corruption.keep + corruption.random * (likely + 0.06)),
    ):
        near = low - 0.06 <= found[name] <= high + 0.06
        require(near, f"must {name} a share of {getattr(corruption, name):g} of the slots, got {found[name]:.3f}")


CORRUPTIONS = Contract(
    "corruption",
    Corruption,
    (
        shares_are_a_whole,
        corrupts_as_it_says,
        *value_requirements(
            lambda corruption, world: used(Masker(FixedRate(1.0), corruption=corruption), world), given=False
        ),
    ),
)


def check_corruption(corruption: Corruption) -> list[str]:
    """Runs every check of a corruption; see :meth:`Contract.check` for what it returns and raises."""
    return CORRUPTIONS.check(corruption)

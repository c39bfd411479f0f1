"""Chains: a whole generation in groups as one masked batch, in which nothing is seen before it was revealed.

Does not know: which chain.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tokenmask.masking import GroupChain, MaskedBatch
from tokenmask.testing.anything import in_any_company, value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.draws import follows_its_keys
from tokenmask.testing.world import LAYOUT, World

SEEDS = (0, 1, 2)


def _chain(chain: GroupChain, world: World, seed: int = 0) -> MaskedBatch:
    return chain(world.batch, LAYOUT, seed=seed)


def _use(chain: GroupChain, world: World) -> list[Any]:
    return [(_chain(chain, world, seed), chain.drawn(world.batch, seed)) for seed in SEEDS]


def _rows(masked: MaskedBatch) -> Tensor:
    """int64 [M], the row of each query."""
    return torch.div(masked.queries.slots, masked.inputs.ids[0].numel(), rounding_mode="floor")


def asks_every_slot_once(chain: GroupChain) -> None:
    """Each slot to fill is asked for once, at its own place, with the code that stands there as its target."""
    world = World()
    place = world.batch.coordinates[:, :, None].expand(*world.batch.shape, 3)
    for seed in SEEDS:
        masked = _chain(chain, world, seed)
        row, at = _rows(masked), masked.queries.coordinates
        require(at is not None, "queries must say the places that they ask for, got none")
        assert at is not None
        asked = zip(
            row.tolist(), masked.queries.heads.tolist(), at.tolist(), masked.targets.codes.tolist(), strict=True
        )
        wanted = zip(
            world.maskable.nonzero()[:, 0].tolist(),
            LAYOUT.head_of(world.batch.ids)[world.maskable].tolist(),
            place[world.maskable].tolist(),
            (world.batch.ids - LAYOUT.first_of(world.batch.ids))[world.maskable].tolist(),
            strict=True,
        )
        require(sorted(asked) == sorted(wanted), "must ask for each slot to fill once, with its code as the target")


def shows_nothing_before_it_was_asked(chain: GroupChain) -> None:
    """A code is shown in later groups than the one that is asked for it alone."""
    for seed in SEEDS:
        masked = _chain(chain, World(), seed)
        inputs, group, at = masked.inputs, masked.group, masked.queries.coordinates
        require(group is not None, "must say the groups of its positions, got none")
        assert group is not None and at is not None
        heads = LAYOUT.head_of(inputs.ids)
        shown = (heads >= 0) & (inputs.ids != LAYOUT.mask_of(inputs.ids))
        position = torch.div(masked.queries.slots, inputs.shape[2], rounding_mode="floor")
        own = group.flatten()[position]
        for query, row in enumerate(_rows(masked).tolist()):
            here = (inputs.coordinates[row] == at[query]).all(-1)[:, None] & (heads[row] == masked.queries.heads[query])
            early = here & shown[row] & (group[row] <= own[query])[:, None]
            require(
                not bool(early.any()), "must show a code in groups after the one that is asked for it, got one earlier"
            )


def rows_do_not_matter_to_one_another(chain: GroupChain) -> None:
    """Positions and groups of a row follow from its own slots and key."""

    def answers(world: World) -> list[Tensor]:
        masked = _chain(chain, world)
        assert masked.group is not None
        there = (masked.inputs.stream >= 0) & masked.inputs.valid
        return [
            torch.where(there[:, :, None], masked.inputs.ids, 0),
            torch.where(there, masked.group, 0),
        ]

    in_any_company(answers)


def draws_follow_seed_and_keys(chain: GroupChain) -> None:
    """Another seed and another key draw another order, or nothing is drawn."""

    def draw(seed: int, keys: int) -> Tensor:
        masked = _chain(chain, World(keys=keys), seed)
        return torch.cat([masked.inputs.coordinates.flatten(), masked.targets.codes])

    follows_its_keys(draw)


CHAINS = Contract(
    "chain",
    GroupChain,
    (
        asks_every_slot_once,
        shows_nothing_before_it_was_asked,
        rows_do_not_matter_to_one_another,
        draws_follow_seed_and_keys,
        *value_requirements(_use),
    ),
)


def check_chain(chain: GroupChain) -> list[str]:
    """Runs every check of a masker's chain; see :meth:`Contract.check` for what it returns and raises."""
    return CHAINS.check(chain)

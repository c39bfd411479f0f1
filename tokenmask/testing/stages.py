"""Stages: which depth of a multi-level stream a row learns in this step.

Does not know: which stages.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tokenmask.masking import LevelStages
from tokenmask.testing.anything import in_any_company, value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.draws import follows_its_keys
from tokenmask.testing.world import LAYOUT, World

SEEDS = (0, 1, 2)


def _depth(stages: LevelStages, world: World, seed: int = 0) -> Tensor:
    batch = world.batch
    return stages.depth(batch.ids, world.maskable, LAYOUT, seed=seed, sample_ids=batch.sample_ids)


def _split(stages: LevelStages, world: World, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    return stages.split(world.batch.ids, world.maskable, LAYOUT, _depth(stages, world, seed))


def _use(stages: LevelStages, world: World) -> list[Any]:
    return [(_depth(stages, world, seed), _split(stages, world, seed)) for seed in SEEDS]


def draws_a_depth_that_is_there(stages: LevelStages) -> None:
    """int64 [B], a depth with slots to fill in every row that has any; ``only`` is always that one."""
    world = World()
    depths = LAYOUT.depth_of(world.batch.ids)
    for seed in SEEDS:
        drawn = _depth(stages, world, seed)
        shape = [len(world.numbers)]
        right = drawn.dtype == torch.int64 and list(drawn.shape) == shape
        require(right, f"depth must be int64 {shape}, got {drawn.dtype} {list(drawn.shape)}")
        if stages.only is not None:
            require(
                bool((drawn == stages.only).all()), f"must draw the depth {stages.only} alone, got {drawn.tolist()}"
            )
            continue
        there = (world.maskable & (depths == drawn[:, None, None])).flatten(1).any(1)
        missing = ~there & world.maskable.flatten(1).any(1)
        at = int(missing.int().argmax())
        require(not bool(missing.any()), f"must draw a depth that row {at} has to fill, got {int(drawn[at])}")


def parts_what_is_to_fill(stages: LevelStages) -> None:
    """Slots of the depth, finer ones, and coarser ones that are seen; none but slots to fill are named."""
    world = World()
    depths = LAYOUT.depth_of(world.batch.ids)
    for seed in SEEDS:
        drawn = _depth(stages, world, seed)[:, None, None]
        own, finer, whole = _split(stages, world, seed)
        require(
            torch.equal(own, world.maskable & (depths == drawn)), "must predict all slots of the depth and no others"
        )
        require(torch.equal(finer, world.maskable & (depths > drawn)), "must hide all finer slots and no others")
        right = whole.dtype == torch.bool and list(whole.shape) == [len(world.numbers)]
        require(right, f"must say for each row whether its depth is hidden whole, got {list(whole.shape)}")


def rows_do_not_matter_to_one_another(stages: LevelStages) -> None:
    """A row's depth follows from its own slots and key."""
    in_any_company(lambda world: [_depth(stages, world), *_split(stages, world)])


def draws_follow_seed_and_keys(stages: LevelStages) -> None:
    """Another seed and another key draw anew, or nothing is drawn."""

    def draw(seed: int, keys: int) -> Tensor:
        return torch.cat([_depth(stages, World(keys=keys + 50 * number), seed) for number in range(6)])

    follows_its_keys(draw)


STAGES = Contract(
    "stages",
    LevelStages,
    (
        draws_a_depth_that_is_there,
        parts_what_is_to_fill,
        rows_do_not_matter_to_one_another,
        draws_follow_seed_and_keys,
        *value_requirements(_use),
    ),
    plural="stages",
)


def check_stages(stages: LevelStages) -> list[str]:
    """Runs every check of the stages of a masker; see :meth:`Contract.check` for what it returns and raises."""
    return STAGES.check(stages)

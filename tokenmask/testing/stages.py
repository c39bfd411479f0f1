"""Stages: what a row learns first and what later, such as the depths of a multi-level stream.

Does not know: which stages.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tokenmask.masking import Stages
from tokenmask.testing.alike import alike
from tokenmask.testing.anything import in_any_company, value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.draws import follows_its_keys
from tokenmask.testing.world import LAYOUT, World

SEEDS = (0, 1, 2)


def _stage(stages: Stages, world: World, seed: int = 0) -> Tensor:
    batch = world.batch
    return stages.stage(batch.ids, world.maskable, LAYOUT, seed=seed, sample_ids=batch.sample_ids)


def _split(stages: Stages, world: World, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    return stages.split(world.batch.ids, world.maskable, LAYOUT, _stage(stages, world, seed))


def _use(stages: Stages, world: World) -> list[Any]:
    return [(_stage(stages, world, seed), _split(stages, world, seed)) for seed in SEEDS]


def draws_a_stage_for_each_row(stages: Stages) -> None:
    """int64 [B], not negative."""
    world = World()
    for seed in SEEDS:
        drawn, shape = _stage(stages, world, seed), [len(world.numbers)]
        right = drawn.dtype == torch.int64 and list(drawn.shape) == shape
        require(right, f"stage must be int64 {shape}, got {drawn.dtype} {list(drawn.shape)}")
        require(bool((drawn >= 0).all()), f"stage must not be negative, got {drawn.tolist()}")


def parts_what_is_to_fill(stages: Stages) -> None:
    """Slots that are learned and slots of later stages are apart, and none but slots to fill are named."""
    world, some = World(), False
    for seed in SEEDS:
        learned, later, whole = _split(stages, world, seed)
        for name, mask in (("learned", learned), ("later", later)):
            right = mask.dtype == torch.bool and mask.shape == world.batch.ids.shape
            require(right, f"{name} slots must be bool [B, L, K], got {mask.dtype} {list(mask.shape)}")
            require(not bool((mask & ~world.maskable).any()), f"{name} slots must be among those that are to be filled")
        require(not bool((learned & later).any()), "a slot must be learned or of a later stage, but some are both")
        right = whole.dtype == torch.bool and list(whole.shape) == [len(world.numbers)]
        require(right, f"must say for each row whether its stage is hidden whole, got {list(whole.shape)}")
        some = some or bool(learned.any())
    require(some, "some row must learn a slot, but none does")


def is_one_call(stages: Stages) -> None:
    """Called, it does what stage and split do one after the other."""
    world = World()
    batch = world.batch
    called = stages(batch.ids, world.maskable, LAYOUT, seed=0, sample_ids=batch.sample_ids)
    require(alike(called, _split(stages, world)), "called it must give what stage and then split give, got another")


def rows_do_not_matter_to_one_another(stages: Stages) -> None:
    """A row's stage follows from its own slots and key."""
    in_any_company(lambda world: [_stage(stages, world), *_split(stages, world)])


def draws_follow_seed_and_keys(stages: Stages) -> None:
    """Another seed and another key draw anew, or nothing is drawn."""

    def draw(seed: int, keys: int) -> Tensor:
        return torch.cat([_stage(stages, World(keys=keys + 50 * number), seed) for number in range(6)])

    follows_its_keys(draw)


STAGES = Contract(
    "stages",
    Stages,
    (
        draws_a_stage_for_each_row,
        parts_what_is_to_fill,
        is_one_call,
        rows_do_not_matter_to_one_another,
        draws_follow_seed_and_keys,
        *value_requirements(_use),
    ),
    plural="stages",
)


def check_stages(stages: Stages) -> list[str]:
    """Runs every check of the stages of a masker; see :meth:`Contract.check` for what it returns and raises."""
    return STAGES.check(stages)

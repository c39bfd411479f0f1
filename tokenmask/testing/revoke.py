"""Revocations: which committed slots are opened again.

Does not know: which revocation.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from tokenmask.sampling import Predicted, Revoke, RevokeContext, Sampler, UniformSchedule
from tokenmask.sampling.answers import found
from tokenmask.scores import Progress
from tokenmask.testing.alike import shaped
from tokenmask.testing.anything import in_any_company, value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.draws import follows_its_keys
from tokenmask.testing.world import LAYOUT, World, filled, small_model

STEPS = [Progress(index, steps) for index, steps in ((0, 2), (0, 8), (3, 8), (6, 8))]


def _revoked(revoke: Revoke, world: World, progress: Progress, stage: Tensor | None = None) -> Tensor | None:
    inside = torch.ones_like(world.state.is_open) if stage is None else stage
    was_open = inside & world.batch.to_fill & (world.state.is_open | (world.chance(7) < 0.5))
    predicted = Predicted.of(world.predictions)
    context = RevokeContext(LAYOUT, world.state, inside, progress, predicted, was_open, world.ask)
    return revoke.beside(UniformSchedule())(context)


def _opened(revoke: Revoke, world: World) -> list[Tensor]:
    """What is opened in each step; None is nothing."""
    answers = (_revoked(revoke, world, progress) for progress in STEPS)
    return [torch.zeros_like(world.state.is_open) if opened is None else opened for opened in answers]


def _use(revoke: Revoke, world: World) -> list[Any]:
    return [_revoked(revoke, world, progress) for progress in STEPS]


def opens_committed_slots_alone(revoke: Revoke) -> None:
    """None or bool [B, L, K]: slots to fill of the running stage; what is given never opens."""
    world = World()
    state = world.state
    first = LAYOUT.depth_of(state.batch.ids) == 0
    for stage in (torch.ones_like(state.is_open), first):
        committed = stage & state.batch.to_fill
        for progress in STEPS:
            opened = _revoked(revoke, world, progress, stage)
            if opened is None:
                continue
            shape = list(state.is_open.shape)
            right = shaped(opened, torch.bool, shape)
            require(right, f"must name slots as bool {shape}, got {found(opened)}")
            allowed = not bool((opened & ~committed).any())
            require(allowed, "must open slots to fill of the running stage alone, but opened another")


def generation_ends_and_keeps_what_is_given(revoke: Revoke) -> None:
    """Whatever is revoked, nothing is open in the end and given slots hold their codes."""
    world = World()
    done = filled(Sampler(6, schedule=UniformSchedule(), revoke=revoke), world, small_model())
    require(not bool(done.is_open.any()), "a generation must end with nothing open")
    codes = done.batch.ids[world.maskable]
    hidden = bool((codes == LAYOUT.mask_of(codes)).any())
    require(not hidden, "a generation must fill every slot again that was opened, but one shows MASK")
    same = torch.equal(done.batch.ids[~world.maskable], world.batch.ids[~world.maskable])
    require(same, "what is given must never change, but it did")


def rows_do_not_matter_to_one_another(revoke: Revoke) -> None:
    """What is opened in a row follows from its own slots and key."""

    def answers(world: World) -> list[Tensor]:
        return _opened(revoke, world)

    in_any_company(answers)


def draws_follow_seed_and_keys(revoke: Revoke) -> None:
    """Another seed and another key (row, step) draw anew, or nothing is drawn."""

    def draw(seed: int, keys: int) -> Tensor:
        world = World(seed=seed, keys=keys)
        return torch.cat(_opened(revoke, world))

    follows_its_keys(draw)


REVOKES = Contract(
    "revoke",
    Revoke,
    (
        opens_committed_slots_alone,
        generation_ends_and_keeps_what_is_given,
        rows_do_not_matter_to_one_another,
        draws_follow_seed_and_keys,
        *value_requirements(_use),
    ),
    plural="revocations",
)


def check_revoke(revoke: Revoke) -> list[str]:
    """Runs every check of a revocation; see :meth:`Contract.check` for what it returns and raises."""
    return REVOKES.check(revoke)

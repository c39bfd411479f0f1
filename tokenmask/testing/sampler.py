"""Samplers: a generation fills what is to be filled and nothing else, whatever parts it has.

Does not know: which sampler.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from tokenmask.models import MaskedModel
from tokenmask.sampling import Sampler, SamplerState
from tokenmask.testing.anything import in_any_company, value_requirements
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.draws import follows_its_keys
from tokenmask.testing.world import LAYOUT, World, filled, model_for, models_of


@dataclass(frozen=True)
class Subject:
    """What is checked: the sampler, and a model that its reuse takes."""

    component: Sampler
    own: MaskedModel | None = None

    @cached_property
    def model(self) -> MaskedModel:
        """The first that is not refused."""
        return self.own or model_for(self.component)

    def filled(self, world: World) -> SamplerState:
        """The rows of a world."""
        return filled(self.component, world, self.model)


def _use(subject: Subject, world: World) -> list[Any]:
    done = subject.filled(world)
    return [done.batch.ids, done.is_open]


def fills_everything(subject: Subject) -> None:
    """Nothing is open in the end; every filled slot has a code of its own range."""
    world = World()
    done = subject.filled(world)
    require(not bool(done.is_open.any()), "a generation must end with nothing open")
    ids = done.batch.ids[world.maskable]
    own = torch.equal(LAYOUT.head_of(ids), LAYOUT.head_of(world.batch.ids[world.maskable]))
    require(own and not bool((ids == LAYOUT.mask_of(ids)).any()), "must fill each slot with a code of its own range")


def keeps_what_is_given(subject: Subject) -> None:
    """Given slots hold their codes in every step."""
    world = World()
    start = SamplerState.start(world.batch, LAYOUT, world.seeds)
    for step in subject.component.iterate(models_of(subject.component, subject.model), LAYOUT, start):
        same = torch.equal(step.state.batch.ids[~world.maskable], world.batch.ids[~world.maskable])
        require(same, f"what is given must never change, but it did in step {step.index}")
        require(0 <= step.index < step.total, f"steps must count to their total {step.total}, got {step.index}")


def rows_do_not_matter_to_one_another(subject: Subject) -> None:
    """A row is filled alone as among others that have the same steps."""

    def answers(world: World) -> list[Tensor]:
        start = SamplerState.start(world.batch, LAYOUT, world.seeds)
        ids = torch.empty_like(start.batch.ids)
        for rows in subject.component.alike(LAYOUT, start):
            part = World(tuple(world.numbers[row] for row in rows.tolist()), world.longer, world.num_levels)
            done = subject.filled(part).batch.ids
            length, levels = done.shape[1:]
            ids[rows] = world.batch.ids[rows]
            ids[rows[:, None], torch.arange(min(length, ids.shape[1]))] = torch.nn.functional.pad(
                done[:, : ids.shape[1]], (0, ids.shape[2] - levels)
            )
        return [ids]

    in_any_company(answers)


def draws_follow_seed_and_keys(subject: Subject) -> None:
    """Another seed and another sample draw other codes, or nothing is drawn."""
    follows_its_keys(lambda seed, keys: subject.filled(World(seed=seed, keys=keys)).batch.ids)


def _subject(sampler: Sampler, *, model: MaskedModel | None = None) -> Subject:
    return Subject(sampler, model)


SAMPLERS = Contract(
    "sampler",
    Sampler,
    (
        fills_everything,
        keeps_what_is_given,
        rows_do_not_matter_to_one_another,
        draws_follow_seed_and_keys,
        *value_requirements(_use),
    ),
    _subject,
)


def check_sampler(sampler: Sampler, *, model: MaskedModel | None = None) -> list[str]:
    """Runs every check of a sampler; see :meth:`Contract.check` for what it returns and raises.

    Args:
        sampler: any.
        model: that its reuse takes, of the layout :data:`tokenmask.testing.LAYOUT`; the first of small ones that is
            not refused if None.
    """
    return SAMPLERS.check(sampler, model=model)

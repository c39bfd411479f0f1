"""Guidance: which extra inputs are run, and how strongly they push.

Does not know: which guidance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from tokenmask.batch import FILL, Batch
from tokenmask.sampling import Guidance, NoGuidance, Sampler, StepContext
from tokenmask.sampling.answers import found
from tokenmask.scores import Progress
from tokenmask.testing.alike import alike
from tokenmask.testing.anything import in_any_company, value_requirements
from tokenmask.testing.contract import Contract, refusal, require
from tokenmask.testing.world import LAYOUT, World, filled, small_model

STEPS = range(3)
PROGRESS = [Progress(number, 13, "ends") for number in range(13)]  # twelfths


def _context(world: World, step: int = 0) -> StepContext:
    """A step of three that fill the world."""
    state = replace(world.state, batch=world.batch, step=step)
    return StepContext(LAYOUT, state, torch.ones_like(state.is_open), Progress(step, 3))


def _further(guidance: Guidance, world: World) -> Sequence[tuple[Batch, float]]:
    return [pair for step in STEPS for pair in guidance.further(world.batch, _context(world, step))]


def _passes(guidance: Guidance, world: World) -> list[Batch]:
    """Of every step: that without conditions, then those of further ones."""
    passes = []
    for step in STEPS:
        context = _context(world, step)
        passes.append(guidance.unconditional(world.batch, context))
        passes += [batch for batch, _ in guidance.further(world.batch, context)]
    return passes


def _use(guidance: Guidance, world: World) -> list[Any]:
    weights = [weight for _, weight in _further(guidance, world)]
    return [_passes(guidance, world), weights, [guidance.scale(progress) for progress in PROGRESS]]


def scale_is_a_number(guidance: Guidance) -> None:
    """Finite at every progress, and so are the weights of further conditions."""
    for progress in PROGRESS:
        scale = guidance.scale(progress)
        right = isinstance(scale, float | int) and math.isfinite(scale)
        require(right, f"scale({progress:g}) must be a finite number, got {scale!r}")
    for _, weight in _further(guidance, World()):
        right = isinstance(weight, float | int) and math.isfinite(weight)
        require(right, f"further conditions need a finite weight, got {weight!r}")


def passes_keep_rows_as_they_are(guidance: Guidance) -> None:
    """Every pass has the same rows; it may say which positions are valid and hide codes, and nothing else."""
    clean = World().batch
    for batch in _passes(guidance, World()):
        require(isinstance(batch, Batch), f"a pass must be a Batch, got {found(batch)}")
        require(batch.ids.shape == clean.ids.shape, "a pass must have the shape of the batch")
        hidden = (batch.ids == LAYOUT.mask_of(clean.ids)) & World().present
        rest = replace(batch, valid=clean.valid, ids=torch.where(hidden, clean.ids, batch.ids))
        right = alike(rest, clean)
        require(right, "a pass must change nothing of the batch but which positions are valid and what is hidden")
        filled_here = (clean.role == FILL).any(-1) & clean.valid
        require(bool(batch.valid[filled_here].all()), "a pass must keep what is to be filled, but dropped some")
        controls = (clean.stream < 0) & clean.valid
        require(bool(batch.valid[controls].all()), "a pass must keep control positions, but dropped one")


def drops_the_conditions(guidance: Guidance) -> None:
    """Without conditions no stream is left that has nothing to fill, in the steps in which the guidance pushes.

    One that hides a part of what is known pushes away from that.
    """
    for step in STEPS:
        context = _context(World(), step)
        if guidance.scale(context.progress.on(guidance.grid)) == 1:
            continue
        batch = guidance.unconditional(World().batch, context)
        if bool((batch.ids != World().batch.ids).any()):
            continue
        for stream in range(int(batch.stream.max()) + 1):
            own = batch.stream == stream
            given = ~((batch.role == FILL).any(-1) & own).any(1, keepdim=True)
            left = bool((own & given & batch.valid).any())
            require(not left, "unconditional must drop every stream that has nothing to fill, but kept one")


def rows_do_not_matter_to_one_another(guidance: Guidance) -> None:
    """What a pass sees of a row follows from that row."""

    def answers(world: World) -> list[Tensor]:
        passes = _passes(guidance, world)
        there = world.present
        return [one for batch in passes for one in (batch.valid & world.batch.valid, torch.where(there, batch.ids, 0))]

    in_any_company(answers)


def takes_another_strength(guidance: Guidance) -> None:
    """``at`` gives the same law with that strongest scale, or refuses in a sentence."""
    try:
        guidance.at(3.0)
    except ValueError:
        refusal(ValueError, lambda: guidance.at(3.0), "another strength")
        return
    for strength in (3.0, 1.5):
        scales = [guidance.at(strength).scale(progress) for progress in PROGRESS]
        strongest = max(scales, key=lambda scale: abs(scale - 1))
        near = abs(strongest - strength) < 1e-6
        require(near, f"at({strength:g}) must have {strength:g} as its strongest scale, got {strongest:g}")


def at_scale_1_is_none(guidance: Guidance) -> None:
    """With the scale 1 the same codes are drawn as without guidance; further conditions aside."""
    try:
        weak = guidance.at(1.0)
    except ValueError:
        return
    if _further(guidance, World()):
        return
    model, world = small_model(), World()
    mine, plain = (filled(Sampler(3, guidance=one), world, model) for one in (weak, NoGuidance()))
    require(torch.equal(mine.batch.ids, plain.batch.ids), "must draw at the scale 1 what is drawn without guidance")


GUIDANCES = Contract(
    "guidance",
    Guidance,
    (
        scale_is_a_number,
        passes_keep_rows_as_they_are,
        drops_the_conditions,
        rows_do_not_matter_to_one_another,
        takes_another_strength,
        at_scale_1_is_none,
        *value_requirements(_use),
    ),
)


def check_guidance(guidance: Guidance) -> list[str]:
    """Runs every check of a guidance; see :meth:`Contract.check` for what it returns and raises."""
    return GUIDANCES.check(guidance)

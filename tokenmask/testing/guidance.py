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
from tokenmask.scores import Progress
from tokenmask.testing.alike import alike
from tokenmask.testing.anything import in_any_company, value_requirements
from tokenmask.testing.contract import Contract, refusal, require
from tokenmask.testing.world import LAYOUT, World, filled, small_model

PROGRESS = [Progress(number, 13, "ends") for number in range(13)]  # twelfths


def _context(world: World) -> StepContext:
    """The first of three steps that fill the world."""
    state = replace(world.state, batch=world.batch)
    return StepContext(LAYOUT, state, torch.ones_like(state.is_open), Progress(0, 3))


def _further(guidance: Guidance, world: World) -> Sequence[tuple[Batch, float]]:
    return guidance.further(world.batch, _context(world))


def _passes(guidance: Guidance, world: World) -> list[Batch]:
    passes = [batch for batch, _ in _further(guidance, world)]
    return [guidance.unconditional(world.batch, _context(world)), *passes]


def _use(guidance: Guidance, world: World) -> list[Any]:
    weights = [weight for _, weight in _further(guidance, world)]
    return [_passes(guidance, world), weights, [guidance.scale(progress) for progress in PROGRESS]]


def _pushes(guidance: Guidance) -> bool:
    return any(guidance.scale(progress) != 1 for progress in PROGRESS)


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
    """Every pass has the same rows; it may say which positions are valid, and nothing else."""
    clean = World().batch
    for batch in _passes(guidance, World()):
        require(batch.ids.shape == clean.ids.shape, "a pass must have the shape of the batch")
        rest = replace(batch, valid=clean.valid)
        require(alike(rest, clean), "a pass must change nothing of the batch but which positions are valid")
        filled_here = (clean.role == FILL).any(-1) & clean.valid
        require(bool(batch.valid[filled_here].all()), "a pass must keep what is to be filled, but dropped some")
        controls = (clean.stream < 0) & clean.valid
        require(bool(batch.valid[controls].all()), "a pass must keep control positions, but dropped one")


def drops_the_conditions(guidance: Guidance) -> None:
    """Without conditions no stream is left that has nothing to fill, where the guidance pushes at all."""
    if not _pushes(guidance):
        return
    batch = guidance.unconditional(World().batch, _context(World()))
    for stream in range(int(batch.stream.max()) + 1):
        own = batch.stream == stream
        given = ~((batch.role == FILL).any(-1) & own).any(1, keepdim=True)
        left = bool((own & given & batch.valid).any())
        require(not left, "unconditional must drop every stream that has nothing to fill, but kept one")


def rows_do_not_matter_to_one_another(guidance: Guidance) -> None:
    """What a pass sees of a row follows from that row."""

    def answers(world: World) -> list[Tensor]:
        return [batch.valid & world.batch.valid for batch in _passes(guidance, world)]

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

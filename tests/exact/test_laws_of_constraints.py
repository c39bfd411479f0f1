"""Draws under a constraint: the local law of each step, and the law of the world given it, to which particles go."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest
import torch

from tests.exact.law import Codes, fixed, joint, made, total_variation
from tests.exact.orders import EVEN
from tests.exact.rows import codes_of, started
from tests.exact.test_laws_of_samplers import CHAIN, FALSE_ALARM, follows
from tokenmask.sampling import Categorical, Particles, Predicate, Rejection, Restricted, Sampler
from tokenmask.scores import RasterScore
from tokenmask.worlds import oracle


@dataclass(frozen=True)
class AtMost(Predicate):
    """Codes of the chain that add up to three at most."""

    stream: str = "chain"

    def holds(self, codes: Sequence[int]) -> bool:
        return sum(code for code in codes if code > 0) <= 3


def allowed(codes: Codes, _: float) -> list[tuple[float, torch.Tensor]]:
    """The conditionals, without the codes that make too much of a row together with what stands."""
    law = CHAIN.conditionals(torch.tensor([codes]))[0]
    rest = 3 - sum(code for code in codes if code > 0)
    kept = torch.where((torch.arange(3) <= rest) | (torch.tensor(codes)[:, None] >= 0), law, 0.0)
    return [(1.0, kept / kept.sum(1, keepdim=True))]


WHOLE = joint(CHAIN)
MASS = sum(weight for codes, weight in WHOLE.items() if sum(codes) <= 3)
TRUTH = {codes: weight / MASS for codes, weight in WHOLE.items() if sum(codes) <= 3}


@pytest.mark.parametrize("pick", [Categorical(), Restricted(), Rejection()], ids=repr)
def test_a_constraint_is_kept_step_by_step(pick: Any) -> None:
    """Whatever tests codes, those that a step draws are those of the model that the constraint allows."""
    law = made(CHAIN, EVEN.plan(4, 4), fixed([0, -1, -2, -3]), guided=allowed)
    rows = 300 if isinstance(pick, Rejection) else 2000
    sampler = Sampler(4, schedule=EVEN, order=RasterScore(), pick=pick, constraint=AtMost())
    follows(sampler, CHAIN, law, rows=rows)
    assert total_variation(law, TRUTH) > 0.05  # the local law is another one


def test_weights_have_the_mass_of_the_constraint_as_their_mean() -> None:
    """Properly weighted: the mean of w over rows that give x is p(x); alone, and of particles together."""
    for particles in (None, Particles(3, ess=1.0)):
        sampler = Sampler(
            4, schedule=EVEN, order=RasterScore(), pick=Restricted(), constraint=AtMost(), particles=particles
        )
        model = oracle(CHAIN)
        done = sampler.run({"main": model}, model.layout, started(model, CHAIN, 800, None))
        weights, codes = done.carry["log_weight"].double().exp(), codes_of(done, model.layout)
        away = (weights.mean() - MASS) / (weights.std() / 800**0.5)
        assert abs(float(away)) < FALSE_ALARM
        for first in range(3):
            share = torch.where(codes[:, 0] == first, weights, 0.0)
            law = sum(weight for one, weight in TRUTH.items() if one[0] == first) * MASS
            assert abs(float((share.mean() - law) / (share.std() / 800**0.5))) < FALSE_ALARM


def test_particles_go_to_the_law_given_the_constraint() -> None:
    """The first code, whose law the local draws have wrong: nearer with eight particles than with one."""
    errors = []
    truth = [sum(weight for codes, weight in TRUTH.items() if codes[0] == first) for first in range(3)]
    for count in (1, 8):
        sampler = Sampler(
            4, schedule=EVEN, order=RasterScore(), pick=Restricted(), constraint=AtMost(), particles=Particles(count)
        )
        model = oracle(CHAIN)  # not by ``drawn``: what a step shows is one of the particles, not always the same
        done = sampler.run({"main": model}, model.layout, started(model, CHAIN, 800, None))
        codes = codes_of(done, model.layout)
        assert int(codes.sum(1).max()) <= 3
        shares = torch.bincount(codes[:, 0], minlength=3) / 800
        errors.append(float((shares - torch.tensor(truth)).abs().sum() / 2))
    assert errors[0] > 3 * errors[1] and errors[1] < 0.05, errors

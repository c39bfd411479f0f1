"""Rows weighed by another model: the law of a few particles, listed, and the product law to which many of them go."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch

from tests.exact.law import RANDOM, Codes, Order, deviation, fixed, joint, made, total_variation
from tests.exact.orders import EVEN
from tests.exact.rows import codes_of, started
from tests.exact.test_laws_of_constraints import AtMost
from tests.exact.test_laws_of_samplers import CHAIN, FALSE_ALARM
from tokenmask.sampling import AllOf, Categorical, Expert, Particles, Restricted, Sampler, SamplerState
from tokenmask.scores import RandomScore, RasterScore
from tokenmask.worlds import oracle

NEXT = torch.tensor([[0.6, 0.3, 0.1], [0.1, 0.2, 0.7], [0.5, 0.25, 0.25]]).double().log()


def r(codes: Sequence[int], power: float = 1.0) -> float:
    """The expert's law by hand: it begins as after code 1, and goes on by the table."""
    return math.exp(power * sum(float(NEXT[one, two]) for one, two in zip((1, *codes), codes, strict=False)))


@dataclass(frozen=True)
class Reader(Expert):
    stream: str = "chain"
    power: float = 1.0

    def says(self, beginnings: Sequence[tuple[int, ...]]) -> torch.Tensor:
        return torch.tensor([math.log(r(codes)) for codes in beginnings], dtype=torch.float64)


RASTER = fixed([0, -1, -2, -3])
ORDERS: dict[str, tuple[Any, Order]] = {"raster": (RasterScore(), RASTER), "random": (RandomScore(), RANDOM)}
each_order = pytest.mark.parametrize("order", list(ORDERS))


def sampler(order: str, steps: int, particles: Particles, expert: Any = None, pick: Any = None) -> Sampler:
    return Sampler(
        steps,
        schedule=EVEN,
        order=ORDERS[order][0],
        pick=pick or Categorical(),
        constraint=expert or Reader(),
        particles=particles,
    )


def done(one: Sampler, rows: int, given: Codes | None = None) -> SamplerState:
    model = oracle(CHAIN)
    return one.run({"main": model}, model.layout, started(model, CHAIN, rows, given))


def product(law: dict[Codes, float], power: float = 1.0) -> dict[Codes, float]:
    weights = {codes: share * r(codes, power) for codes, share in law.items()}
    return {codes: weight / sum(weights.values()) for codes, weight in weights.items()}


def of_two(law: dict[Codes, float], power: float) -> dict[Codes, float]:
    """One of two particles, drawn by weight."""
    found = dict.fromkeys(law, 0.0)
    for one, p in law.items():
        for two, q in law.items():
            first, second = r(one, power), r(two, power)
            found[one] += p * q * first / (first + second)
            found[two] += p * q * second / (first + second)
    return found


@each_order
@pytest.mark.parametrize("steps", [1, 2, 4])
def test_a_row_weighs_what_the_expert_says_of_it(order: str, steps: int) -> None:
    """Exactly, whatever the order and however many slots a step: what is said in between cancels out."""
    state = done(sampler(order, steps, Particles(1), Reader(power=0.7)), 300)
    codes = codes_of(state, oracle(CHAIN).layout).tolist()
    wanted = torch.tensor([math.log(r(own, 0.7)) for own in codes])
    torch.testing.assert_close(state.carry["log_weight"], wanted, rtol=1e-5, atol=1e-5)
    assert len({tuple(own) for own in codes}) > 20


@each_order
@pytest.mark.parametrize("power", [1.0, 2.5, -1.0])
def test_two_particles_have_the_law_that_listing_gives(order: str, power: float) -> None:
    law = made(CHAIN, EVEN.plan(4, 2), ORDERS[order][1])
    wanted = of_two(law, power)
    state = done(sampler(order, 2, Particles(2, ess=0.0), Reader(power=power)), 3000)
    assert deviation(codes_of(state, oracle(CHAIN).layout), wanted) < FALSE_ALARM
    assert total_variation(wanted, law) > 0.05


def test_many_particles_have_the_product_law() -> None:
    """With as many as 32 no 800 draws tell the two apart, and the law without the expert is far away."""
    law = joint(CHAIN)
    wanted = product(law)
    state = done(sampler("raster", 4, Particles(32)), 800)
    codes = codes_of(state, oracle(CHAIN).layout)
    assert deviation(codes, wanted) < FALSE_ALARM < deviation(codes, law)
    assert total_variation(wanted, law) > 0.2 and total_variation(of_two(law, 1.0), wanted) > 0.1


def test_weights_are_proper_when_particles_are_drawn_anew() -> None:
    """The mean of w over rows that begin with a code is the sum of q(x) r(x) over these, constraint and all."""
    both = AllOf((AtMost(), Reader()))
    one = sampler("raster", 4, Particles(3, ess=1.0), both, Restricted())
    state = done(one, 1500)
    weights, codes = state.carry["log_weight"].double().exp(), codes_of(state, oracle(CHAIN).layout)
    for first in range(3):
        law = sum(p * r(own) for own, p in joint(CHAIN).items() if own[0] == first and sum(own) <= 3)
        share = torch.where(codes[:, 0] == first, weights, 0.0)
        assert abs(float((share.mean() - law) / (share.std() / 1500**0.5))) < FALSE_ALARM


def test_what_is_given_weighs_nothing() -> None:
    """A prompt is worth the same in all rows; what follows it has the law of the product given it."""
    given = (2, 0, -1, -1)
    state = done(sampler("raster", 2, Particles(1)), 50, given)
    codes = codes_of(state, oracle(CHAIN).layout).tolist()
    wanted = torch.tensor([math.log(r(own) / r(given[:2])) for own in codes])
    torch.testing.assert_close(state.carry["log_weight"], wanted, rtol=1e-5, atol=1e-5)


def test_what_cannot_be_is_one_sentence() -> None:
    with pytest.raises(ValueError, match=r"Reader weighs particles, so Sampler\.particles must say how many there are"):
        Sampler(constraint=Reader())
    with pytest.raises(ValueError, match=r"AllOf weighs particles, so Sampler\.particles must say how many"):
        Sampler(constraint=AllOf((Reader(),)))
    with pytest.raises(ValueError, match=r"an expert reads one of chain, got 'words'; name that"):
        done(sampler("raster", 1, Particles(2), Reader("words")), 2)

    class Silent(Reader):
        def says(self, beginnings: Sequence[tuple[int, ...]]) -> torch.Tensor:
            return torch.zeros(len(beginnings) + 1)

    with pytest.raises(ValueError, match=r"Silent\.says must give a number for each of 1 beginnings, got \[2\]; "):
        done(sampler("raster", 1, Particles(2), Silent()), 2)


def test_a_row_that_the_expert_rules_out_is_never_chosen() -> None:
    class Never(Reader):
        def says(self, beginnings: Sequence[tuple[int, ...]]) -> torch.Tensor:
            return torch.tensor([-math.inf if 2 in codes else 0.0 for codes in beginnings])

    state = done(replace(sampler("raster", 4, Particles(64), Never())), 40)
    codes = codes_of(state, oracle(CHAIN).layout)
    assert bool((codes < 2).all()) and len(codes.unique(dim=0)) > 3

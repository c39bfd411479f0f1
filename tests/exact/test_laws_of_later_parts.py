"""The same for parts that official code brought: what is said of codes, counts of other kinds, what is hidden again."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from tests.exact.law import CONFIDENT, RANDOM, Chosen, Codes, Order, Pick, fixed, made, shares
from tests.exact.orders import EVEN, ORDERS, WORLDS
from tests.exact.test_laws_of_samplers import CHAIN, follows
from tokenmask.masking import Linear
from tokenmask.sampling import (
    Categorical,
    Differential,
    ExpectedSchedule,
    LogitNoise,
    PerLength,
    RevealAll,
    RevokeDoubted,
    RevokeSpans,
    Sampler,
    Schedule,
    Suppressed,
    Truncated,
    Twice,
    Zigzag,
)
from tokenmask.scores import (
    ConfidenceScore,
    GumbelScore,
    ProbabilityScore,
    RandomScore,
    RasterScore,
    SumScore,
    UntilScore,
)
from tokenmask.worlds import Markov


@pytest.mark.parametrize("schedule", [ExpectedSchedule(), ExpectedSchedule(end=0.0), PerLength(EVEN, 8), Twice(EVEN)])
def test_counts_by_the_mean_by_the_length_and_twice(schedule: Schedule) -> None:
    for steps in (3, 6):
        plan = schedule.plan(4, schedule.steps(4, steps))
        for order, rule in ((RandomScore(), RANDOM), (ConfidenceScore(), CONFIDENT)):
            follows(Sampler(steps, schedule=schedule, order=order), CHAIN, made(CHAIN, plan, rule))


def without(codes: Codes) -> Any:
    """Some codes count as impossible, though they are drawn; what is left of nothing is as little as there is."""

    def says(hot: list[float], _: list[float]) -> list[float]:
        left = [0.0 if code in codes else share for code, share in enumerate(hot)]
        return [max(one, 1e-30) for one in (shares(left) if sum(left) else left)]

    return says


def cut(_: list[float], drawn: list[float]) -> list[float]:
    return drawn


SAID = {
    "top-k": (Truncated(Categorical(1.3, top_k=2)), Pick(1.3, top_k=2, says=cut)),
    "top-p": (Truncated(Categorical(top_p=0.7)), Pick(top_p=0.7, says=cut)),
    "min-p": (Truncated(Categorical(1.6, min_p=0.4)), Pick(1.6, min_p=0.4, says=cut)),
    "suppressed": (Suppressed(codes={"chain": (1,), "grid": (0,)}), Pick(says=without((1,)))),
}


@pytest.mark.parametrize("order", ["confidence", "margin", "entropy"])
@pytest.mark.parametrize("name", SAID)
def test_what_a_pick_says_of_its_codes_decides_which_are_revealed(name: str, order: str) -> None:
    pick, rule = SAID[name]
    law = made(CHAIN, EVEN.plan(4, 3), ORDERS[order][1](CHAIN), rule)
    follows(Sampler(3, schedule=EVEN, order=ORDERS[order][0], pick=pick), CHAIN, law)


@pytest.mark.parametrize("heat", [0.2, 1.0])
def test_slots_are_drawn_by_the_probability_of_their_codes(heat: float) -> None:
    order = SumScore((ProbabilityScore(), GumbelScore(1.0, None)), (1 / heat, 1.0))
    rule = Order(by_code=True, race=lambda sure: math.exp(sure / heat))
    for world in (CHAIN, WORLDS["potts"]):
        follows(Sampler(3, schedule=EVEN, order=order), world, made(world, EVEN.plan(4, 3), rule))


def test_an_order_that_holds_in_the_first_steps_only() -> None:
    """From the right for two of four steps, then what is left from the left: all are equal, and the first one wins."""
    backwards = SumScore((RasterScore(),), (-1.0,))

    def sets(is_open: Any, count: int, step: int, _: int) -> Iterator[tuple[Chosen, float]]:
        yield tuple(is_open[-count:] if step < 2 else is_open[:count]), 1.0

    law = made(CHAIN, EVEN.plan(4, 4), Order(sets=sets))
    follows(Sampler(4, schedule=EVEN, order=UntilScore(backwards, 2)), CHAIN, law)
    follows(Sampler(2, schedule=EVEN, order=UntilScore(backwards, 1)), CHAIN, made(CHAIN, [2, 0], fixed([0, 1, 2, 3])))


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_noise_on_logits_makes_the_mean_of_noisy_laws(scale: float) -> None:
    """Of two codes whose log-odds are d, the second has the mean of 1 / (1 + exp(-d - scale sqrt 2 z)), z normal."""
    world = Markov(3, ((0.8, 0.2), (0.4, 0.6)))
    nodes, weights = np.polynomial.hermite_e.hermegauss(60)
    law, first = {}, world.conditionals(torch.tensor([[-1, -1, -1]]))[0]
    odds = (first[:, 1] / first[:, 0]).log().numpy()
    second = [(weights / (1 + np.exp(-one - scale * math.sqrt(2) * nodes))).sum() / weights.sum() for one in odds]
    for codes in itertools.product(range(2), repeat=3):
        law[codes] = math.prod(p if code else 1 - p for code, p in zip(codes, second, strict=True))
    follows(Sampler(1, pick=LogitNoise(Categorical(), scale, "constant")), world, law)


@pytest.mark.parametrize(("low", "high"), [(0.0, 0.5), (0.5, 1.0), (0.0, 1.0)])
def test_what_gained_is_drawn_where_the_law_moved_least(low: float, high: float) -> None:
    """Two codes of four stand after the first step, in which all was open; of the other two one moved less."""
    before = CHAIN.conditionals(torch.tensor([[-1] * 4]))[0]

    def changed(codes: Codes, progress: float) -> list[tuple[float, torch.Tensor]]:
        law = CHAIN.conditionals(torch.tensor([codes]))[0].clone()
        if progress > 0:
            is_open = [slot for slot, code in enumerate(codes) if code < 0]
            moved = {s: float(torch.special.xlogy(law[s], law[s] / before[s]).nan_to_num(0.0).sum()) for s in is_open}
            ranks = sorted(is_open, key=lambda slot: (round(moved[slot], 6), slot))
            for slot in ranks[round(low * 2) : round(high * 2)]:
                gained = (law[slot] - before[slot]).clamp(min=1e-6)
                law[slot] = gained / gained.sum()
        return [(1.0, law)]

    whole = made(CHAIN, EVEN.plan(4, 2), fixed([0, -1, -2, -3]), guided=changed)
    follows(Sampler(2, schedule=EVEN, order=RasterScore(), pick=Differential(window=(low, high))), CHAIN, whole)


@pytest.mark.parametrize("name", ["chain", "potts", "twins"])
def test_all_is_filled_and_a_part_is_hidden_again(name: str) -> None:
    world, steps = WORLDS[name], 3

    def by_noise(said: dict[int, float], step: int, _: Codes) -> Iterator[tuple[Chosen, float]]:
        """The critic is sure of whatever stands, so that its noise alone decides."""
        sets = list(itertools.combinations(said, math.ceil(4 * (1 - (step + 1) / steps))))
        yield from ((chosen, 1 / len(sets)) for chosen in sets)

    law = made(world, [0] * steps, RANDOM, revoke=by_noise)
    doubted = RevokeDoubted("main", Linear(), noise=1.0)
    follows(Sampler(steps, schedule=RevealAll(), revoke=doubted), world, law)
    if name == "twins":  # of two streams each has spans of its own
        return

    def least_probable(said: dict[int, float], _: int, before: Codes) -> Iterator[tuple[Chosen, float]]:
        """One span of two; what was not drawn in this step is certain."""
        doubt = [-said[slot] if before[slot] < 0 else -1e4 for slot in range(4)]
        sums = [round(doubt[slot] + doubt[slot + 1], 5) for slot in range(3)]
        yield (sums.index(max(sums)), sums.index(max(sums)) + 1), 1.0

    law = made(world, [0] * steps, RANDOM, revoke=least_probable)
    follows(Sampler(steps, schedule=RevealAll(), revoke=RevokeSpans(2, Linear())), world, law)


def test_zigzag_opens_all_but_one_of_what_a_step_filled() -> None:
    """A model that is sure of what stands ranks all slots alike, and the first ones are opened."""
    plan = Twice(EVEN).plan(4, 3)  # two are filled, one is opened and filled again, then the rest

    def first(said: dict[int, float], step: int, before: Codes) -> Iterator[tuple[Chosen, float]]:
        filled = len(said) - sum(code >= 0 for code in before)
        yield (tuple(sorted(said)[: max(0, filled - 1)]) if step % 2 == 0 else ()), 1.0

    law = made(CHAIN, plan, RANDOM, revoke=first)
    follows(Sampler(2, schedule=Twice(EVEN), order=RandomScore(), revoke=Zigzag()), CHAIN, law)
    assert plan == [2, 2, 0]

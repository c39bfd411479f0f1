"""What samplers make of worlds follows the law that listing all that can happen gives, part by part.

Every chi-square lies below 4.75 standard deviations: with other seeds each would fail by chance once in a million.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from tests.exact.law import (
    CONFIDENT,
    RANDOM,
    Chosen,
    Codes,
    Order,
    Pick,
    best,
    deviation,
    in_groups,
    joint,
    made,
    total_variation,
)
from tests.exact.orders import EVEN, ORDERS, TRUE, WORLDS
from tests.exact.rows import drawn
from tokenmask.layout import Layout
from tokenmask.masking import Linear
from tokenmask.models import GivenFirst, GroupCausal
from tokenmask.sampling import (
    AllOf,
    Categorical,
    ClassifierFree,
    ConfidenceAbove,
    ForbidCodes,
    GroupCausalReuse,
    PrefixReuse,
    ProcessSchedule,
    RevokeDrawn,
    RevokeLeastLikely,
    Sampler,
    Stage,
    StaleReuse,
)
from tokenmask.scores import (
    ConfidenceScore,
    RandomScore,
    RasterScore,
)
from tokenmask.streams import StreamSpec
from tokenmask.worlds import Brackets, Markov, MovingGlyphs, Potts, Scenes, Sudoku4, World

ROWS, FALSE_ALARM = 3000, 4.75
CHAIN = WORLDS["chain"]


def follows(
    sampler: Sampler,
    world: World,
    law: dict[Codes, float],
    given: Codes | None = None,
    rows: int = ROWS,
    **options: Any,
) -> None:
    assert sum(law.values()) == pytest.approx(1.0)
    found = deviation(drawn(sampler, world, rows, given, **options), law)
    assert found < FALSE_ALARM, f"{sampler} lies {found:.1f} standard deviations from its law on {world}"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("name", WORLDS)
def test_every_order_on_every_world(name: str, order: str) -> None:
    world, (score, rule) = WORLDS[name], ORDERS[order]
    steps = 1 + (len(name) + len(order)) % 2 + (len(world.sizes) > 2)  # 1 to 3, so that steps reveal several
    law = made(world, EVEN.plan(len(world.sizes), steps), rule(world))
    follows(Sampler(steps, schedule=EVEN, order=score), world, law)


SCHEDULES = {
    "uniform": EVEN,
    "cosine": ProcessSchedule(),
    "linear": ProcessSchedule(Linear(), "ceil"),
    "ends": ProcessSchedule(rounding="round", grid="ends"),
}


@pytest.mark.parametrize("steps", [1, 2, 3, 6])
@pytest.mark.parametrize("name", SCHEDULES)
def test_every_schedule(name: str, steps: int) -> None:
    """Six steps for four slots too: some reveal none."""
    if name == "ends" and steps == 1:
        assert SCHEDULES[name].plan(4, 1) == [0]
    for order, rule in ((RandomScore(), RANDOM), (ConfidenceScore(), CONFIDENT)):
        law = made(CHAIN, SCHEDULES[name].plan(4, steps), rule)
        follows(Sampler(steps, schedule=SCHEDULES[name], order=order), CHAIN, law)


@pytest.mark.parametrize("threshold", [0.3, 0.55, 0.9])
@pytest.mark.parametrize("heat", [1.0, 1.8])
def test_a_schedule_that_decides(threshold: float, heat: float) -> None:
    sampler = Sampler(schedule=ConfidenceAbove(threshold), order=ConfidenceScore(plain=True), pick=Categorical(heat))
    rule = Order(by_code=True, plain=True, above=threshold)
    for world in (CHAIN, WORLDS["potts"], WORLDS["sat"]):  # of brackets that are alike, rounding decides
        follows(sampler, world, made(world, None, rule, Pick(heat)))


PICKS = {
    "cold": (Categorical(0.6), Pick(0.6)),
    "falling": (Categorical(2.0, 0.5), Pick(2.0, 0.5)),
    "greedy": (Categorical(0.0), Pick(0.0)),
    "top-k": (Categorical(top_k=2), Pick(top_k=2)),
    "top-p": (Categorical(1.3, top_p=0.7), Pick(1.3, top_p=0.7)),
    "min-p": (Categorical(min_p=0.37), Pick(min_p=0.37)),
    "all": (Categorical(1.5, 0.7, 3, 0.9, 0.1), Pick(1.5, 0.7, 3, 0.9, 0.1)),
}


@pytest.mark.parametrize("order", ["random", "confidence", "noisy", "entropy"])
@pytest.mark.parametrize("name", PICKS)
def test_every_pick(name: str, order: str) -> None:
    pick, rule = PICKS[name]
    for world in (CHAIN, WORLDS["potts"]):
        law = made(world, EVEN.plan(4, 3), ORDERS[order][1](world), rule)
        follows(Sampler(3, schedule=EVEN, order=ORDERS[order][0], pick=pick), world, law)


def test_constraints_take_codes_out_of_the_law() -> None:
    constraint = AllOf((ForbidCodes({"grid": (1,)}), ForbidCodes({"grid": ()})))
    law = made(WORLDS["potts"], EVEN.plan(4, 3), CONFIDENT, Pick(forbidden=(1,)))
    follows(Sampler(3, schedule=EVEN, order=ConfidenceScore(), constraint=constraint), WORLDS["potts"], law)


def guided(world: World, given: Codes, start: float, end: float) -> Any:
    """u^(1 - s) c^s, where s goes from start to end and u knows nothing of what is given."""

    def law(codes: Codes, progress: float) -> list[tuple[float, torch.Tensor]]:
        without = tuple(-1 if kept >= 0 else code for kept, code in zip(given, codes, strict=True))
        c, u = (world.conditionals(torch.tensor([one]))[0].log().clamp(min=-1e4) for one in (codes, without))
        return [(1.0, (u + (start + (end - start) * progress) * (c - u)).softmax(-1))]

    return law


@pytest.mark.parametrize(("start", "end"), [(1.0, None), (0.0, None), (2.5, None), (0.0, 2.0)])
@pytest.mark.parametrize(("name", "given"), [("pairs", (1, -1)), ("twins", (0, 1, -1, -1))])
def test_guidance_is_a_law_between_and_beyond_two(name: str, given: Codes, start: float, end: float | None) -> None:
    """At 0 what is given is ignored, at 1 it is the condition."""
    world, part = WORLDS[name], [slot for slot, code in enumerate(given) if code < 0]
    plan, to = EVEN.plan(len(part), 2), start if end is None else end
    law = made(world, plan, RANDOM, given=given, guided=guided(world, given, start, to))
    follows(Sampler(2, schedule=EVEN, order=RandomScore(), guidance=ClassifierFree(start, end)), world, law, given)
    if end is None and start <= 1:
        truth = joint(world, given if start else None)
        assert total_variation(marginal(law, part), marginal(truth, part)) < 1e-9


def marginal(law: dict[Codes, float], slots: list[int]) -> dict[Codes, float]:
    found: dict[Codes, float] = {}
    for codes, weight in law.items():
        part = tuple(codes[slot] for slot in slots)
        found[part] = found.get(part, 0.0) + weight
    return found


def least_likely(share: float, steps: int) -> Any:
    def revoke(said: dict[int, float], step: int, _: Codes) -> Iterator[tuple[Chosen, float]]:
        count = math.floor(len(said) * share * (1 - (step + 1) / steps))
        yield best({slot: -one for slot, one in said.items()}, count), 1.0

    return revoke


def by_draw(cap: float, process: Any, steps: int) -> Any:
    def revoke(said: dict[int, float], step: int, _: Codes) -> Iterator[tuple[Chosen, float]]:
        alpha_t, alpha_s = (1 - process.share(1 - min(1.0, (step + more) / steps)) for more in (1, 2))
        factor = min(cap, (1 - alpha_s) / alpha_t)
        weights = {slot: math.exp(-math.exp(one)) for slot, one in said.items()}
        odds = {slot: one / sum(weights.values()) * factor for slot, one in weights.items()}
        for marks in itertools.product((True, False), repeat=len(odds)):
            chance = math.prod(odds[s] if mark else 1 - odds[s] for s, mark in zip(odds, marks, strict=True))
            yield tuple(s for s, mark in zip(odds, marks, strict=True) if mark), chance

    return revoke


@pytest.mark.parametrize("name", ["chain", "pairs", "potts", "brackets", "twins"])
def test_every_revocation(name: str) -> None:
    world, steps = WORLDS[name], 3
    plan, order = EVEN.plan(len(world.sizes), steps), "noisy" if name == "pairs" else "random"
    sampler = Sampler(steps, schedule=EVEN, order=ORDERS[order][0], revoke=RevokeLeastLikely(0.8))
    rule = ORDERS[order][1](world)
    follows(sampler, world, made(world, plan, rule, revoke=least_likely(0.8, steps)))
    for cap in (1.0, 0.3):
        drawing = Sampler(steps, schedule=EVEN, order=ORDERS[order][0], revoke=RevokeDrawn(cap))
        follows(drawing, world, made(world, plan, rule, revoke=by_draw(cap, Linear(), steps)))


def test_levels_are_filled_in_turn() -> None:
    """The chain of four as two places of two levels: the first of both places, then the second."""
    spec = StreamSpec("symbols", (3, 3), ("index",), grid=(2,))
    layout = Layout({"chain": spec})
    in_turn = in_groups(((0, 2), (1, 3)), in_turn=True)
    for steps, plan in ((1, [2, 0]), (2, [3, 2, 1, 0])):
        law = made(CHAIN, plan, in_turn)
        sampler = Sampler(steps, schedule=EVEN, order=RandomScore())
        follows(sampler, CHAIN, law, layout=layout)
        stages = (Stage(steps, (0,)), Stage(steps, (1,), order=RasterScore()))
        if steps == 1:
            follows(Sampler(stages=stages, schedule=EVEN, order=RandomScore()), CHAIN, law, layout=layout)
    backwards = made(CHAIN, [2, 0], in_groups(((1, 3), (0, 2)), in_turn=True))
    stages = (Stage(1, (1,)), Stage(1, (0,)))
    follows(Sampler(stages=stages, schedule=EVEN), CHAIN, backwards, layout=layout)
    assert total_variation(backwards, made(CHAIN, [2, 0], in_turn)) > 0.02  # the two can be told apart


REUSED = {
    "stale": (StaleReuse(n_local=1), None),
    "longer": (StaleReuse(pre_full=1, n_local=2), None),
    "reordered": (StaleReuse(n_local=3, where=RasterScore(2), reorder=True), None),
    "open": (StaleReuse(n_local=1, recompute="open"), None),
    "to the end": (StaleReuse(n_local=None, where=RasterScore(2), reorder=True), None),
    "prefix": (PrefixReuse(), GivenFirst()),
    "groups": (GroupCausalReuse(), GroupCausal()),
}


@pytest.mark.parametrize("order", ["random", "raster"])
@pytest.mark.parametrize("name", REUSED)
def test_every_reuse(name: str, order: str) -> None:
    """An oracle keeps what positions held when they were run: one that is not run anew shows in the law."""
    reuse, pattern = REUSED[name]
    for world, given in (
        (CHAIN, None),
        (CHAIN, (-1, 2, -1, -1)),
        (WORLDS["twins"], None),
        (WORLDS["sat"], (-1, -1, -1, 0, -1)),
    ):
        count = len(world.sizes) if given is None else sum(code < 0 for code in given)
        rule = ORDERS[order][1](world)
        if (name, order) == ("reordered", "random"):  # settles blocks of two positions by their place
            continue
        law = made(world, EVEN.plan(count, 4), rule, given=given)
        sampler = Sampler(4, schedule=EVEN, order=ORDERS[order][0], reuse=reuse)
        follows(sampler, world, law, given, pattern=pattern)


@pytest.mark.parametrize("order", TRUE)
def test_one_slot_a_step_is_the_true_law(order: str) -> None:
    for world in (Potts(3, 2), Brackets(6, 2), Markov(5)):
        steps = len(world.sizes)
        follows(Sampler(steps, schedule=EVEN, order=ORDERS[order][0]), world, joint(world))


def test_the_error_falls_with_steps_unless_the_draw_decides() -> None:
    """Total variation from the true law in 1, 2 and 4 steps of four slots; each step of one is two of the next."""
    for name, world in WORLDS.items():
        size, truth = len(world.sizes), joint(world)
        for order in ("random", "raster", "margin", "entropy", "confidence"):
            if size != 4:
                continue
            errors = [
                total_variation(made(world, EVEN.plan(size, n), ORDERS[order][1](world)), truth) for n in (1, 2, 4)
            ]
            if order == "confidence":  # it prefers what is probable: the better it knows, the more it does so
                assert errors[2] > 0.1, (name, errors)
            else:
                assert errors[0] > errors[1] > errors[2] and errors[2] < 1e-9, (name, order, errors)


@pytest.mark.slow
@pytest.mark.parametrize("order", TRUE)
def test_one_slot_a_step_is_the_true_law_of_pictures(order: str) -> None:
    for world in (Sudoku4(), Scenes(), MovingGlyphs()):
        steps = len(world.sizes)
        law = dict(zip(map(tuple, world.support[0].tolist()), world.probabilities.tolist(), strict=True))
        follows(Sampler(steps, schedule=EVEN, order=ORDERS[order][0]), world, law)

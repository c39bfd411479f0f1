"""The same for parts that are made of others, that decide in the step, or that ask a second time."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
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
    entropy,
    fixed,
    in_groups,
    made,
    margin,
)
from tests.exact.orders import EVEN, WORLDS
from tests.exact.test_laws_of_samplers import CHAIN, follows, guided
from tokenmask.masking import Cosine, Linear
from tokenmask.sampling import (
    Blocks,
    BlockSchedule,
    ByGroups,
    Categorical,
    Chunks,
    ClassifierFree,
    ContextCorrupted,
    DrawnSchedule,
    EntropyBelow,
    EntropyBounded,
    LogitNoise,
    Reversal,
    RevokeRandom,
    RevokeUnlikely,
    Sampler,
    Schedule,
    SpacedSchedule,
    UniformSchedule,
)
from tokenmask.scores import (
    BinaryScore,
    Blockwise,
    ChunkScore,
    ConfidenceScore,
    DilatedScore,
    EntropyScore,
    GumbelScore,
    HaltonScore,
    LogitScore,
    MarginScore,
    RandomScore,
    RasterScore,
    Rescored,
    Score,
    SpacedScore,
    SumScore,
    halton_ranks,
)
from tokenmask.worlds import Markov

Laws = Mapping[int, Sequence[float]]


def apart(laws: Laws) -> list[int]:
    """From the surest by entropy down, slots two places from all that were taken."""
    taken: list[int] = []
    for slot in sorted(laws, key=lambda slot: (-round(entropy(laws[slot]), 5), slot)):
        if all(abs(slot - other) >= 2 for other in taken):
            taken.append(slot)
    return taken


def spaced(laws: Laws) -> dict[int, float]:
    return {slot: entropy(law) + 100 * (slot in apart(laws)) for slot, law in laws.items()}


def in_blocks(of: Any) -> Any:
    """Blocks of two in turn, in each by another score."""
    return lambda laws: {slot: of(law) - 100 * (slot // 2) for slot, law in laws.items()}


ORDERS: dict[str, tuple[Score, Order]] = {
    "dilated": (DilatedScore(4), fixed([0, -1, 0, -1])),
    "binary": (BinaryScore(4), fixed([-1, 0, -1, -1])),
    "logit": (LogitScore(), Order(by_code=True, plain=True)),
    "gumbel": (SumScore((ConfidenceScore(), GumbelScore(3.0)), (1.0, 1.0)), Order(by_code=True, noise=3.0)),
    "spaced": (SpacedScore(EntropyScore(), 2, 4), Order(spaced)),
    "block": (Blockwise(MarginScore(), 2), Order(in_blocks(margin))),
    "blockwise": (Blockwise(EntropyScore(), 2), Order(in_blocks(entropy))),
    "blockwise random": (Blockwise(RandomScore(), 2), in_groups(((0, 1), (2, 3)), in_turn=True)),
    "chunks": (ChunkScore(2), Order(by_code=True, runs=(2, "max"))),
    "products": (ChunkScore(2, "prod"), Order(by_code=True, runs=(2, "prod"))),
}


@pytest.mark.parametrize("heat", [1.0, 1.6])
@pytest.mark.parametrize("name", ORDERS)
def test_orders_that_are_made_of_others(name: str, heat: float) -> None:
    score, rule = ORDERS[name]
    steps = 4 if name == "blockwise random" else 3
    for world in (CHAIN, WORLDS["potts"]):
        law = made(world, EVEN.plan(4, steps), rule, Pick(heat))
        follows(Sampler(steps, schedule=EVEN, order=score, pick=Categorical(heat)), world, law)


@pytest.mark.parametrize("weight", [0.0, 0.4, 1.0])
def test_a_second_model_says_how_sure_codes_are(weight: float) -> None:
    other = Markov(4, ((0.1, 0.1, 0.8), (0.6, 0.3, 0.1), (0.2, 0.7, 0.1)))
    law = made(CHAIN, EVEN.plan(4, 3), Order(by_code=True, beside=(other, weight)))
    sampler = Sampler(3, schedule=EVEN, order=Rescored(weight=weight))
    follows(sampler, CHAIN, law, others={"rescorer": other})


def test_a_rotated_order_begins_anywhere() -> None:
    for world, ranks in ((CHAIN, halton_ranks(4, 1)), (WORLDS["potts"], halton_ranks(2, 2))):
        mixture: dict[Codes, float] = {}
        for shift in range(4):
            order = fixed([-((rank + shift) % 4) for rank in ranks.tolist()])
            for codes, weight in made(world, EVEN.plan(4, 3), order).items():
                mixture[codes] = mixture.get(codes, 0.0) + weight / 4
        follows(Sampler(3, schedule=EVEN, order=HaltonScore(rotate=True)), world, mixture)


def by_odds(process: Any) -> Order:
    """Each open slot on its own: the ancestral sampler."""

    def sets(is_open: Sequence[int], _: int, step: int, steps: int) -> Iterator[tuple[Chosen, float]]:
        before, after = process.share(1 - step / steps), process.share(1 - (step + 1) / steps)
        odds = 1 - after / before
        for marks in itertools.product((True, False), repeat=len(is_open)):
            chosen = tuple(slot for slot, mark in zip(is_open, marks, strict=True) if mark)
            yield chosen, odds ** len(chosen) * (1 - odds) ** (len(is_open) - len(chosen))

    return Order(sets=sets)


@pytest.mark.parametrize("process", [Linear(), Cosine()], ids=repr)
@pytest.mark.parametrize("steps", [1, 2, 4, 7])
def test_the_ancestral_sampler(steps: int, process: Any) -> None:
    """Slot by slot the reversed process: every set of slots in every step has its probability."""
    law = made(CHAIN, None, by_odds(process), steps=steps)
    follows(Sampler(steps, schedule=DrawnSchedule(process), order=RandomScore()), CHAIN, law)
    follows(Sampler(steps, pick=Reversal(process=process)), CHAIN, law)


def below(nats: float) -> Any:
    return lambda laws: sum(-entropy(law) <= nats for law in laws.values())


def bounded(nats: float) -> Any:
    def count(laws: Laws) -> int:
        own = sorted(-entropy(law) for law in laws.values())
        return sum(sum(own[:number]) <= nats for number in range(len(own)))

    return count


def first_two(count: Any) -> Any:
    def inside(laws: Laws) -> int:
        block = min(laws) // 2
        found: int = count({slot: law for slot, law in laws.items() if slot // 2 == block})
        return found

    return inside


def proposed(count: Any) -> Any:
    def kept(laws: Laws) -> int:
        best = sorted(laws, key=lambda slot: (-round(entropy(laws[slot]), 5), slot))[: max(1, count(laws))]
        return sum(slot in apart(laws) for slot in best)

    return kept


def by_entropy(laws: Laws) -> dict[int, float]:
    return {slot: entropy(law) for slot, law in laws.items()}


NEAR = SpacedScore(EntropyScore(), 2, 4)
DECIDING: dict[str, tuple[Schedule, Score, Order]] = {
    "below": (EntropyBelow(0.95), EntropyScore(), Order(by_entropy, counts=below(0.95))),
    "bounded": (EntropyBounded(1.5), EntropyScore(), Order(by_entropy, counts=bounded(1.5))),
    "block": (
        BlockSchedule(EntropyBelow(0.95), 2),
        Blockwise(EntropyScore(), 2),
        Order(in_blocks(entropy), counts=first_two(below(0.95))),
    ),
    "spaced": (SpacedSchedule(EntropyBelow(1.0), NEAR), NEAR, Order(spaced, counts=proposed(below(1.0)))),
    "groups": (ByGroups(DilatedScore(4)), DilatedScore(4), Order(fixed([0, -1, 0, -1]).scores, counts=lambda laws: 2)),
}


@pytest.mark.parametrize("name", DECIDING)
def test_schedules_that_decide(name: str) -> None:
    schedule, score, rule = DECIDING[name]
    for world in (CHAIN, WORLDS["potts"]):
        follows(Sampler(4, schedule=schedule, order=score), world, made(world, None, rule))


PLANNED: dict[str, tuple[Schedule, Score, Order]] = {
    "blocks": (Blocks(UniformSchedule(), 2), Blockwise(RandomScore(), 2), in_groups(((0, 1), (2, 3)), in_turn=True)),
    "chunks": (Chunks(UniformSchedule(), 2), ChunkScore(2), Order(by_code=True, runs=(2, "max"))),
    "each": (UniformSchedule(3), ConfidenceScore(), CONFIDENT),
}


@pytest.mark.parametrize("name", PLANNED)
def test_schedules_of_schedules(name: str) -> None:
    schedule, score, rule = PLANNED[name]
    for steps in (2, 4):
        plan = schedule.plan(4, schedule.steps(4, steps))
        follows(Sampler(steps, schedule=schedule, order=score), CHAIN, made(CHAIN, plan, rule))


HEATS = {
    "sqrt": (Categorical(2.0, 0.5, law="sqrt"), lambda g: 2.0 - 1.5 * math.sqrt(g)),
    "inverse": (Categorical(2.0, 0.5, law="inverse"), lambda g: 1 / (0.5 + 1.5 * g)),
    "least": (Categorical(2.0, 0.0, least=1.2), lambda g: max(1.2, 2.0 - 2.0 * g)),
}


@pytest.mark.parametrize("name", HEATS)
def test_temperatures_fall_by_their_laws(name: str) -> None:
    pick, heats = HEATS[name]
    law = made(CHAIN, EVEN.plan(4, 3), CONFIDENT, Pick(heats=heats))
    follows(Sampler(3, schedule=EVEN, order=ConfidenceScore(), pick=pick), CHAIN, law)
    follows(Sampler(3, schedule=EVEN, order=ConfidenceScore(), pick=LogitNoise(pick, 0.0)), CHAIN, law)


def test_guidance_without_what_is_given_in_the_same_stream() -> None:
    given = (-1, 2, -1, -1)
    law = made(CHAIN, EVEN.plan(3, 2), RANDOM, given=given, guided=guided(CHAIN, given, 2.0, 2.0))
    hidden = ClassifierFree(2.0, conditions="hidden")
    follows(Sampler(2, schedule=EVEN, order=RandomScore(), guidance=hidden), CHAIN, law, given)
    both = guided(CHAIN, given, 0.0, 1.0)

    def rising(codes: Codes, progress: float) -> list[tuple[float, torch.Tensor]]:
        found: list[tuple[float, torch.Tensor]] = both(codes, 0.5 + 2.5 * (1 - math.cos(math.pi * progress**2)) / 2)
        return found

    guidance = ClassifierFree(0.5, 3.0, "power_cosine", power=2.0, conditions="hidden")
    law = made(CHAIN, EVEN.plan(3, 2), RANDOM, given=given, guided=rising)
    follows(Sampler(2, schedule=EVEN, order=RandomScore(), guidance=guidance), CHAIN, law, given)


def test_guidance_away_from_a_context_with_holes() -> None:
    """Of what is known, given or made, half is hidden in the second pass, drawn anew in every step."""

    def law(codes: Codes, _: float) -> list[tuple[float, torch.Tensor]]:
        known = [slot for slot, code in enumerate(codes) if code >= 0]
        sets = list(itertools.combinations(known, len(known) // 2))
        c = CHAIN.conditionals(torch.tensor([codes]))[0].log().clamp(min=-1e4)
        found = []
        for hidden in sets:
            holes = tuple(-1 if slot in hidden else code for slot, code in enumerate(codes))
            u = CHAIN.conditionals(torch.tensor([holes]))[0].log().clamp(min=-1e4)
            found.append((1 / len(sets), (u + 1.8 * (c - u)).softmax(-1)))
        return found

    given = (-1, -1, 0, -1)
    guidance = ContextCorrupted(0.5, 1.8)
    for start in (None, given):
        count = 4 if start is None else 3
        whole = made(CHAIN, EVEN.plan(count, 3), fixed([0, -1, -2, -3]), given=start, guided=law)
        follows(Sampler(3, schedule=EVEN, order=RasterScore(), guidance=guidance), CHAIN, whole, start)


@pytest.mark.parametrize("name", ["chain", "potts", "twins"])
def test_revocations_by_a_threshold_and_at_random(name: str) -> None:
    world, steps, plan = WORLDS[name], 3, EVEN.plan(4, 3)

    def unlikely(said: dict[int, float], *_: Any) -> Iterator[tuple[Chosen, float]]:
        doubtful = tuple(slot for slot, one in said.items() if math.exp(one) < 0.45)
        yield (doubtful if len(said) < 4 else ()), 1.0

    def at_random(said: dict[int, float], *_: Any) -> Iterator[tuple[Chosen, float]]:
        sets = list(itertools.combinations(said, max(1, round(0.4 * len(said)))))
        yield from ((chosen, 1 / len(sets)) for chosen in sets)

    for revoke, rule in ((RevokeUnlikely(0.45), unlikely), (RevokeRandom(0.4), at_random)):
        sampler = Sampler(steps, schedule=EVEN, order=RandomScore(), revoke=revoke)
        follows(sampler, world, made(world, plan, RANDOM, revoke=rule))

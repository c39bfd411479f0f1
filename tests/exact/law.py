"""The law of what a sampler makes of a world, by listing all that can happen: a second road to what the loop does.

Nothing here reads tokenmask.sampling. A state is the codes of all slots, -1 where open, with what each was drawn with;
a law is a dict from states to probabilities. Chi-square says whether draws follow it.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch

from tokenmask.worlds import World

Codes = tuple[int, ...]
Chosen = tuple[int, ...]


@dataclass(frozen=True)
class Pick:
    """From probabilities of a slot to those of the draw."""

    temperature: float = 1.0
    end: float | None = None
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    forbidden: Codes = ()
    heats: Callable[[float], float] | None = None
    says: Callable[[list[float], list[float]], list[float]] = lambda hot, _: hot

    def laws(self, p: Sequence[float], progress: float) -> tuple[list[float], list[float]]:
        """What statistics see (``says`` of the law before cuts and of the drawn one), and what is drawn from."""
        p = [0.0 if code in self.forbidden else share for code, share in enumerate(p)]
        end = self.temperature if self.end is None else self.end
        heat = self.temperature + (end - self.temperature) * progress
        heat = heat if self.heats is None else self.heats(progress)
        hot = shares([share ** (1 / heat) if share else 0.0 for share in p]) if heat else shares(p)
        order = sorted(range(len(hot)), key=lambda code: (-round(hot[code], 9), code))
        if not heat:
            drawn = [float(code == order[0]) for code in range(len(hot))]
            return self.says(hot, drawn), drawn
        order = order[: self.top_k or None]
        left, kept, seen = sum(hot[code] for code in order), [], 0.0
        for code in order:
            if seen < self.top_p * left - 1e-12:
                kept.append(code)
            seen += hot[code]
        kept = [code for code in kept if hot[code] >= self.min_p * hot[kept[0]]]
        drawn = shares([share if code in kept else 0.0 for code, share in enumerate(hot)])
        return self.says(hot, drawn), drawn


def shares(weights: Sequence[float]) -> list[float]:
    return [weight / sum(weights) for weight in weights]


@dataclass(frozen=True)
class Order:
    """Which slots a step reveals.

    Args:
        scores: laws of the open slots, as statistics see them -> a score of each; None where all slots are alike.
        sets: (open slots, how many, step, steps) -> which are revealed, with chances, in the place of scores.
        by_code: the probability of the drawn code is the score.
        noise: of Gumbel noise on its logarithm at the start.
        plain: of the probability before temperature.
        above: every code at least so probable before temperature is revealed, one at the least.
        counts: laws of the open slots -> how many are revealed, where no plan says it.
        runs: with by_code, slots that are as sure as their run together, by "max" or "prod".
        race: with by_code, weights of slots by what is said of their codes, which are drawn without replacement.
        beside: with by_code, another world and the weight of this one in the mixture that says how sure a code is.
    """

    scores: Callable[[Mapping[int, list[float]]], Mapping[int, float]] | None = None
    sets: Callable[[Sequence[int], int, int, int], Iterator[tuple[Chosen, float]]] | None = None
    by_code: bool = False
    noise: float = 0.0
    plain: bool = False
    above: float | None = None
    counts: Callable[[Mapping[int, list[float]]], int] | None = None
    runs: tuple[int, str] = (1, "max")
    beside: tuple[World, float] | None = None
    race: Callable[[float], float] | None = None


PLAIN = Pick()
RANDOM = Order()
CONFIDENT = Order(by_code=True)


def fixed(ranks: Sequence[float]) -> Order:
    return Order(lambda laws: {slot: ranks[slot] for slot in laws})


def entropy(law: Sequence[float]) -> float:
    return sum(share * math.log(share) for share in law if share)


def margin(law: Sequence[float]) -> float:
    best = sorted(law, reverse=True)
    return best[0] - best[1]


ENTROPY = Order(lambda laws: {slot: entropy(law) for slot, law in laws.items()})
MARGIN = Order(lambda laws: {slot: margin(law) for slot, law in laws.items()})


def best(scores: Mapping[int, float], count: int) -> Chosen:
    """The highest, then the first; what differs by rounding is equal."""
    return tuple(sorted(sorted(scores, key=lambda slot: (-round(scores[slot], 5), slot))[:count]))


def in_groups(groups: Sequence[Sequence[int]], in_turn: bool = False) -> Order:
    """Whole groups in any order, of the last one what comes first; or group after group, each in any order."""

    def sets(is_open: Sequence[int], count: int, *_: int) -> Iterator[tuple[Chosen, float]]:
        left = [own for group in groups if (own := [slot for slot in group if slot in is_open])]
        runs = list(itertools.permutations(left))
        for run in runs:
            yield tuple(sorted(list(itertools.chain(*run))[:count])), 1 / len(runs)

    def turns(is_open: Sequence[int], count: int, *_: int) -> Iterator[tuple[Chosen, float]]:
        own = next(own for group in groups if (own := [slot for slot in group if slot in is_open]))
        every = list(itertools.combinations(own, count))
        yield from ((chosen, 1 / len(every)) for chosen in every)

    return Order(sets=turns if in_turn else sets)


def plackett_luce(weights: Mapping[int, float], count: int) -> Iterator[tuple[Chosen, float]]:
    """Sets of the first ``count`` of a race in which each wins with its share of the weights that are left."""
    sets: dict[frozenset[int], float] = {frozenset(): 1.0}
    for _ in range(count):
        more: dict[frozenset[int], float] = {}
        for done, chance in sets.items():
            left = sum(weight for slot, weight in weights.items() if slot not in done)
            for slot, weight in weights.items():
                if slot not in done:
                    more[done | {slot}] = more.get(done | {slot}, 0.0) + chance * weight / left
        sets = more
    yield from ((tuple(sorted(done)), chance) for done, chance in sets.items())


def made(
    world: World,
    plan: Sequence[int] | None,
    order: Order = RANDOM,
    pick: Pick = PLAIN,
    given: Codes | None = None,
    guided: Callable[[Codes, float], list[tuple[float, torch.Tensor]]] | None = None,
    revoke: Callable[[dict[int, float], int, Codes], Iterator[tuple[Chosen, float]]] | None = None,
    steps: int | None = None,
) -> dict[Codes, float]:
    """The law of all codes after the last step.

    Args:
        world: whose conditionals the model answers with.
        plan: open slots after each step; None where the order says how many.
        order: which slots are revealed.
        pick: how codes are drawn.
        given: codes, -1 where they are to be filled; None fills all.
        guided: (codes, progress) -> chances and float64 [N, V], one of which stands in the place of the conditionals.
        revoke: (log-probability of each committed slot, number of the step, codes before it) -> sets to open, with
            probabilities.
        steps: their number without a plan; as many as slots if None.
    """
    start = given or (-1,) * len(world.sizes)
    may = [slot for slot, code in enumerate(start) if code < 0]
    law: dict[tuple[Codes, tuple[float, ...]], float] = {(start, (0.0,) * len(start)): 1.0}
    steps = (steps or len(may)) if plan is None else len(plan)
    for step in range(steps):
        wanted = sorted({codes for codes, _ in law if -1 in codes})
        if not wanted:
            break
        if guided is None:
            found = world.conditionals(torch.tensor(wanted)).tolist()
            answers = {codes: [(1.0, law)] for codes, law in zip(wanted, found, strict=True)}
        else:
            answers = {codes: [(one, law.tolist()) for one, law in guided(codes, step / steps)] for codes in wanted}
        after: dict[tuple[Codes, tuple[float, ...]], float] = {}
        for (codes, said), weight in law.items():
            for new, now, chance in (
                (new, now, first * chance)
                for first, answer in answers.get(codes, [(1.0, None)])
                for new, now, chance in _steps(world, answer, codes, said, plan, step, steps, order, pick)
            ):
                opened: Iterator[tuple[Chosen, float]] = iter([((), 1.0)])
                if revoke is not None and step < steps - 1:
                    opened = revoke({slot: now[slot] for slot in may if new[slot] >= 0}, step, codes)
                for slots, share in opened:
                    if chance * share > 0:
                        key = (
                            tuple(-1 if slot in slots else code for slot, code in enumerate(new)),
                            tuple(0.0 if slot in slots or revoke is None else one for slot, one in enumerate(now)),
                        )
                        after[key] = after.get(key, 0.0) + weight * chance * share
        law = after
    done: dict[Codes, float] = {}
    for (codes, _), weight in law.items():
        assert -1 not in codes
        done[codes] = done.get(codes, 0.0) + weight
    return done


def _steps(
    world: World,
    answer: list[list[float]] | None,
    codes: Codes,
    said: tuple[float, ...],
    plan: Sequence[int] | None,
    step: int,
    steps: int,
    order: Order,
    pick: Pick,
) -> Iterator[tuple[Codes, tuple[float, ...], float]]:
    is_open = [slot for slot, code in enumerate(codes) if code < 0]
    count = 0 if plan is None else max(0, len(is_open) - plan[step])
    if not is_open or (plan is not None and not count):
        yield codes, said, 1.0
        return
    assert answer is not None
    both = {slot: pick.laws(answer[slot][: world.sizes[slot]], step / steps) for slot in is_open}
    if order.counts is not None:
        count = min(len(is_open), max(1, order.counts({slot: both[slot][0] for slot in is_open})))
    if order.by_code:
        other = None
        if order.beside is not None:
            other = order.beside[0].conditionals(torch.tensor([codes]))[0].tolist()
        for drawn in itertools.product(*([c for c, p in enumerate(both[s][1]) if p > 0] for s in is_open)):
            chance = math.prod(both[s][1][c] for s, c in zip(is_open, drawn, strict=True))
            sure = {s: both[s][0][c] for s, c in zip(is_open, drawn, strict=True)}
            before = {s: answer[s][c] for s, c in zip(is_open, drawn, strict=True)}
            sure, number = before if order.plain else sure, count
            if other is not None and order.beside is not None:
                share, seconds = order.beside[1], {s: other[s][c] for s, c in zip(is_open, drawn, strict=True)}
                sure = {s: share * one + (1 - share) * seconds[s] for s, one in sure.items()}
            if (size := order.runs[0]) > 1:
                whole = {s: [one for t, one in sure.items() if t // size == s // size] for s in sure}
                sure = {s: max(own) if order.runs[1] == "max" else math.prod(own) for s, own in whole.items()}
            if order.above is not None:
                number = max(1, sum(one >= order.above for one in before.values()))
            noise = order.noise * (1 - (step + 1) / steps)
            if noise:
                sets = plackett_luce({s: one ** (1 / noise) for s, one in sure.items()}, number)
            elif order.race is not None:
                sets = plackett_luce({s: order.race(one) for s, one in sure.items()}, number)
            else:
                sets = iter([(best({s: math.log(one) for s, one in sure.items()}, number), 1.0)])
            for chosen, share in sets:
                yield *_with(codes, said, dict(zip(is_open, drawn, strict=True)), both, chosen), chance * share
        return
    if order.sets is not None:
        sets = order.sets(is_open, count, step, steps)
    elif order.scores is None:
        every = list(itertools.combinations(is_open, count))
        sets = iter([(chosen, 1 / len(every)) for chosen in every])
    else:
        sets = iter([(best(order.scores({slot: both[slot][0] for slot in is_open}), count), 1.0)])
    for chosen, share in sets:
        for drawn in itertools.product(*([c for c, p in enumerate(both[s][1]) if p > 0] for s in chosen)):
            chance = math.prod(both[s][1][c] for s, c in zip(chosen, drawn, strict=True))
            yield *_with(codes, said, dict(zip(chosen, drawn, strict=True)), both, chosen), chance * share


def _with(
    codes: Codes,
    said: tuple[float, ...],
    drawn: Mapping[int, int],
    both: Mapping[int, tuple[list[float], list[float]]],
    chosen: Chosen,
) -> tuple[Codes, tuple[float, ...]]:
    new, now = list(codes), list(said)
    for slot in chosen:
        new[slot] = drawn[slot]
        now[slot] = round(math.log(both[slot][0][drawn[slot]]), 6)
    return tuple(new), tuple(now)


def joint(world: World, given: Codes | None = None) -> dict[Codes, float]:
    """The true law, given some codes, over all codes that can be written."""
    whole = list(itertools.product(*(range(size) for size in world.sizes)))
    if given is not None:
        whole = [codes for codes in whole if all(one in (-1, code) for one, code in zip(given, codes, strict=True))]
    weights = world.log_prob(torch.tensor(whole)).exp().tolist()
    return {codes: weight / sum(weights) for codes, weight in zip(whole, weights, strict=True) if weight}


def total_variation(one: Mapping[Codes, float], other: Mapping[Codes, float]) -> float:
    return sum(abs(one.get(codes, 0.0) - other.get(codes, 0.0)) for codes in {*one, *other}) / 2


def deviation(found: torch.Tensor, law: Mapping[Codes, float]) -> float:
    """How many standard deviations the chi-square of draws int64 [B, N] lies above what the law says.

    By Wilson and Hilferty's cube root; outcomes that are expected less than 8 times are put together, and one that
    cannot happen is infinitely far away. Above 4.75 is a false alarm once in a million.
    """
    rows, counts = torch.unique(found, dim=0, return_counts=True)
    seen = dict(zip(map(tuple, rows.tolist()), counts.tolist(), strict=True))
    if any(law.get(codes, 0.0) <= 1e-12 for codes in seen):
        return math.inf
    cells, rest = list[tuple[float, float]](), [0.0, 0.0]
    for codes, weight in law.items():
        if weight * len(found) < 8:
            rest = [rest[0] + seen.get(codes, 0), rest[1] + weight * len(found)]
        else:
            cells.append((seen.get(codes, 0), weight * len(found)))
    if rest[1] >= 8:
        cells.append((rest[0], rest[1]))
    free = len(cells) - 1
    if not free:
        return 0.0
    square = sum((seen - expected) ** 2 / expected for seen, expected in cells)
    return float(((square / free) ** (1 / 3) - (1 - 2 / (9 * free))) / math.sqrt(2 / (9 * free)))

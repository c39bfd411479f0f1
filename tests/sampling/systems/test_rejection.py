"""073 AWRS: exact draws with unbiased weights and few tests; particles go to the law given the constraint."""

import itertools
import math
from dataclasses import dataclass, replace
from functools import cache

import numpy
import pytest
import torch

from tests.sampling.test_values import LAYOUT, Table, start, trace
from tokenmask.batch import collate
from tokenmask.layout import Layout
from tokenmask.sampling import (
    AllOf,
    ForbidCodes,
    Particles,
    Predicate,
    Rejection,
    Restricted,
    RevokeUnlikely,
    Sampler,
    SamplerState,
    SlotContext,
    UniformSchedule,
)
from tokenmask.sampling.weighing import Draws, SlotDraws, by_next, by_rounds, first_accepted
from tokenmask.scores import ConfidenceScore, Progress, RasterScore
from tokenmask.streams import StreamSpec, TokenStream

SIZE = 20


@dataclass
class NumpyDraws(Draws):
    """The numbers that the published code draws."""

    rng: numpy.random.Generator
    size: int

    def keys(self):
        return torch.from_numpy(self.rng.random(self.size))

    def geometric(self, odds):
        return int(self.rng.geometric(odds))


def case(seed: int, peaked: bool = False) -> tuple[torch.Tensor, list[bool]]:
    """Log-probabilities of 20 codes, float64, and which are accepted: about 40 %."""
    rng = numpy.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=SIZE) * 2)
    if peaked:
        logits[3] = logits.exp().sum().log() + 1.5
    return logits.log_softmax(0), (rng.random(SIZE) < 0.4).tolist()


ESTIMATORS = {
    "next": lambda *at: by_next(*at, math.inf),
    "2 rounds": lambda *at: by_rounds(*at, math.inf, 2),
    "5 rounds": lambda *at: by_rounds(*at, math.inf, 5),
}


def draws_of(estimator, logprob, accepted, count: int) -> tuple[torch.Tensor, torch.Tensor, float]:
    """Codes, weights and the mean number of codes tested."""
    rng, found, tested = numpy.random.default_rng(0), [], 0
    for _ in range(count):
        asked: set[int] = set()

        def test(code: int, asked=asked) -> bool:
            asked.add(code)
            return accepted[code]

        found.append(estimator(logprob, test, NumpyDraws(rng, SIZE)))
        tested += len(asked)
    codes, weights = zip(*found, strict=True)
    return torch.tensor(codes), torch.tensor(weights).exp().double(), tested / count


@pytest.mark.parametrize("name", list(ESTIMATORS))
def test_codes_are_exact_and_weights_unbiased(name):
    logprob, accepted = case(1)
    mass = logprob.exp() * torch.tensor(accepted)
    z, count = float(mass.sum()), 1200
    codes, weights, tested = draws_of(ESTIMATORS[name], logprob, accepted, count)
    law = mass / z
    seen = codes.bincount(minlength=SIZE).double()
    assert not seen[law == 0].any()
    big = law * count > 5
    chi = float(((seen - law * count).square() / (law * count))[big].sum())
    assert chi < float(big.sum()) + 4.5 * math.sqrt(2 * float(big.sum()))
    assert float(weights.mean()) == pytest.approx(z, abs=4.5 * float(weights.std()) / math.sqrt(count))
    for code in law.argsort(descending=True)[:3].tolist():  # w and x together: E[w 1(x = v)] = p(v) c(v)
        mine = torch.where(codes == code, weights, 0.0)
        assert float(mine.mean()) == pytest.approx(float(mass[code]), abs=4.5 * float(mine.std()) / math.sqrt(count))
    assert tested < 0.7 * SIZE


def test_more_rounds_vary_less():
    logprob, accepted = case(1)
    spread = {name: float(draws_of(one, logprob, accepted, 700)[1].var()) for name, one in ESTIMATORS.items()}
    assert spread["5 rounds"] < spread["2 rounds"] and spread["5 rounds"] < spread["next"]


def test_the_next_code_estimates_what_is_left_exactly():
    """Three codes of .5, .3, .2, the first one not accepted: by all six orders of the keys, weighed by their odds."""
    p, accepted, z = [0.5, 0.3, 0.2], [False, True, False], 0.3
    mean = 0.0
    for order in itertools.permutations(range(3)):
        odds = p[order[0]] * p[order[1]] / (1 - p[order[0]])

        class Fixed(Draws):
            def keys(self, order=order):
                wanted = torch.tensor([9.0 - order.index(code) for code in range(3)]).double()  # keys that fall in turn
                return torch.exp(-torch.exp(torch.tensor(p).double().log() - wanted))

            def geometric(self, odds):
                raise AssertionError("no trials are counted here")

        code, weight = by_next(torch.tensor(p).double().log(), lambda one: accepted[one], Fixed(), math.inf)
        assert code == 1
        mean += odds * math.exp(weight)
    assert mean == pytest.approx(z)


# (seed of the case, peaked, seed of numpy's generator, accepts, rejects) and what genlm-control 0.2 answers.
RECORDED = [
    (1, False, 3, 2, 0, 8, -0.156266),
    (1, True, 4, 2, 0, 16, -4.007333),
    (2, False, 5, 3, 0, 9, 0.000000),
    (2, True, 6, 5, 0, 4, -1.386294),
    (3, False, 7, 2, 4, 16, -1.386294),
    (4, False, 8, 2, 3, 2, -math.inf),
    (5, False, 9, 5, 4, 14, -1.386294),
    (6, False, 10, 3, 0, 15, -1.386294),
    (7, False, 11, 2, 0, 15, -2.078602),
    (8, False, 12, 2, 0, 13, -0.653548),
]


@pytest.mark.parametrize(("seed", "peaked", "generator", "accepts", "rejects", "code", "weight"), RECORDED)
def test_codes_and_weights_of_the_published_code(seed, peaked, generator, accepts, rejects, code, weight):
    """genlm-control, ``recursive_awrs`` and ``geometric_awrs``, given the same numbers; benchmarks/parity/awrs.py."""
    logprob, accepted = case(seed, peaked)
    rejection = Rejection(accepts=accepts, rejects=rejects)
    found = rejection.draw(logprob, lambda one: accepted[one], NumpyDraws(numpy.random.default_rng(generator), SIZE))
    assert found[0] == code and found[1] == pytest.approx(weight, abs=1e-6)


def test_what_is_given_up_has_no_weight():
    logprob, _ = case(2)
    for draw in (by_next, first_accepted):
        assert draw(logprob, lambda one: False, slot_draws(), math.inf)[1] == -math.inf
    assert by_rounds(logprob, lambda one: False, slot_draws(), 5, 3)[1] == -math.inf
    tested: list[int] = []
    by_next(logprob, lambda one: tested.append(one) or False, slot_draws(), 4)
    assert len(tested) == 4


def slot_draws() -> SlotDraws:
    return SlotDraws(3, 5, torch.rand(SIZE, generator=torch.Generator().manual_seed(0)).double())


# Brackets: "(", ")" and "a", each place drawn on its own, six places; words that are balanced.
WORD = StreamSpec("word", (3,), ("index",))
WORDS = Layout({"word": WORD})
SHARES = torch.tensor([0.2, 0.5, 0.3])


@dataclass(frozen=True)
class Balanced(Predicate):
    """Brackets that are, or can still be, closed; counts how often it is asked."""

    stream: str = "word"

    def holds(self, codes):
        ASKED.append(list(codes))
        return closes(tuple(codes))


@cache
def closes(codes: tuple[int, ...]) -> bool:
    """Whether some codes in the place of -1 make balanced brackets of it."""
    free = codes.count(-1)
    return any(balanced(filled_with(codes, others)) for others in itertools.product(range(3), repeat=free))


def filled_with(codes: tuple[int, ...], others: tuple[int, ...]) -> tuple[int, ...]:
    left = iter(others)
    return tuple(next(left) if code < 0 else code for code in codes)


ASKED: list[list[int]] = []


class Letters:
    def logits(self, inputs, queries, t=None, **more):
        yield 0, torch.arange(len(queries)), SHARES.log().expand(len(queries), 3)


def words_of(sampler: Sampler, rows: int, length: int = 4) -> SamplerState:
    packed = WORDS.pack({"word": TokenStream(WORD, torch.zeros(length, 1, dtype=torch.int32))})
    batch = collate([packed] * rows, torch.arange(rows), multiple=1)
    return sampler.run({"main": Letters()}, WORDS, SamplerState.start(batch, WORDS, torch.full((rows,), 4)))


def law_of_words(length: int = 4) -> dict[tuple[int, ...], float]:
    every = {
        word: math.prod(float(SHARES[code]) for code in word) for word in itertools.product(range(3), repeat=length)
    }
    return {word: share for word, share in every.items() if balanced(word)}


def balanced(word: tuple[int, ...]) -> bool:
    depth = 0
    for code in word:
        depth += (code == 0) - (code == 1)
        if depth < 0:
            return False
    return depth == 0


def distance(state: SamplerState) -> float:
    """Total variation of the words of all rows from the law given that they are balanced."""
    law = law_of_words()
    total = sum(law.values())
    codes = (state.batch.ids[:, 1:, 0] - WORDS.range("word").offset).tolist()
    seen: dict[tuple[int, ...], float] = {}
    for word in codes:
        assert balanced(tuple(word))
        seen[tuple(word)] = seen.get(tuple(word), 0.0) + 1 / len(codes)
    return sum(abs(seen.get(word, 0.0) - share / total) for word, share in law.items()) / 2


def sampler_of(pick, count: int | None, ess: float = 0.5) -> Sampler:
    particles = None if count is None else Particles(count, ess)
    return Sampler(
        4, order=RasterScore(), schedule=UniformSchedule(), pick=pick, constraint=Balanced(), particles=particles
    )


def test_particles_go_to_the_law_given_the_constraint():
    rows = 300
    found = {count: distance(words_of(sampler_of(Restricted(), count), rows)) for count in (None, 4, 16)}
    assert found[None] > 0.16 and found[4] < found[None] - 0.04 and found[16] < found[4] + 0.01
    assert found[16] < 0.1  # of 300 words of nine kinds, from the law itself, about 0.04


def test_the_mean_weight_is_the_probability_of_the_constraint():
    truth = sum(law_of_words().values())
    for pick in (Restricted(), Rejection(accepts=3)):
        state = words_of(sampler_of(pick, 6), 25)
        weights = state.carry["log_weight"].double().exp()
        assert float(weights.mean()) == pytest.approx(truth, abs=4.5 * float(weights.std()) / math.sqrt(25))
        assert state.is_open.shape[0] == 25 and state.batch.sample_ids.tolist() == list(range(25))


def test_a_constraint_is_asked_for_few_codes():
    ASKED.clear()
    words_of(sampler_of(Restricted(), None), 20)
    every = len(ASKED)
    ASKED.clear()
    state = words_of(sampler_of(Rejection(), None), 20)
    assert len(ASKED) < every and distance(state) < 0.6  # every word balanced, see there
    assert all(sum(code >= 0 for code in codes) == codes.index(-1) for codes in ASKED if -1 in codes)  # left to right


def test_a_test_of_a_code_reads_its_own_row_alone(monkeypatch):
    """Of 5 words of 4 places, some of which stand: what is said of codes, and how many rows are read for it."""
    state = words_of(sampler_of(Restricted(), None), 5)
    is_open = state.is_open.clone()
    is_open[:, 2:4] = True
    is_open[1, 1] = True
    slots = is_open.flatten().nonzero().squeeze(1)
    context = SlotContext(WORDS, replace(state, is_open=is_open), Progress(0, 1), is_open, slots, 0)
    every = Balanced().allowed(context)
    seen: list[int] = []
    codes_of = Layout.codes_of
    monkeypatch.setattr(Layout, "codes_of", lambda layout, ids: seen.append(len(ids)) or codes_of(layout, ids))
    for slot in range(len(slots)):
        for code in range(3):
            ASKED.clear()
            (fits,) = Balanced().accepts(context, torch.tensor([slot]), torch.tensor([code]))
            row, place = divmod(int(slots[slot]), state.batch.shape[1])
            word = [-1 if is_open[row, at, 0] else int(state.batch.ids[row, at, 0]) for at in range(1, 5)]
            word = [one if one < 0 else one - WORDS.range("word").offset for one in word]
            word[place - 1] = code
            assert [word] == ASKED and fits == every[slot, code] == closes(tuple(word))
    assert seen == [1] * 3 * len(slots) and len(slots) == 11 and 0 < every.sum() < every.numel()
    seen.clear()
    which = torch.tensor([10, 0, 1, 10])  # of the last row, the first one, and again
    assert torch.equal(Balanced().accepts(context, which, torch.tensor([0, 1, 2, 1])), every[which, [0, 1, 2, 1]])
    assert seen == [2]


def test_one_particle_is_a_plain_generation():
    plain, one = (words_of(sampler_of(Restricted(), count), 8) for count in (None, 1))
    assert torch.equal(plain.batch.ids, one.batch.ids) and torch.equal(
        plain.carry["log_weight"], one.carry["log_weight"]
    )


def test_weights_of_a_table():
    """ForbidCodes leaves .3 .6 .5 .03 of the four slots, and .3 * .6 * .5 * .03 of all."""
    no_first, order = ForbidCodes({"text": (0,)}), RasterScore()
    sampler = Sampler(4, order=order, schedule=UniformSchedule(), pick=Restricted(), constraint=no_first)
    done = sampler.run({"main": Table()}, LAYOUT, start())
    assert float(done.carry["log_weight"].exp()) == pytest.approx(0.3 * 0.6 * 0.5 * 0.03, rel=1e-4)
    both = AllOf((no_first, ForbidCodes({"text": (1, 2)})))
    for pick in (Rejection(), Rejection(accepts=4), Rejection(proper=False)):
        assert trace(Sampler(4, order=RasterScore(), pick=pick, constraint=both))[-1] == [3, 3, 3, 3]


def test_what_cannot_go_together_is_refused():
    with pytest.raises(ValueError, match="Rejection tests codes of the slots that a step reveals alone"):
        trace(Sampler(4, order=ConfidenceScore(), pick=Rejection()))
    with pytest.raises(ValueError, match=r"Sampler\.revoke must be NeverRevoke"):
        Sampler(particles=Particles(), revoke=RevokeUnlikely())
    with pytest.raises(ValueError, match=r"Rejection\.accepts must be at least 2, got 1"):
        Rejection(accepts=1)
    with pytest.raises(ValueError, match=r"Rejection\.rejects must be 0, for no limit, or at least 2, got 1"):
        Rejection(rejects=1)

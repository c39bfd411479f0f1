"""095 Adaptive order: puzzles that a weak denoiser solves in one order and not in another, and the drawn counts."""

import itertools
import math
from functools import cache

import pytest
import torch

from tests.sampling.systems import chains
from tests.sampling.test_values import Table, trace
from tokenmask.batch import FILL, GIVEN, collate
from tokenmask.layout import Layout
from tokenmask.masking import Cosine, Linear
from tokenmask.sampling import Categorical, DrawnSchedule, ProcessSchedule, Sampler, SamplerState, UniformSchedule
from tokenmask.scores import ConfidenceScore, GumbelScore, MarginScore, RandomScore, SumScore
from tokenmask.streams import StreamSpec, TokenStream

SPEC = StreamSpec("text", (4,), ("index",))
LAYOUT = Layout({"text": SPEC})
OFFSET = LAYOUT.range("text").offset
CELLS = [(place // 4, place % 4, place // 8 * 2 + place % 4 // 2) for place in range(16)]  # row, column, box
PEERS = torch.tensor([[any(a == b for a, b in zip(one, two, strict=True)) for two in CELLS] for one in CELLS])


@cache
def grids() -> torch.Tensor:
    """The 288 grids of 4 x 4 numbers whose rows, columns and boxes hold each number once: int64 [288, 16]."""
    rows, found = list(itertools.permutations(range(4))), []
    for one, two in itertools.product(rows, repeat=2):
        if {*one[:2], *two[:2]} != set(range(4)):
            continue
        for three, four in itertools.product(rows, repeat=2):
            columns = zip(one, two, three, four, strict=True)
            if {*three[:2], *four[:2]} == set(range(4)) and all(len(set(column)) == 4 for column in columns):
                found.append([*one, *two, *three, *four])
    return torch.tensor(found)


def puzzles(given: int, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Solutions and bool masks of what is given, int64 and bool [count, 16], each with one solution."""
    every, draw, found = grids(), torch.Generator().manual_seed(given), []
    while len(found) < count:
        solution = every[int(torch.randint(288, (1,), generator=draw))]
        shown = torch.zeros(16, dtype=torch.bool)
        shown[torch.randperm(16, generator=draw)[:given]] = True
        if int((every[:, shown] == solution[shown]).all(1).sum()) == 1:
            found.append((solution, shown))
    return tuple(torch.stack(part) for part in zip(*found, strict=True))  # type: ignore[return-value]


class Weak:
    """Every number that stands in no row, column and box of a cell is as likely there; it sees no further."""

    def logits(self, inputs, queries, t=None, **more):
        codes = inputs.ids[:, 1:, 0].long() - OFFSET
        stands = torch.nn.functional.one_hot(codes.clamp(max=4), 5)[..., :4]
        free = (PEERS.long() @ stands == 0).double()
        free = torch.where(free.sum(-1, keepdim=True) == 0, 1.0, free)
        row = torch.div(queries.slots, 17, rounding_mode="floor")
        yield 0, torch.arange(len(queries)), free[row, queries.slots % 17 - 1].clamp(min=1e-30).log().float()


def solved(order, given: int, cells: int, count: int = 150) -> float:
    """The share of puzzles that are solved with so many cells a step."""
    solutions, shown = puzzles(given, count)
    packed = [
        LAYOUT.pack(
            {"text": TokenStream(SPEC, solution[:, None].int())},
            roles={"text": torch.where(seen, GIVEN, FILL)[:, None].to(torch.int8)},
        )
        for solution, seen in zip(solutions, shown, strict=True)
    ]
    state = SamplerState.start(collate(packed, torch.arange(count), multiple=1), LAYOUT, torch.full((count,), 5))
    steps = math.ceil((16 - given) / cells)
    done = Sampler(steps, schedule=UniformSchedule(), order=order).run({"main": Weak()}, LAYOUT, state)
    return float(((done.batch.ids[:, 1:, 0] - OFFSET) == solutions).all(1).float().mean())


def test_there_are_288_grids():
    assert len(grids()) == 288


@pytest.mark.parametrize(("given", "cells", "plain"), [(5, 1, 0.19), (5, 2, 0.14), (8, 1, 0.58)])
def test_the_order_decides_whether_a_weak_denoiser_solves_a_puzzle(given, cells, plain):
    random, confident, margin = (solved(one, given, cells) for one in (RandomScore(), ConfidenceScore(), MarginScore()))
    assert random == pytest.approx(plain, abs=4 * math.sqrt(plain * (1 - plain) / 150))
    assert confident >= 0.95 and margin >= 0.95
    if cells == 1:
        assert confident == margin == 1.0


def test_margin_and_confidence_disagree_where_two_codes_compete():
    table = torch.tensor([[0.48, 0.48, 0.02, 0.02], [0.45, 0.2, 0.2, 0.15]])
    for order, first in ((ConfidenceScore(), 0), (MarginScore(), 1)):
        sampler = Sampler(2, schedule=UniformSchedule(), order=order, pick=Categorical(0.0))
        codes = trace(sampler, Table(table), slots=2)[0]
        assert codes[first] >= 0 > codes[1 - first]


def test_ties_are_broken_by_draws():
    """Of four slots with equal margins each is first as often, with the noise of the recipe."""
    even = torch.full((4, 4), 0.25)
    order = SumScore((MarginScore(), GumbelScore(0.5, None)), (1.0, 1.0))
    sampler = Sampler(4, schedule=UniformSchedule(), order=order)
    first = [trace(sampler, Table(even), seed=seed)[0] for seed in range(160)]
    counts = [sum(codes[slot] >= 0 for codes in first) for slot in range(4)]
    assert sum(counts) == 160 and max(abs(count - 40) for count in counts) < 4.5 * math.sqrt(160 * 3 / 16)


@pytest.mark.parametrize("process", [Linear(), Cosine()])
def test_drawn_counts_follow_the_reversed_process(process):
    """Each of 30 slots of 400 rows is revealed in step i with probability h(t_i) - h(t_i+1), on its own."""
    steps, revealed = 5, []
    state = chains.start(400, 30)
    sampler = Sampler(steps, order=RandomScore(), schedule=DrawnSchedule(process))
    for step in sampler.iterate({"main": chains.Chain(30)}, chains.LAYOUT, state):
        revealed.append((state.is_open ^ step.state.is_open)[:, 1:, 0])
        state = step.state
    assert not bool(state.is_open.any())
    law = [process.share(1 - i / steps) - process.share(1 - (i + 1) / steps) for i in range(steps)]
    assert sum(law) == pytest.approx(1.0)
    for share, opened in zip(law, revealed, strict=True):
        of_slots, of_rows = opened.double().mean(0), opened.sum(1).double()
        assert float(of_slots.mean()) == pytest.approx(share, abs=4.5 * math.sqrt(share * (1 - share) / 12000))
        assert float((of_slots - share).abs().max()) < 5 * math.sqrt(share * (1 - share) / 400)
        assert float(of_rows.var()) == pytest.approx(30 * share * (1 - share), rel=0.35)  # binomial, not fixed


def test_a_step_may_reveal_nothing_and_the_last_one_all():
    schedule = DrawnSchedule()
    assert [schedule.odds(i, 4) for i in range(4)] == pytest.approx([1 / 4, 1 / 3, 1 / 2, 1.0])
    for order in (RandomScore(), MarginScore()):
        traces = [trace(Sampler(8, order=order, schedule=schedule), seed=seed) for seed in range(30)]
        assert min(sum(code >= 0 for code in codes[0]) for codes in traces) == 0
        assert all(-1 not in codes[-1] for codes in traces)


def test_certain_slots_may_be_the_most_dependent_ones():
    """The counter-example: from an empty grid with the exact law, two cells a step, the surest ones are the worst."""

    class Exact:
        def logits(self, inputs, queries, t=None, **more):
            codes = inputs.ids[:, 1:, 0].long() - OFFSET
            fits = ((codes[:, None] == grids()) | (codes == 4)[:, None]).all(-1).double()  # [B, 288]
            share = torch.einsum("bg,glv->blv", fits, torch.nn.functional.one_hot(grids(), 4).double())
            share = torch.where(share.sum(-1, keepdim=True) == 0, 1.0, share)
            row = torch.div(queries.slots, 17, rounding_mode="floor")
            yield 0, torch.arange(len(queries)), share[row, queries.slots % 17 - 1].clamp(min=1e-30).log().float()

    packed = LAYOUT.pack({"text": TokenStream(SPEC, torch.zeros(16, 1, dtype=torch.int32))})
    batch = collate([packed] * 300, torch.arange(300), multiple=1)
    state = SamplerState.start(batch, LAYOUT, torch.full((300,), 2))
    valid, sure = {}, SumScore((ConfidenceScore(), GumbelScore(1e-3, None)), (1.0, 1.0))  # ties at random
    for name, order, steps in (("random", RandomScore(), 8), ("sure", sure, 8), ("one", RandomScore(), 16)):
        done = Sampler(steps, schedule=ProcessSchedule(Linear()), order=order).run({"main": Exact()}, LAYOUT, state)
        codes = (done.batch.ids[:, 1:, 0] - OFFSET).long()
        valid[name] = float((codes[:, None] == grids()).all(-1).any(1).float().mean())
    assert valid["one"] == 1.0
    assert valid["random"] == pytest.approx(0.61, abs=0.12) and valid["sure"] == pytest.approx(0.44, abs=0.12)

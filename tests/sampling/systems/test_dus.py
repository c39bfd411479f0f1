"""077 DUS: levels, groups, deferral, spacing and bounds, by numbers that a person can check."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch

from tests.sampling.systems import chains
from tests.sampling.test_values import Table, context, start, trace
from tokenmask.sampling import (
    BlockSchedule,
    ByGroups,
    Categorical,
    ConfidenceAbove,
    EntropyBelow,
    EntropyBounded,
    RevokeUnlikely,
    Sampler,
    SpacedSchedule,
    UniformSchedule,
)
from tokenmask.scores import (
    BinaryScore,
    Blockwise,
    ConfidenceScore,
    DilatedScore,
    EntropyScore,
    Progress,
    RandomScore,
    RasterScore,
    ScoreContext,
    SpacedScore,
    binary_levels,
    dilated_levels,
)


def test_levels_of_a_block():
    assert [len(level) for level in dilated_levels(32)] == [2, 2, 4, 8, 16]
    assert dilated_levels(8) == ((0, 4), (2, 6), (1, 3, 5, 7))
    assert dilated_levels(9, 3) == ((0, 3, 6), (1, 2, 4, 5, 7, 8))
    assert dilated_levels(10) == ((0, 5), (2, 4, 6, 8), (1, 3, 7, 9))  # strides 5, 2, 1
    assert dilated_levels(3) == ((0, 1, 2),) and dilated_levels(5, 1) == ((0, 1, 2, 3, 4),)  # one stride
    assert dilated_levels(3, 2, 2) == ((0, 1, 2),)  # no stride is left
    assert dilated_levels(32, 2, 2)[0] == (0, 8, 16, 24)
    assert binary_levels(7) == ((3,), (1, 5), (0, 2, 4, 6))
    assert binary_levels(8) == ((3,), (1, 5), (0, 2, 4, 6, 7))  # 7 alone joins the level before it
    for size in range(1, 129):
        for levels in (dilated_levels(size), dilated_levels(size, 3), dilated_levels(size, 4), binary_levels(size)):
            assert sorted(place for level in levels for place in level) == list(range(size))


@pytest.mark.parametrize(("order", "calls"), [(DilatedScore(8), 6), (BinaryScore(8), 6), (RasterScore(4), 5)])
def test_a_group_is_a_step(order, calls):  # RasterScore counts from the control at the start of a row
    sampler = Sampler(1, order=order, schedule=ByGroups(order))
    codes, passes = chains.filled(sampler, 3, 16)
    assert passes == calls and int(codes.max()) < chains.STATES


def test_groups_are_told_apart_where_some_slots_are_given():
    roles = torch.tensor([[2 if slot not in (1, 4) else 1] for slot in range(8)], dtype=torch.int8)  # FILL, GIVEN
    state = chains.start(1, 8, roles={"text": roles})
    order = DilatedScore(8)
    steps = Sampler(1, order=order, schedule=ByGroups(order)).iterate({"main": chains.Chain(8)}, chains.LAYOUT, state)
    opened = [state.is_open[0, 1:, 0].nonzero().squeeze(1).tolist() for state in (step.state for step in steps)]
    # Six slots to fill, 0 2 3 5 6 7, have the places 0..5 of a block: 0 and 4, then 2, then 1, 3 and 5.
    assert opened == [[2, 3, 5, 7], [2, 5, 7], []]


def test_of_a_chain_what_is_far_apart_is_drawn_together():
    """5 calls for 32 places: dilated is almost the chain itself (-0.954), neighbours are the worst there are."""
    dilated = DilatedScore(32)
    counts = UniformOf((2, 2, 4, 8, 16))
    found = {}
    for name, order in (("dilated", dilated), ("random", RandomScore()), ("raster", RasterScore())):
        schedule = ByGroups(dilated) if name == "dilated" else counts
        codes, passes = chains.filled(Sampler(5, order=order, schedule=schedule), 600, 32)
        assert passes == 5
        found[name] = chains.log_likelihood(codes)
    assert found["dilated"] == pytest.approx(-0.959, abs=0.02)
    assert found["random"] == pytest.approx(-1.16, abs=0.03) and found["raster"] == pytest.approx(-1.645, abs=0.03)
    codes, _ = chains.filled(Sampler(32, order=RasterScore(), schedule=UniformSchedule()), 600, 32)
    assert chains.log_likelihood(codes) == pytest.approx(-0.954, abs=0.02)


def left_out(groups: Sequence[Sequence[int]], size: int = 32) -> float:
    """Nats that a generation in groups leaves out: the entropy of each code given what stood, less that of all."""
    powers = torch.stack([torch.linalg.matrix_power(chains.MOVES, gap) for gap in range(size)])
    one = torch.ones(chains.STATES, dtype=torch.float64) / chains.STATES

    def entropy(before: int | None, behind: int | None) -> float:
        """Of a code with the nearest that stand so many places before and behind it."""
        left = one[None] if before is None else powers[before]
        right = one[:, None] * 0 + 1 if behind is None else powers[behind]
        joint = left[:, :, None] * right[None] / len(left)
        law = joint / joint.sum(1, keepdim=True)
        return -float((joint * law.log()).sum())

    stands: set[int] = set()
    found = 0.0
    for group in groups:
        for at in group:
            before = max((one for one in stands if one < at), default=None)
            behind = min((one for one in stands if one > at), default=None)
            found += entropy(None if before is None else at - before, None if behind is None else behind - at)
        stands |= set(group)
    return found - entropy(None, None) - (size - 1) * entropy(1, None)


def test_what_is_drawn_together_of_a_chain_leaves_out_so_much():
    """The exact total correlation of all five calls: dilated least of all, then a random order, neighbours most."""
    counts = [0, 2, 4, 8, 16, 32]
    draw = torch.Generator().manual_seed(0)

    def cut(order: Sequence[int]) -> list[Sequence[int]]:
        return [order[a:b] for a, b in itertools.pairwise(counts)]

    random = [left_out(cut(torch.randperm(32, generator=draw).tolist())) for _ in range(40)]
    dilated, neighbours = left_out(dilated_levels(32)), left_out(cut(range(32)))
    assert left_out([[at] for at in range(32)]) == pytest.approx(0, abs=1e-9)
    assert dilated < 0.01 < 1 < min(random) < max(random) < 6 < 8 < neighbours
    # By hand: places 0 and 16 know nothing of each other, and every other place stands between two that are known.
    gap = torch.linalg.matrix_power(chains.MOVES, 16)
    assert dilated == pytest.approx(math.log(4) + float((gap * gap.log()).sum() / 4), abs=1e-9)


class UniformOf(UniformSchedule):
    """Counts of its own."""

    def __init__(self, counts):
        object.__setattr__(self, "counts", counts)

    def plan(self, initial, steps):
        return [initial - sum(self.counts[: done + 1]) for done in range(steps)]


def test_what_is_drawn_in_doubt_waits_for_the_next_level_and_the_last_one_takes_all():
    """Best codes of .7, .4, .5, .97. At .45 slot 1 waits, whatever its level, and is filled at last."""
    order = DilatedScore(4)  # places 0 and 2, then 1 and 3
    sampler = Sampler(1, order=order, schedule=ByGroups(order), pick=Categorical(0.0), revoke=RevokeUnlikely(0.6))
    assert trace(sampler) == [[0, -1, -1, -1], [0, 0, 0, 0]]  # 2 has .5: it comes with the second level
    assert trace(replace(sampler, revoke=RevokeUnlikely(0.45))) == [[0, -1, 0, -1], [0, 0, 0, 0]]
    three = DilatedScore(8)
    table = torch.tensor([[0.9, 0.1]] * 8).repeat(1, 2) / 2
    table[4] = 0.25
    sampler = Sampler(1, order=three, schedule=ByGroups(three), pick=Categorical(0.0), revoke=RevokeUnlikely(0.4))
    hidden = [[slot for slot in range(8) if row[slot] < 0] for row in trace(sampler, Table(table), 8)]
    assert hidden == [[1, 2, 3, 4, 5, 6, 7], [1, 3, 4, 5, 7], []]


def told(**predictions):
    shaped = {name: torch.tensor(value) for name, value in predictions.items()}
    return context(0.0, **shaped)


def test_how_many_slots_a_bound_of_entropy_reveals():
    # Sorted: .1 .2 .4 .8; sums of all but the greatest: 0, .1, .3, .7
    entropy = told(entropy=[0.4, 0.1, 0.8, 0.2])
    for nats, count in ((0.0, 1), (0.05, 1), (0.1, 2), (0.29, 2), (0.31, 3), (0.71, 4)):
        assert EntropyBounded(nats).reveal(entropy).tolist() == [count], nats
    for nats, count in ((0.05, 0), (0.2, 2), (0.5, 3), (0.8, 4)):
        assert EntropyBelow(nats).reveal(entropy).tolist() == [count], nats
    # Entropies of the table: .94 1.28 1.22 .17
    sampler = Sampler(1, order=EntropyScore(), schedule=EntropyBounded(0.2), pick=Categorical(0.0))
    assert trace(sampler) == [[0, -1, -1, 0], [0, -1, 0, 0], [0, 0, 0, 0]]
    assert trace(replace(sampler, schedule=EntropyBelow(1.0))) == [[0, -1, -1, 0], [0, -1, 0, 0], [0, 0, 0, 0]]


def reference(scores: list[float], proposed: int, gap: int) -> list[int]:
    """Greedily, as the sentence says: best first, at least ``gap`` from all that were taken."""
    taken: list[int] = []
    for slot in sorted(range(len(scores)), key=lambda at: (-scores[at], at))[:proposed]:
        if all(abs(slot - other) >= gap for other in taken):
            taken.append(slot)
    return taken


@pytest.mark.parametrize("gap", [2, 3, 5, 16])
def test_slots_that_stand_near_better_ones_wait(gap):
    draws = torch.rand(5, 16, generator=torch.Generator().manual_seed(gap))
    for row in draws:
        logprob = row.log()
        state = start(16)
        one = replace_context(state, logprob)
        spaced = SpacedScore(ConfidenceScore(), gap, 16)
        expected = reference(logprob.tolist(), 16, max(2, gap))
        taken, ranks = spaced.taken(one)
        assert sorted(expected) == slots_of(taken)
        best = spaced(one)[0, 1:, 0].argsort(descending=True)[: len(expected)].tolist()
        assert best == expected  # in the order in which they were taken
        for threshold in (0.2, 0.6):
            proposed = max(1, int((row >= threshold).sum()))
            count = SpacedSchedule(ConfidenceAbove(threshold), spaced).reveal(one)
            assert count.tolist() == [len(reference(logprob.tolist(), proposed, max(2, gap)))]
        assert ranks[0, 1:, 0].sort().values.tolist() == list(range(16))


def slots_of(chosen):
    return chosen[0, 1:, 0].nonzero().squeeze(1).tolist()


def replace_context(state, logprob):
    values = torch.zeros_like(state.score)
    values[0, 1:, 0] = logprob
    predictions = {"logprob": values, "plain_logprob": values}
    return ScoreContext(state.batch, state.is_open, state.seeds, state.keys, Progress(0, 4), predictions)


def test_the_gap_falls_as_the_block_fills():
    """8 of 32 where all is open, 2 where 8 slots are left: 8 * 8 // 32."""
    state = start(32)
    spaced = SpacedScore(RasterScore(), 8, 32)
    told = replace_context(state, torch.zeros(32))
    assert slots_of(spaced.taken(told)[0]) == [0, 8, 16, 24]
    is_open = state.is_open.clone()
    is_open[0, 1:25] = False
    late = replace(told, is_open=is_open)
    assert slots_of(spaced.taken(late)[0]) == [24, 26, 28, 30]


def test_blocks_are_filled_one_by_one():
    order = Blockwise(ConfidenceScore(), 2)
    sampler = Sampler(1, order=order, schedule=BlockSchedule(ConfidenceAbove(0.45), 2), pick=Categorical(0.0))
    # Blocks (.7, .4) and (.5, .97): the sure ones of a block together, never one of the next block before.
    assert trace(sampler) == [[0, -1, -1, -1], [0, 0, -1, -1], [0, 0, 0, 0]]
    assert trace(Sampler(4, order=order, schedule=UniformSchedule(), pick=Categorical(0.0))) == [
        [0, -1, -1, -1],
        [0, 0, -1, -1],
        [0, 0, -1, 0],
        [0, 0, 0, 0],
    ]


def test_wrong_numbers_are_named():
    for make, sentence in (
        (lambda: DilatedScore(0), r"DilatedScore\.block must be at least 1, got 0"),
        (lambda: EntropyBounded(-1.0), r"EntropyBounded\.nats must be finite and at least 0, got -1"),
        (lambda: ByGroups(ConfidenceScore()), "ByGroups.order must read no predictions"),
        (lambda: RevokeUnlikely(1.5), r"RevokeUnlikely\.threshold must be in 0\.\.1, got 1\.5"),
    ):
        with pytest.raises(ValueError, match=sentence):
            make()

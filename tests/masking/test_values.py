"""Rates, scores, stages, conditions and chains against tables that a person can check."""

from dataclasses import replace

import pytest
import torch

from tokenmask.batch import FILL, GIVEN, collate
from tokenmask.layout import Layout
from tokenmask.masking import (
    Amount,
    Conditioning,
    Cosine,
    FixedRate,
    GroupChain,
    LevelStages,
    Linear,
    Masker,
    Polynomial,
    ProcessRate,
    Rate,
)
from tokenmask.masking.group_chain import chained
from tokenmask.masking.processes import open_counts
from tokenmask.masking.row_draws import (
    CHAIN,
    CHAIN_ORDER,
    CHAIN_STEPS,
    DROP,
    JOINT,
    MOST_STREAMS,
    STAGE,
    TARGET,
    row_draws,
)
from tokenmask.ops import Purpose, uniform
from tokenmask.scores import RandomScore, RasterScore, ScoreContext, SpanScore, SumScore, slot_noise, slot_uniforms
from tokenmask.streams import StreamSpec, TokenStream

TEXT, SOUND = StreamSpec("text", (4,), ("index",)), StreamSpec("audio", (4, 4), ("time",), rate_hz=1.0)
LAYOUT = Layout({"text": TEXT, "audio": SOUND})


def rows_of(count: int = 1, slots: int = 4, **streams: int):
    record = {"text": TokenStream(TEXT, torch.arange(slots, dtype=torch.int32)[:, None] % 4)}
    for name, length in streams.items():
        record[name] = TokenStream(SOUND, torch.zeros(length, 2, dtype=torch.int32))
    return collate([LAYOUT.pack(record)] * count, torch.arange(count), multiple=1)


def amount(rate, slots: int = 10, step: int = 0):
    ids = torch.arange(3)
    return rate(torch.full((3,), slots), step=step, total_steps=10, seed=7, sample_ids=ids)


@pytest.mark.parametrize(
    ("rate", "law"),
    [
        (ProcessRate(Linear()), lambda u: torch.ceil(10 * u)),
        (ProcessRate(Linear(), rounding="floor", minimum=0), lambda u: torch.floor(10 * u)),
        (ProcessRate(Linear(), high=0.01, rounding="floor"), lambda u: torch.full_like(u, 1)),
        (ProcessRate(Linear(), rounding="round"), lambda u: torch.round(10 * u).clamp(min=1)),
        (ProcessRate(Linear(), low=0.5), lambda u: torch.ceil(10 * (0.5 + 0.5 * u))),
        (ProcessRate(Linear(), high=0.5), lambda u: torch.ceil(10 * 0.5 * u)),
        (ProcessRate(Cosine()), lambda u: torch.ceil(10 * torch.sin(u * torch.pi / 2))),
        (ProcessRate(Linear(), minimum=9), lambda u: torch.ceil(10 * u).clamp(min=9)),
        (ProcessRate(Linear(), minimum=20), lambda u: torch.full_like(u, 10)),
        (ProcessRate(Linear(), per="batch"), lambda u: torch.ceil(10 * u[:1]).expand(3)),
        (ProcessRate(Linear(), high=0.01), lambda u: torch.full_like(u, 1)),
        (FixedRate(0.35), lambda u: torch.full_like(u, 4)),  # 3.5 rounds to even
        (FixedRate(0.01), lambda u: torch.full_like(u, 1)),
    ],
    ids=lambda value: str(value) if isinstance(value, Rate) else "",
)
def test_rates(rate, law):
    draws = uniform(seed=7, counters=torch.arange(3), purpose=Purpose.rate).double()
    assert amount(rate).count.tolist() == law(draws).tolist()


def test_rates_where_nothing_is_said():
    assert FixedRate() == FixedRate(0.15) and amount(FixedRate(), slots=100).count.tolist() == [15] * 3  # BERT
    assert ProcessRate() == ProcessRate(Cosine(), 0.0, 1.0, "sample", "ceil", 1)
    said = [rate.draws_for_batch for rate in (FixedRate(), ProcessRate(), ProcessRate(per="batch"))]
    assert said == [False, False, True]


def test_a_share_above_one_is_refused():
    assert FixedRate(1.0).share == 1.0
    with pytest.raises(ValueError, match=r"must lie in 0\.\.1, got 1\.5"):
        FixedRate(1.5)


def test_a_bernoulli_rate_is_the_share_of_its_process():
    found = amount(ProcessRate(Polynomial(2.0), rounding="bernoulli"))
    draws = uniform(seed=7, counters=torch.arange(3), purpose=Purpose.rate)
    assert found.count is None and torch.equal(found.t, draws)
    assert torch.allclose(found.probability, draws**2)


@pytest.mark.parametrize(
    ("process", "rounding", "counts"),
    [
        (Linear(), "floor", [7, 5, 2, 0]),  # 7.5, 5, 2.5
        (Linear(), "ceil", [8, 5, 3, 0]),
        (Linear(), "round", [8, 5, 2, 0]),
        (Cosine(), "floor", [9, 7, 3, 0]),  # 9.2, 7.1, 3.8
        (Polynomial(4.0), "floor", [3, 2, 1, 0]),  # 3.2, 0.6, 0.04: as many stay as there are steps
    ],
)
def test_open_counts(process, rounding, counts):
    assert open_counts(process, 10, 4, rounding) == counts


def test_fewer_slots_than_steps_are_revealed_one_by_one():
    assert open_counts(Linear(), 2, 4) == [1, 0, 0, 0]
    assert open_counts(Linear(), 0, 2) == [0, 0]


def test_a_bernoulli_rate_refuses_whatever_would_choose():
    own = ProcessRate(Linear(), rounding="bernoulli")
    with pytest.raises(ValueError, match=r"hides each slot on its own, so nothing may choose.*got RasterScore"):
        Masker(own, RasterScore())
    with pytest.raises(ValueError, match="got a tensor of scores"):
        Masker(own)(rows_of(), LAYOUT, seed=0, scores=torch.zeros(1, 5, 1))

    class Half(Rate):
        def __call__(self, num_maskable, *, step, total_steps, seed, sample_ids):
            half = torch.full(num_maskable.shape, 0.5)
            return Amount(half, probability=half)

    with pytest.raises(ValueError, match="got RasterScore"):
        Masker(Half(), RasterScore())(rows_of(), LAYOUT, seed=0)
    assert Masker(Half())(rows_of(), LAYOUT, seed=0).t.tolist() == [0.5]


def test_a_rate_is_told_the_slots_and_the_step():
    told = []

    class Watch(Rate):
        def __call__(self, num_maskable, *, step, total_steps, seed, sample_ids):
            told.append((num_maskable.tolist(), step, total_steps, seed, sample_ids.tolist()))
            return Amount(torch.ones(len(num_maskable)), count=torch.ones_like(num_maskable))

    Masker(Watch())(rows_of(2), LAYOUT, seed=3)
    Masker(Watch())(rows_of(2), LAYOUT, seed=3, step=4, total_steps=9)
    assert told == [([4, 4], 0, 1, 3, [0, 1]), ([4, 4], 4, 9, 3, [0, 1])]


def test_a_kind_of_random_score_is_called():
    class LastFirst(RandomScore):
        def __call__(self, context):
            return torch.arange(context.is_open.numel()).view(context.is_open.shape).float()

    assert Masker(FixedRate(0.25), LastFirst())(rows_of(), LAYOUT, seed=0).queries.slots.tolist() == [4]


def test_a_masked_batch_says_its_law_of_time():
    for rounding in ("ceil", "bernoulli"):
        masked = Masker(ProcessRate(Polynomial(2.0), rounding=rounding))(rows_of(2), LAYOUT, seed=0)
        assert masked.process == masked.rows(0, 1).process == Polynomial(2.0)
    assert Masker(FixedRate(0.5))(rows_of(), LAYOUT, seed=0).process is None


def test_the_drawn_depth_is_the_group_that_patterns_see():
    batch = rows_of(2, audio=3)
    role = torch.where((batch.stream == 1)[:, :, None], batch.role, GIVEN)
    for depth in (0, 1):
        masked = Masker(FixedRate(0.5), stages=LevelStages(only=depth))(replace(batch, role=role), LAYOUT, seed=0)
        assert masked.group.dtype == torch.int32 and masked.group.unique().tolist() == [depth]
    assert Masker()(batch, LAYOUT, seed=0).group is None


def test_the_best_are_hidden():
    masked = Masker(FixedRate(0.5), RasterScore())(rows_of(), LAYOUT, seed=0)
    assert masked.hidden[0, :, 0].tolist() == [False, True, True, False, False]
    assert masked.targets.codes.tolist() == [0, 1] and masked.queries.slots.tolist() == [1, 2]
    backwards = Masker(FixedRate(0.5), SumScore((RasterScore(),), (-1.0,)))(rows_of(), LAYOUT, seed=0)
    assert backwards.targets.codes.tolist() == [2, 3]


def test_spans_share_a_draw_and_start_with_their_stream():
    batch = rows_of(slots=5)
    everything = torch.ones(batch.shape, dtype=torch.bool)
    context = ScoreContext(batch, everything, torch.tensor([0]), torch.tensor([0]))
    # the control, then pairs from the stream's first position; one is left
    expected = slot_noise(context, torch.tensor([[0, 1, 1, 2, 2, 3]]))
    assert torch.equal(SpanScore(2)(context)[0, 1:], expected[0, 1:])


def test_scores_where_nothing_is_said():
    batch = rows_of()
    untold = ScoreContext(batch, torch.ones(batch.shape, dtype=torch.bool), torch.tensor([0]), torch.tensor([0]))
    assert (untold.progress, untold.index, untold.steps) == (0.0, 0, 1)
    assert SpanScore() == SpanScore(3) and SpanScore(1).span == 1 and RasterScore() == RasterScore(1)
    with pytest.raises(ValueError, match="a weight for each term, got 0 and 0"):
        SumScore((), ())


def test_blocks_of_a_raster_are_equally_good():
    batch = rows_of(slots=4)
    everything = torch.ones(batch.shape, dtype=torch.bool)
    context = ScoreContext(batch, everything, torch.tensor([0]), torch.tensor([0]))
    assert RasterScore()(context)[0, :, 0].tolist() == [0, -1, -2, -3, -4]
    assert RasterScore(2)(context)[0, :, 0].tolist() == [0, 0, -1, -1, -2]


def test_a_stage_sees_coarser_levels_and_hides_finer_ones():
    batch = rows_of(audio=3)
    maskable = (batch.role == FILL) & batch.valid[:, :, None] & (batch.stream == 1)[:, :, None]
    for depth, (now, finer) in enumerate((([1, 0], [0, 1]), ([0, 1], [0, 0]))):
        stages = LevelStages(only=depth, whole_from=1)
        mine, later, whole = stages(batch.ids, maskable, LAYOUT, seed=0, sample_ids=batch.sample_ids)
        assert mine[0].sum(0).tolist() == [3 * one for one in now]
        assert later[0].sum(0).tolist() == [3 * one for one in finer]
        assert whole.tolist() == [depth == 1]


def test_a_row_learns_a_depth_that_it_has():
    batch = rows_of(40, audio=1)
    maskable = (batch.role == FILL) & batch.valid[:, :, None] & (batch.stream == 1)[:, :, None]
    maskable[:, :, 0] = False
    depth = LevelStages((9.0, 1.0)).stage(batch.ids, maskable, LAYOUT, seed=0, sample_ids=batch.sample_ids)
    assert depth.tolist() == [1] * 40


def test_stages_are_drawn_by_their_odds():
    batch = rows_of(4000, audio=1)
    maskable = (batch.role == FILL) & batch.valid[:, :, None] & (batch.stream == 1)[:, :, None]
    drawn, _, _ = LevelStages((3.0, 1.0))(batch.ids, maskable, LAYOUT, seed=0, sample_ids=batch.sample_ids)
    first = drawn[:, :, 0].any(1).double().mean()
    assert abs(float(first) - 0.75) < 4.5 * (0.75 * 0.25 / 4000) ** 0.5


def test_a_depth_follows_from_the_key_of_its_row():
    batch = rows_of(100, audio=1)
    maskable = (batch.role == FILL) & batch.valid[:, :, None] & (batch.stream == 1)[:, :, None]
    batch = replace(batch, sample_ids=torch.arange(100))
    draw = uniform(seed=5, counters=torch.arange(100) * 64 + 63, purpose=Purpose.dropout)  # 0 .. 62: conditions
    for odds in ((3.0, 1.0), (0.3, 0.1)):  # relative to each other alone
        depth = LevelStages(odds).stage(batch.ids, maskable, LAYOUT, seed=5, sample_ids=batch.sample_ids)
        assert depth.tolist() == (draw >= 0.75).long().tolist()


def test_conditions_are_dropped_one_by_one():
    three = Layout({name: StreamSpec(name, (4,), ("index",)) for name in ("a", "b", "c")})
    streams = {name: TokenStream(spec, torch.zeros(1, 1, dtype=torch.int32)) for name, spec in three.streams.items()}
    batch = collate([three.pack(streams)] * 4000, torch.arange(4000), multiple=1)
    drawn = Conditioning(drop=0.5, odds={"b": 0.0, "c": 0.0})(batch, three, seed=1)
    there = torch.stack([((drawn.stream == n) & drawn.valid).any(1) for n in (0, 1, 2)], 1)
    assert there[:, 0].all()
    pairs = (there[:, 1].long() * 2 + there[:, 2]).bincount(minlength=4).double()
    assert float(((pairs - 1000).square() / 1000).sum()) < 21.1  # a quarter each: false alarm 1e-4


def test_what_is_filled_and_dropped_follows_from_the_key_of_a_row():
    three = Layout({name: StreamSpec(name, (4,), ("index",)) for name in ("a", "b", "c")})
    streams = {name: TokenStream(spec, torch.zeros(1, 1, dtype=torch.int32)) for name, spec in three.streams.items()}
    batch = collate([three.pack(streams)] * 200, torch.arange(200), multiple=1)
    drawn = Conditioning(drop=0.5, joint=0.25, odds={"b": 2.0})(batch, three, seed=1)
    draws = [uniform(seed=1, counters=torch.arange(200) * 64 + n, purpose=Purpose.dropout) for n in range(5)]
    target = (draws[0] >= 0.25).long() + (draws[0] >= 0.75)  # a is to fill in a quarter of the rows, b in half
    for n in range(3):
        filled = (target == n) | (draws[1] < 0.25)
        assert torch.equal(drawn.role[:, n + 1, 0] == FILL, filled)
        assert torch.equal(drawn.valid[:, n + 1], filled | (draws[2 + n] >= 0.5))
    every = Conditioning(drop=0.0, joint=0.0)(batch, three, seed=1)
    assert bool(every.valid.all()) and bool(((every.role == FILL).sum((1, 2)) == 1).all())


@pytest.mark.parametrize("wrong", [{"drop": -0.1}, {"drop": 1.1}, {"joint": -0.1}, {"joint": 1.1}])
def test_odds_of_conditions_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="drop and joint are probabilities"):
        Conditioning(**wrong)


def test_a_chain_asks_its_groups_in_turn():
    batch = rows_of(slots=4)
    group = torch.tensor([[0, 2, 1, 1, 2]])[:, :, None]
    score = torch.tensor([[0.0, 4.0, 3.0, 2.0, 1.0]])[:, :, None]
    masked = chained(batch, LAYOUT, group, score)
    asked = masked.group[0, torch.div(masked.queries.slots, batch.shape[2], rounding_mode="floor")]
    codes = masked.targets.codes[masked.targets.queries.argsort()]
    assert asked.tolist() == [1, 1, 2, 2] and codes.tolist() == [1, 2, 0, 3]


def test_a_chain_reveals_few_first_and_best_first():
    chain = GroupChain(share=1.0, orders=(RasterScore(),), process=Polynomial(0.5), steps=(2, 2))
    masked = chain(rows_of(slots=4), LAYOUT, seed=0)
    asked = masked.group[0, masked.queries.slots]
    # sqrt(1/2) of 4 slots stay open after the first of two groups: 2 (floor of 2.8) and 2
    assert masked.targets.codes[masked.targets.queries.argsort()].tolist() == [0, 1, 2, 3]
    assert asked.tolist() == [1, 1, 2, 2]


def test_a_rate_of_ones_own_that_hides_each_slot_alone_is_refused_as_early_as_ours():
    class Half(Rate):
        each_slot_alone = True

        def __call__(self, num_maskable, *, step, total_steps, seed, sample_ids):
            half = torch.full(num_maskable.shape, 0.5)
            return Amount(half, probability=half)

    for rate in (Half(), ProcessRate(Linear(), rounding="bernoulli")):
        assert rate.each_slot_alone and Masker(rate).rate is rate
        with pytest.raises(ValueError, match=r"hides each slot on its own.*got RasterScore"):
            Masker(rate, RasterScore())
    assert not ProcessRate().each_slot_alone and not FixedRate(0.5).each_slot_alone


def test_no_two_choices_of_a_row_share_a_draw():
    numbers = [TARGET, JOINT, *range(DROP, DROP + MOST_STREAMS), CHAIN, CHAIN_STEPS, CHAIN_ORDER, STAGE]
    assert sorted(numbers) == list(range(64))
    rows = torch.tensor([0, 5])
    counters = torch.cat([torch.arange(64), 320 + torch.arange(64)])
    every = uniform(seed=3, counters=counters, purpose=Purpose.dropout).view(2, 64)
    assert torch.equal(row_draws(rows, 0, seed=3, count=64), every)
    assert torch.equal(row_draws(rows, STAGE, seed=3), every[:, 63:])


def test_more_streams_than_draws_are_refused():
    """The 59th stream would be dropped by the draw that says whether its batch is a chain."""

    def given(count: int):
        layout = Layout({f"s{n:02}": StreamSpec("text", (4,), ("index",)) for n in range(count)})
        word = TokenStream(TEXT, torch.zeros(1, 1, dtype=torch.int32))
        batch = collate([layout.pack({"s00": word, f"s{count - 1:02}": word})], torch.tensor([4]))
        return Conditioning(drop=0.5, odds={"s00": 1.0, f"s{count - 1:02}": 0.0})(batch, layout, seed=0)

    last = row_draws(torch.tensor([4]), DROP + 57, seed=0) < 0.5
    assert bool(given(58).valid[0].all()) != bool(last)
    with pytest.raises(ValueError, match="draws for at most 58 streams, one each, got 59; take fewer"):
        given(59)


def test_uniforms_of_slots_are_those_of_seed_key_and_place():
    seeds, keys = torch.tensor([3, 9]), torch.tensor([1, 2])
    found = slot_uniforms(seeds, keys, (5, 2), Purpose.mask)
    one = uniform(seed=9, counters=torch.tensor([2 << 24 | 4 << 6 | 1]), purpose=Purpose.mask)
    assert found.shape == (2, 5, 2) and found[1, 4, 1] == one
    shared = slot_uniforms(seeds, keys, (5, 2), Purpose.mask, torch.tensor([[0, 0, 1, 1, 4]] * 2))
    assert torch.equal(shared[:, :, 0], shared[:, :, 1]) and torch.equal(shared[:, 4, 0], found[:, 4, 0])
    assert torch.equal(shared[:, 0], shared[:, 1]) and torch.equal(shared[:, 2, 0], found[:, 1, 0])

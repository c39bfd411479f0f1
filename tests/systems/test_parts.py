"""New parts of published systems against tables that a person can check: schedules, orders, strategies, picks."""

import itertools
import math
from dataclasses import replace

import pytest
import torch

from tests.sampling.test_values import LAYOUT, MASK, OFFSET, TABLE, Table, committed, context, order_of, row_of, trace
from tokenmask.batch import FILL, GIVEN, collate
from tokenmask.layout import Layout
from tokenmask.masking import Arccos, Corruption, FixedRate, Linear, Masker
from tokenmask.sampling import (
    Blocks,
    Categorical,
    Chunks,
    ClassifierFree,
    ContextCorrupted,
    Differential,
    LogitNoise,
    NoGuidance,
    PerLength,
    PickContext,
    ProcessSchedule,
    RevokeRandom,
    Sampler,
    SamplerState,
    StepContext,
    Twice,
    UniformSchedule,
    Zigzag,
)
from tokenmask.scores import (
    Blockwise,
    ChunkScore,
    ConfidenceScore,
    Progress,
    RasterScore,
    Rescored,
    ScoreContext,
    SpanUnion,
    TubeScore,
    slot_noise,
    span_starts,
)
from tokenmask.streams import StreamSpec, TokenStream


@pytest.mark.parametrize(
    ("schedule", "initial", "steps", "after"),
    [
        (ProcessSchedule(Linear(), "ceil", "first"), 10, 5, [9, 8, 5, 3, 0]),  # floor(10 i / 4) are known, one at least
        (ProcessSchedule(Arccos(), "ceil", "first"), 64, 8, [63, 59, 53, 46, 40, 32, 23, 0]),  # 64 * 2 / pi asin(i / 7)
        (ProcessSchedule(grid="first"), 5, 1, [0]),
        (UniformSchedule(1), 4, 4, [3, 2, 1, 0]),
        (UniformSchedule(3), 7, 3, [4, 1, 0]),
        (Chunks(), 30, 5, [27, 21, 9, 3, 0]),  # of 10 runs: 9.2, 7.07, 3.8, 0 (one at least)
        (Chunks(UniformSchedule(), 4), 10, 3, [8, 4, 0]),  # the last of three runs has two slots
        (Blocks(block=4), 10, 6, [8, 6, 4, 2, 1, 0]),  # 4, 4 and 2 slots in two steps each
        (Blocks(UniformSchedule(), 5), 10, 4, [7, 5, 2, 0]),  # 3 and 2 of each
        (Twice(UniformSchedule()), 6, 5, [4, 4, 2, 2, 0]),
        (PerLength(UniformSchedule(), 8), 4, 2, [2, 0]),
    ],
    ids=str,
)
def test_counts(schedule, initial, steps, after):
    assert schedule.plan(initial, steps) == after and len(after) == steps


def test_schedules_that_say_their_own_number_of_steps():
    assert [UniformSchedule(1).steps(n, 9) for n in (0, 1, 7)] == [0, 1, 7] and UniformSchedule(3).steps(7, 9) == 3
    assert Twice(UniformSchedule()).steps(6, 3) == 5
    assert Blocks(block=4).steps(10, 7) == 6 and Blocks(UniformSchedule(1), 4).steps(10, 7) == 10
    assert [PerLength().steps(n, 10) for n in (49, 25, 24, 2, 200)] == [10, 5, 5, 1, 10]  # 5.1, 4.9, 0.4


@pytest.mark.parametrize("kind", [Chunks, Blocks, PerLength, Twice])
def test_schedules_around_one_that_decides_are_refused(kind):
    from tokenmask.sampling import ConfidenceAbove

    with pytest.raises(ValueError, match=rf"{kind.__name__}\.schedule must know its counts beforehand, got Conf"):
        kind(ConfidenceAbove())


def test_runs_are_revealed_by_their_best_code_or_by_all_of_them():
    # Best codes: .7, .4 | .5, .97. By the best of a run the second comes first, and so it does by the product.
    for how in ("max", "prod"):
        sampler = Sampler(2, schedule=Chunks(UniformSchedule(), 2), order=ChunkScore(2, how), pick=Categorical(0.0))
        assert trace(replace(sampler, order=ChunkScore(2, how))) == [[-1, -1, 0, 0], [0, 0, 0, 0]]
    told = context(0.0, logprob=torch.tensor([0.9, 0.1, 0.5, 0.4]).log())
    told = replace(told, batch=row_of(3).rows(torch.tensor([0])))
    for how, expected in (("max", [0.9, 0.9, 0.5, 0.5]), ("prod", [0.09, 0.09, 0.2, 0.2])):
        # The first position of a row is a control and a run of its own stream.
        one = replace(told, batch=replace(told.batch, stream=torch.zeros(1, 4, dtype=torch.int8)))
        assert ChunkScore(2, how)(one).exp().flatten().tolist() == pytest.approx(expected)


def test_blocks_from_left_to_right_and_another_order_inside():
    assert order_of(Blockwise(ConfidenceScore(), 2)) == [0, 1, 3, 2]
    assert order_of(Blockwise(ConfidenceScore(), 3)) == [0, 2, 1, 3]
    assert order_of(Blockwise(RasterScore(), 1)) == [0, 1, 2, 3]
    packed = LAYOUT.pack(
        {"text": TokenStream(row_spec(), torch.zeros(4, 1, dtype=torch.int32))},
        roles={"text": torch.tensor([[GIVEN], [FILL], [FILL], [FILL]], dtype=torch.int8)},
    )
    batch = collate([packed], multiple=1)
    ranks = Blockwise(RasterScore(), 2)(
        ScoreContext(batch, batch.to_fill, torch.tensor([0]), torch.tensor([0]))
    ).flatten()
    assert ranks[2] > ranks[3] > ranks[4]  # two of the first block, which begins after what is given
    far = Blockwise(RasterScore(), 2)(ScoreContext(row_of(), row_of().to_fill, torch.tensor([0]), torch.tensor([0])))
    assert far[0, 1:, 0].tolist() == [0, -1, -2, -3]


def row_spec() -> StreamSpec:
    return LAYOUT.streams["text"]


class Other(Table):
    """A second model, sure of the second slot alone."""

    def __init__(self) -> None:
        super().__init__(torch.tensor([[0.25] * 4, [0.97, 0.01, 0.01, 0.01], [0.25] * 4, [0.25] * 4]))


@pytest.mark.parametrize(("weight", "first"), [(1.0, 3), (0.0, 1), (0.5, 1), (0.9, 3)])
def test_a_second_model_has_a_say_in_the_order(weight, first):
    """.97 w + .25 (1 - w) of the last slot against .4 w + .97 (1 - w) of the second one: equal at w = .56."""
    order = Rescored(ConfidenceScore(), "rescorer", weight)
    sampler = Sampler(4, schedule=UniformSchedule(), order=order, pick=Categorical(0.0))
    state = SamplerState.start(row_of(), LAYOUT, torch.tensor([0]))
    steps = list(sampler.iterate({"main": Table(), "rescorer": Other()}, LAYOUT, state))
    ids = steps[0].state.batch.ids[0, 1:, 0]
    assert [slot for slot in range(4) if ids[slot] != MASK] == [first]
    assert steps[-1].state.counters["forward_passes"] == (4 if weight == 1 else 8)
    if weight < 1:
        with pytest.raises(ValueError, match="a model that is asked must be one of main, got 'rescorer'"):
            list(sampler.iterate({"main": Table()}, LAYOUT, state))


def audio_row(frames: int, levels: int = 1):
    spec = StreamSpec("audio", (8,) * levels, ("time",), rate_hz=50.0)
    layout = Layout({"audio": spec})
    packed = layout.pack({"audio": TokenStream(spec, torch.zeros(frames, levels, dtype=torch.int32))})
    return layout, collate([packed], multiple=1)


@pytest.mark.parametrize(("starts", "rate"), [(80, 0.4080), (200, 0.7849), (1, 0.006)])
def test_spans_hide_what_the_formula_says(starts, rate):
    """T = 500, spans of 3: the fewest starts for a per cent reach it and one less does not."""
    law = 1 - math.comb(497, starts) / math.comb(500, starts)
    assert law == pytest.approx(rate, abs=5e-5)
    table = span_starts(500, 3)
    assert table[0] == 0 and list(table) == sorted(table) and table[100] == 498
    per_cent = math.floor(100 * law)
    assert table[per_cent] <= starts < table[min(100, per_cent + 1)]


def test_the_union_of_spans_is_what_is_hidden():
    """By hand: of the best n starts of each row, every start covers itself and the next two places."""
    layout, batch = audio_row(500)
    batch = replace(batch.rows(torch.zeros(40, dtype=torch.int64)), sample_ids=torch.arange(40))
    masked = Masker(FixedRate(0.4), SpanUnion(3))(batch, layout, seed=5)
    hidden = masked.hidden[:, 1:, 0]
    context = ScoreContext(batch, batch.to_fill, torch.full((40,), 5), batch.sample_ids)
    best = slot_noise(context)[:, 1:, 0].argsort(1, descending=True)[:, : span_starts(500, 3)[40]]
    for row in range(40):
        union = {place for start in best[row].tolist() for place in (start, start + 1, start + 2) if place < 500}
        assert set(hidden[row].nonzero().flatten().tolist()) == union
    # 79 starts hide .4 on average but for those that the end cuts, of which there are 0.3 a row.
    assert span_starts(500, 3)[40] == 79
    assert float(hidden.float().mean()) == pytest.approx(1 - math.comb(497, 79) / math.comb(500, 79), abs=0.006)
    runs = [len(list(group)) for row in hidden.tolist() for value, group in itertools.groupby(row[:-3]) if value]
    assert min(runs[:-1]) >= 1 and sum(run < 3 for run in runs) <= 40  # but for runs that were cut above


def film_row(frames: int, rows: int, columns: int):
    spec = StreamSpec("video", (9,), ("time", "row", "column"), grid=(None, rows, columns), rate_hz=12.0)
    layout = Layout({"video": spec})
    codes = torch.randint(0, 9, (frames, rows, columns, 1), generator=torch.Generator().manual_seed(0))
    return layout, collate([layout.pack({"video": TokenStream(spec, codes.int())})], multiple=1)


@pytest.mark.parametrize(("share", "cells"), [(0.01, 1), (0.5, 6), (0.3, 4), (1.0, 12)])
def test_a_tube_hides_the_same_cells_in_every_frame(share, cells):
    layout, batch = film_row(5, 3, 4)
    masked = Masker(FixedRate(share), TubeScore())(batch, layout, seed=3)
    asked = torch.zeros_like(masked.hidden).flatten()
    asked[masked.queries.slots] = True
    films = asked.view(-1)[1:61].view(5, 12)
    assert (films == films[:1]).all() and int(films[0].sum()) == cells  # round(12 share)


def test_noise_comes_before_the_mask():
    layout, batch = audio_row(400)
    batch = replace(batch.rows(torch.zeros(20, dtype=torch.int64)), sample_ids=torch.arange(20))
    masked = Masker(FixedRate(0.5), corruption=Corruption(noise=0.5))(batch, layout, seed=1)
    ids, mask = masked.inputs.ids[:, 1:, 0], layout.range("audio").mask_id
    assert ((ids == mask).sum(1) == 200).all()
    seen = ids != mask
    changed = (masked.hidden[:, 1:, 0] & seen).sum() / seen.sum()
    assert float(changed) == pytest.approx(0.5 * 7 / 8, abs=0.02)  # one drawn code in eight is the code itself
    again = Masker(FixedRate(0.5), corruption=Corruption())(batch, layout, seed=1)
    assert torch.equal(again.inputs.ids == mask, masked.inputs.ids == mask)  # the chosen slots are the same


def test_laws_of_guidance():
    power = ClassifierFree(1.0, 5.0, "power_cosine", power=2.0)
    assert [power.scale(Progress(i, 5, "ends")) for i in (0, 2, 4)] == pytest.approx(
        [1.0, 1 + 4 * (1 - math.cos(math.pi / 4)) / 2, 5.0]
    )
    magnet = ClassifierFree(10.0, 1.0, "cosine", grid="ends")
    hidden = [math.cos(math.pi * i / 8) for i in range(5)]
    assert [magnet.scale(Progress(i, 5, "ends")) for i in range(5)] == pytest.approx([10 * p + 1 - p for p in hidden])


def guided_context(roles: list[int]) -> StepContext:
    packed = LAYOUT.pack(
        {"text": TokenStream(row_spec(), torch.arange(4, dtype=torch.int32)[:, None])},
        roles={"text": torch.tensor(roles, dtype=torch.int8)[:, None]},
    )
    state = SamplerState.start(collate([packed], multiple=1), LAYOUT, torch.tensor([0]))
    return StepContext(LAYOUT, state, state.is_open, Progress(0, 4))


def test_a_hidden_prompt_shows_mask_where_something_is_given():
    told = guided_context([GIVEN, GIVEN, FILL, FILL])
    without = ClassifierFree(2.0, conditions="hidden").unconditional(told.state.batch, told)
    assert without.ids[0, 1:, 0].tolist() == [MASK] * 4 and bool(without.valid.all())
    assert ClassifierFree(2.0).unconditional(told.state.batch, told).ids[0, 1:3, 0].tolist() == [OFFSET, OFFSET + 1]


def test_a_share_of_the_context_is_hidden_anew_in_every_step():
    told = guided_context([GIVEN, GIVEN, GIVEN, FILL])
    seen = set()
    for step in range(40):
        state = replace(told.state, step=step)
        ids = ContextCorrupted(0.4).unconditional(state.batch, replace(told, state=state)).ids[0, 1:, 0].tolist()
        assert ids[3] == MASK and ids[:3].count(MASK) == 1  # 1.2 of three
        seen.add(ids.index(MASK))
    assert seen == {0, 1, 2}
    plain = ContextCorrupted(0.0, 2.0)
    assert plain.scale(Progress(0, 4)) == 1.0 and ContextCorrupted(0.3, 1.0).scale(Progress(0, 4)) == 1.0
    for guidance in (plain, ContextCorrupted(0.3, 1.0)):
        sampler = Sampler(4, schedule=UniformSchedule(1))
        assert trace(replace(sampler, guidance=guidance), seed=3) == trace(
            replace(sampler, guidance=NoGuidance()), seed=3
        )


def test_a_share_of_what_is_committed_is_opened_at_random():
    state = committed([-1.0] * 4).rows(torch.zeros(3000, dtype=torch.int64))
    state = replace(state, batch=replace(state.batch, sample_ids=torch.arange(3000)))
    from tests.sampling.test_values import step_after

    opened = RevokeRandom(0.25)(step_after(state, torch.ones_like(state.is_open), Progress(0, 4)))[:, 1:5, 0]
    assert (opened.sum(1) == 1).all()
    assert ((opened.double().mean(0) - 0.25).abs() < 4.5 * (0.25 * 0.75 / 3000) ** 0.5).all()


def test_editing_without_a_mask_starts_from_what_is_there():
    """Nothing is open at the start; half is opened after each step and filled again in the next one."""
    state = SamplerState.start(row_of(), LAYOUT, torch.tensor([0]), is_open=torch.zeros(1, 5, 1, dtype=torch.bool))
    state = replace(
        state, batch=replace(state.batch, ids=state.batch.ids + torch.tensor([0, 1, 1, 1, 1])[None, :, None].int())
    )
    from tokenmask.sampling import Stage

    table = torch.tensor([[0.01, 0.01, 0.01, 0.97]] * 4)
    sampler = Sampler(stages=(Stage(30),), revoke=RevokeRandom(0.5), pick=Categorical(0.0))
    steps = list(sampler.iterate({"main": Table(table)}, LAYOUT, state))
    assert [int(step.state.is_open.sum()) for step in steps] == [2] * 29 + [0]
    first, last = steps[0].state.batch.ids[0, 1:, 0] - OFFSET, steps[-1].state.batch.ids[0, 1:, 0] - OFFSET
    assert sorted(first.tolist()) == [1, 1, 4, 4] and last.tolist() == [3] * 4  # 4 is MASK


def test_zigzag_opens_what_says_least_of_the_conditions():
    looked = []

    class Weak(Table):
        def logits(self, inputs, queries, t=None, **more):
            looked.append((inputs.ids[0, 1:, 0] == MASK).tolist())
            return super().logits(inputs, queries, t, **more)

    sampler = Sampler(2, schedule=Twice(UniformSchedule()), pick=Categorical(0.0), revoke=Zigzag(1.0))
    steps = list(sampler.iterate({"main": Weak()}, LAYOUT, SamplerState.start(row_of(), LAYOUT, torch.tensor([0]))))
    # Two of four are filled (.97 and .7); one is opened again, the surest (.97); it is filled again; then the others.
    assert [[slot for slot in range(4) if step.state.is_open[0, slot + 1, 0]] for step in steps] == [
        [1, 2, 3],
        [1, 2],
        [],
    ]
    assert looked == [[True] * 4, [False, True, True, False], [False, True, True, True], [False, True, True, False]]
    assert steps[-1].state.counters["forward_passes"] == 4


def keyed(rows: int, progress: Progress, carry=None) -> PickContext:
    state = SamplerState.start(row_of(rows), LAYOUT, torch.tensor([0]))
    state = replace(state, carry=carry or {})
    return PickContext(
        torch.zeros(rows, dtype=torch.int64),
        torch.arange(rows),
        1.0,
        progress,
        None,
        torch.arange(1, rows + 1),
        state,
        0,
    )


@pytest.mark.parametrize(("index", "size"), [(0, 2.0), (2, 0.0), (4, 2.0), (1, math.sqrt(2))])
def test_the_noise_of_logits_is_normal_and_whole_at_both_ends(index, size):
    """Of equal logits the shares of the best code are even; the spread of log-probabilities is that of the noise."""
    logits, at = torch.ones(4000, 2), keyed(4000, Progress(index, 5, "ends"))
    codes, logprob, *_ = LogitNoise(Categorical(0.0), 2.0)(logits, None, at)
    if size == 0:
        assert codes.tolist() == [0] * 4000 and logprob.tolist() == pytest.approx([math.log(0.5)] * 4000)
        return
    assert abs(float(codes.float().mean()) - 0.5) < 4.5 * 0.5 / 4000**0.5
    gap = (logprob - (1 - logprob.exp()).log()).double()  # of two normal draws: half-normal of size * sqrt 2
    assert float(gap.square().mean().sqrt()) == pytest.approx(size * 2**0.5, rel=0.06)


def test_no_noise_and_an_empty_window_change_nothing():
    logits, at = TABLE.log(), keyed(4, Progress(0, 4, "ends"))
    plain = Categorical(0.8)(logits, None, at)
    before = {"differential.0": torch.full((1, 5, 4), 0.25)}
    for pick in (LogitNoise(Categorical(0.8), 0.0), Differential(Categorical(0.8), (0.0, 0.0))):
        for one, two in zip(pick(logits, None, replace(at, state=replace(at.state, carry=before))), plain, strict=True):
            assert torch.equal(one, two)


def test_what_became_more_probable_is_drawn_where_least_moved():
    """Before: even. Divergences from it are .43, .14, .17, 1.21 nats; half of four slots are the second and third."""
    at = keyed(4, Progress(1, 4, "ends"), {"differential.0": torch.full((1, 5, 4), 0.25)})
    _, logprob, entropy, _ = Differential(Categorical(0.0), (0.0, 0.5), 1e-6)(TABLE.log(), None, at)
    # .4 .35 .15 .1 gains .15 .1 - -: .6 .4; .5 .2 .2 .1 gains .25: 1
    assert logprob.exp().tolist() == pytest.approx([0.7, 0.6, 1.0, 0.97], abs=1e-4)
    assert entropy.tolist()[2] == pytest.approx(0.0, abs=1e-3)
    kept = Differential().observe(TABLE.log(), None, at)["differential.0"]
    assert torch.allclose(kept[0, 1:], TABLE, atol=1e-6) and torch.equal(kept[0, 0], torch.full((4,), 0.25))
    stored = Differential(Categorical(), (0.0, 0.5), store="modified").observe(TABLE.log(), None, at)["differential.0"]
    assert stored[0, 2].tolist() == pytest.approx([0.6, 0.4, 0.0, 0.0], abs=1e-4)
    assert torch.allclose(stored[0, 1], TABLE[0], atol=1e-6)


def test_what_a_pick_notes_is_there_in_the_next_step():
    sampler = Sampler(4, schedule=UniformSchedule(), pick=Differential(Categorical(0.0), (0.0, 1.0)))
    *_, last = sampler.iterate({"main": Table()}, LAYOUT, SamplerState.start(row_of(), LAYOUT, torch.tensor([0])))
    assert torch.allclose(last.state.carry["differential.0"][0, 1:], TABLE, atol=1e-6)


def test_a_temperature_has_a_floor():
    pick = Categorical(2.0, 0.0, grid="after", least=0.5)
    logits = torch.tensor([[1.0, 0.0]]).expand(4, 2)
    heat = []
    for index in range(4):
        heat.append(float(pick(logits, None, keyed(4, Progress(index, 4, "after")))[2][0]))
    law = [max(0.5, 2.0 * (3 - index) / 4) for index in range(4)]
    expected = [torch.distributions.Bernoulli(logits=torch.tensor(1 / one)).entropy().item() for one in law]
    assert heat == pytest.approx(expected, abs=1e-5) and not pick.is_greedy and pick.at(0.0).is_greedy


def test_the_noise_of_an_order_may_be_whole_in_the_first_step():
    told = context(Progress(0, 5, "after"), logprob=torch.zeros(4))
    whole, less = ConfidenceScore(1.0, grid="ends")(told), ConfidenceScore(1.0)(told)
    assert torch.allclose(less, whole * 0.8)
    last = context(Progress(4, 5, "after"), logprob=torch.zeros(4))
    assert ConfidenceScore(1.0, grid="ends")(last).tolist() == torch.zeros(1, 4, 1).tolist()


def test_counts_on_the_ends_grid_of_magnet():
    """Of 10 runs in 5 steps: what is masked in each step of the published loop is max(1, int(10 cos(pi g / 2)))."""
    masked = [30, *Chunks(ProcessSchedule(grid="ends")).plan(30, 5)][:5]
    assert masked == [3 * max(1, int(10 * math.cos(math.pi * i / 8))) for i in range(5)]


@pytest.mark.parametrize("kind", [LogitNoise, Differential])
def test_picks_around_one_that_does_more_than_draw_are_refused(kind):
    from tokenmask.sampling import Rejection

    with pytest.raises(
        ValueError, match=rf"{kind.__name__}\.pick must draw open slots from logits and no more, got Rej"
    ):
        kind(Rejection())

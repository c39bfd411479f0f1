"""Each part of the sampler against a table that a person can check: four slots, four codes."""

import math
from dataclasses import replace

import pytest
import torch

from tokenmask.batch import FILL, GIVEN, Batch, collate
from tokenmask.layout import Layout
from tokenmask.ops import Purpose, uniform
from tokenmask.sampling import (
    Categorical,
    ClassifierFree,
    ConfidenceAbove,
    PickContext,
    Predicted,
    ProcessSchedule,
    RevokeContext,
    RevokeLeastLikely,
    Sampler,
    SamplerState,
    UniformSchedule,
)
from tokenmask.scores import (
    ConfidenceScore,
    EntropyScore,
    HaltonScore,
    MarginScore,
    Progress,
    QLDSScore,
    RasterScore,
    ScoreContext,
    SumScore,
    halton_ranks,
    qlds_ranks,
    slot_noise,
)
from tokenmask.streams import StreamSpec, TokenStream

SPEC = StreamSpec("text", (4,), ("index",))
LAYOUT = Layout({"text": SPEC})
OFFSET, MASK = LAYOUT.range("text").offset, LAYOUT.range("text").mask_id
# One row a slot: the probabilities of the four codes.
TABLE = torch.tensor([[0.7, 0.1, 0.1, 0.1], [0.4, 0.35, 0.15, 0.1], [0.5, 0.2, 0.2, 0.1], [0.97, 0.01, 0.01, 0.01]])


class Table:
    """A model that predicts TABLE, row by row, whatever it sees; it keeps what it was asked."""

    def __init__(self, table: torch.Tensor = TABLE) -> None:
        self.table, self.times = table.log(), []

    def logits(self, inputs, queries, t=None, **more):
        self.times.append(t.tolist())
        yield 0, torch.arange(len(queries)), self.table[queries.slots % inputs.shape[1] - 1]


def row_of(slots: int = 4) -> Batch:
    packed = LAYOUT.pack({"text": TokenStream(SPEC, torch.zeros(slots, 1, dtype=torch.int32))})
    return collate([packed], multiple=1)


def start(slots: int = 4, seed: int = 0) -> SamplerState:
    return SamplerState.start(row_of(slots), LAYOUT, torch.tensor([seed]))


def trace(sampler: Sampler, model=None, slots: int = 4, seed: int = 0) -> list[list[int]]:
    """The codes of the slots after each step; -1 where a slot is open."""
    steps = sampler.iterate({"main": model or Table()}, LAYOUT, start(slots, seed))
    ids = [step.state.batch.ids[0, 1 : slots + 1, 0] for step in steps]
    return [[-1 if one == MASK else one - OFFSET for one in row.tolist()] for row in ids]


def order_of(score, slots: int = 4) -> list[int]:
    """Slots in the order in which a score reveals them, one a step."""
    sampler = Sampler(slots, schedule=UniformSchedule(), order=score, pick=Categorical(0.0))
    before, order = [-1] * slots, []
    for after in trace(sampler, slots=slots):
        order += [slot for slot in range(slots) if before[slot] < 0 <= after[slot]]
        before = after
    return order


@pytest.mark.parametrize(
    ("score", "order"),
    [
        (ConfidenceScore(), [3, 0, 2, 1]),  # 0.97, 0.7, 0.5, 0.4
        (MarginScore(), [3, 0, 2, 1]),  # 0.96, 0.6, 0.3, 0.05
        (EntropyScore(), [3, 0, 2, 1]),  # 0.17, 0.94, 1.22, 1.24 nats
        (RasterScore(), [0, 1, 2, 3]),
        (HaltonScore(), [2, 1, 3, 0]),  # 1/2, 1/4, 3/4, 1/8
        (SumScore((RasterScore(), ConfidenceScore()), (-1.0, 0.0)), [3, 2, 1, 0]),
        (SumScore((RasterScore(), ConfidenceScore()), (0.1, 1.0)), [3, 0, 2, 1]),  # -.33 -.55 -.99 -1.12
    ],
    ids=str,
)
def test_orders(score, order):
    assert order_of(score) == order


def test_margin_and_entropy_differ_where_they_should():
    probabilities = torch.tensor([[0.5, 0.5, 0.0, 0.0], [0.46, 0.18, 0.18, 0.18]]).clamp(min=1e-9)
    for score, first in ((MarginScore(), 1), (EntropyScore(), 0), (ConfidenceScore(), 0)):
        sampler = Sampler(2, schedule=UniformSchedule(), order=score, pick=Categorical(0.0))
        codes = trace(sampler, Table(probabilities), slots=2)[0]
        assert (codes[first] >= 0) and (codes[1 - first] < 0)


def context(progress: float, **predictions: torch.Tensor) -> ScoreContext:
    state = start()
    shaped = {name: value.view(1, 4, 1) for name, value in predictions.items()}
    batch = state.batch.rows(torch.tensor([0]))
    inside = torch.ones(1, 4, 1, dtype=torch.bool)
    return ScoreContext(batch, inside, state.seeds, state.keys, progress, shaped)


@pytest.mark.parametrize("progress", [0.0, 0.25, 1.0])
def test_the_noise_of_confidence_is_gumbel_and_fades(progress):
    logprob = torch.tensor([-1.0, -2.0, -3.0, -4.0])
    seen = context(progress, logprob=logprob)
    gumbel = -torch.log(-torch.log(slot_noise(seen).double() + 2.0**-25)).flatten()
    expected = logprob + 4.5 * (1 - progress) * gumbel
    assert torch.allclose(ConfidenceScore(4.5)(seen).flatten().double(), expected, atol=1e-4)


def test_the_ends_of_the_noise_are_finite(monkeypatch):
    draws = torch.tensor([0.0, 1 - 2.0**-24, 0.5, 0.25]).view(1, 4, 1)
    monkeypatch.setattr("tokenmask.scores.noise.slot_noise", lambda context: draws)
    found = ConfidenceScore(1.0)(context(0.0, logprob=torch.zeros(4))).flatten().tolist()
    # -ln(-ln u): u = 2^-25 gives -ln(25 ln 2), u = 1 - 2^-24 gives 24 ln 2
    wanted = [-math.log(25 * math.log(2)), 24 * math.log(2), -math.log(math.log(2)), -math.log(2 * math.log(2))]
    assert found == pytest.approx(wanted, abs=1e-5)


def test_draws_are_keyed_by_seed_key_position_and_level():
    batch = row_of()
    seen = ScoreContext(batch, torch.ones(1, 5, 2, dtype=torch.bool), torch.tensor([7]), torch.tensor([3]))
    keys = torch.tensor([[3 << 24 | place << 6 | level for level in (0, 1)] for place in range(5)])
    drawn = uniform(seed=7, counters=keys.flatten(), purpose=Purpose.order).view(1, 5, 2)
    assert torch.equal(slot_noise(seen), drawn)
    shared = slot_noise(seen, torch.tensor([[4, 4, 2, 0, 1]]))  # all levels of a place share its draw
    assert torch.equal(shared, drawn[:, [4, 4, 2, 0, 1], :1].expand(1, 5, 2))


def test_which_orders_read_predictions():
    said = {type(one).__name__: one.reads_predictions for one in (ConfidenceScore(), EntropyScore(), RasterScore())}
    assert said == {"ConfidenceScore": True, "EntropyScore": True, "RasterScore": False}
    assert SumScore((RasterScore(), MarginScore()), (1.0, 1.0)).reads_predictions
    assert not SumScore((RasterScore(),), (1.0,)).reads_predictions


def test_gumbel_noise_chooses_as_a_softmax_does():
    """The best of logprob + Gumbel is a draw from softmax(logprob): its sign and its scale, seen from outside."""
    rows = 4000
    logprob = torch.tensor([0.6, 0.2, 0.1, 0.1]).log().view(1, 4, 1).expand(rows, 4, 1)
    row = row_of().rows(torch.zeros(rows, dtype=torch.int64))
    everything = torch.ones(rows, 4, 1, dtype=torch.bool)
    seen = ScoreContext(row, everything, torch.full((rows,), 3), torch.arange(rows), 0.0, {"logprob": logprob})
    first = torch.bincount(ConfidenceScore(1.0)(seen).flatten(1).argmax(1), minlength=4)
    expected = torch.tensor([0.6, 0.2, 0.1, 0.1]) * rows
    assert float(((first - expected).square() / expected).sum()) < 21.1  # 3 degrees of freedom: false alarm 1e-4


def test_what_an_order_and_a_pick_are_told_of_the_step():
    seen = []

    class Watch(ConfidenceScore):
        def __call__(self, context):
            seen.append(context.progress)
            return super().__call__(context)

    trace(Sampler(4, schedule=UniformSchedule(), order=Watch(), pick=Categorical(0.0)))
    assert seen == [0.25, 0.5, 0.75, 1.0]  # MaskGIT's ratio: (i + 1) / S


@pytest.mark.parametrize(
    ("schedule", "initial", "steps", "after"),
    [
        (UniformSchedule(), 4, 4, [3, 2, 1, 0]),
        (UniformSchedule(), 4, 3, [2, 1, 0]),
        (ProcessSchedule(), 4, 4, [3, 2, 1, 0]),  # 4 cos(pi / 8 i): 3.7, 2.8, 1.5
        (ProcessSchedule(), 16, 4, [14, 11, 6, 0]),  # 14.8, 11.3, 6.1
        (ProcessSchedule(rounding="round"), 16, 4, [15, 11, 6, 0]),
        (ProcessSchedule(rounding="ceil"), 16, 4, [15, 12, 7, 0]),
    ],
    ids=str,
)
def test_schedules(schedule, initial, steps, after):
    assert schedule.plan(initial, steps) == after


def test_a_threshold_is_reached_where_it_is_met():
    seen = context(0.0, plain_logprob=torch.tensor([0.0, 0.0, -0.1, 0.0]))
    assert ConfidenceAbove(1.0).reveal(seen).tolist() == [3]
    assert ConfidenceAbove(0.9).reveal(seen).tolist() == [4]  # ln .9 = -.105
    assert ConfidenceAbove().threshold == 0.9 and ConfidenceAbove().plan(4, 3) == [4, 4, 0]


def keyed(seeds, guidance: float = 1.0, progress: float = 0.0, allowed=None) -> PickContext:
    """The context of slots 0, 1, ... of a row whose state nobody looks at."""
    slots = torch.arange(len(seeds))
    return PickContext(seeds, slots, guidance, progress, allowed, slots, state=None, head=0)


def draws(pick: Categorical, progress: float = 0.0, rows: int = 4000, uncond=None, guidance: float = 1.0, allowed=None):
    logits = TABLE[1].log().expand(rows, 4).contiguous()
    codes, *_ = pick(logits, uncond, keyed(torch.full((rows,), 11), guidance, progress, allowed))
    return torch.bincount(codes.long(), minlength=4).double() / rows


@pytest.mark.parametrize(
    ("pick", "progress", "shares"),
    [
        (Categorical(), 0.0, [0.4, 0.35, 0.15, 0.1]),
        (Categorical(0.0), 0.0, [1.0, 0.0, 0.0, 0.0]),
        (Categorical(top_k=2), 0.0, [0.4 / 0.75, 0.35 / 0.75, 0.0, 0.0]),
        (Categorical(top_p=0.8), 0.0, [0.4 / 0.9, 0.35 / 0.9, 0.15 / 0.9, 0.0]),
        (Categorical(min_p=0.3), 0.0, [0.4 / 0.9, 0.35 / 0.9, 0.15 / 0.9, 0.0]),
        (Categorical(0.5), 0.0, [0.16 / 0.315, 0.1225 / 0.315, 0.0225 / 0.315, 0.01 / 0.315]),
        (Categorical(1.5, 0.5), 0.5, [0.4, 0.35, 0.15, 0.1]),  # half way from 1.5 to 0.5
        (Categorical(1.0, 0.0), 1.0, [1.0, 0.0, 0.0, 0.0]),
    ],
    ids=str,
)
def test_picks(pick, progress, shares):
    found, expected = draws(pick, progress), torch.tensor(shares, dtype=torch.float64)
    error = (expected * (1 - expected) / 4000).sqrt()
    assert ((found - expected).abs() <= 4.5 * error).all()


def test_what_a_pick_says_of_itself():
    picks = (Categorical(), Categorical(0.0), Categorical(0.0, 1.0), Categorical(1.0, 0.0))
    assert [pick.is_greedy for pick in picks] == [False, True, False, False]
    assert not Categorical.revises and keyed(torch.zeros(1)).progress == 0.0


def test_a_pick_says_log_probability_entropy_and_margin():
    found = Categorical(0.0)(TABLE.log(), None, keyed(torch.zeros(4, dtype=torch.int64)))
    assert found[0].tolist() == [0, 0, 0, 0]
    assert torch.allclose(found[1], TABLE[:, 0].log(), atol=1e-5)
    assert torch.allclose(found[2], -(TABLE * TABLE.log()).sum(1), atol=1e-5)
    assert torch.allclose(found[3], torch.tensor([0.6, 0.05, 0.3, 0.96]), atol=1e-5)


def test_every_step_and_every_slot_draws_anew():
    asked = []

    class Watch(Categorical):
        def __call__(self, logits, uncond, context):
            asked.append(context.counters.tolist())
            return super().__call__(logits, uncond, context)

    trace(Sampler(2, schedule=UniformSchedule(), order=RasterScore(), pick=Watch()))
    position = [slot << 6 for slot in (1, 2, 3, 4)]  # the first position of the row is a control
    assert asked == [position, [1 << 24 | one for one in position[2:]]]


def test_a_sample_keeps_its_draws_apart_from_those_of_a_step():
    state = start()
    later = replace(state, step=3, batch=replace(state.batch, sample_ids=torch.tensor([2])))
    assert state.keys.tolist() == [0] and later.keys.tolist() == [2 * 65536 + 3]


def test_further_conditions_push_with_their_weights():
    """u + s (c - u) + w (d - u) by hand: the model sees which positions are valid and answers c, u or d."""

    class Three:
        def logits(self, inputs, queries, t=None, **more):
            rows = torch.div(queries.slots, inputs.shape[1], rounding_mode="floor")
            answers = torch.tensor([[1.0, 0.0, 0.0, 0.0], [0.0, 0.5, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0]])
            yield 0, torch.arange(len(queries)), answers[rows]

    seen = []

    class Watch(Categorical):
        def __call__(self, logits, uncond, context):
            seen.append(logits[0].tolist())
            return super().__call__(logits, uncond, context)

    trace(Sampler(1, guidance=ClassifierFree(3.0, weights=(0.25,)), pick=Watch()), Three())
    # u = (0, .5, 0, 0), c - u = (1, -.5, 0, 0), d - u = (0, -.5, 4, 0)
    assert seen == [[3.0, 0.5 - 1.5 - 0.125, 1.0, 0.0]]


def step_after(state: SamplerState, stage: torch.Tensor, progress: Progress) -> RevokeContext:
    """What a revocation is told of a step that predicted nothing."""
    return RevokeContext(LAYOUT, state, stage, progress, Predicted.nothing(state.score))


def committed(logprobs: list[float]) -> SamplerState:
    state = start(len(logprobs))
    score = torch.zeros_like(state.score)
    score[0, 1 : len(logprobs) + 1, 0] = torch.tensor(logprobs)
    return replace(state, is_open=torch.zeros_like(state.is_open), score=score)


@pytest.mark.parametrize(
    ("share", "progress", "opened"),
    [
        (0.5, 0.0, [1, 3]),  # floor(4 / 2) of the slots with the lowest log-probability
        (0.5, 0.5, [3]),  # the share falls: floor(4 / 4)
        (0.5, 0.75, []),
        (1.0, 0.25, [0, 1, 3]),
    ],
)
def test_the_least_likely_are_revoked_and_fewer_later(share, progress, opened):
    state = committed([-0.5, -2.0, -0.1, -3.0])
    stage = torch.ones_like(state.is_open)
    found = RevokeLeastLikely(share)(step_after(state, stage, Progress(round(4 * progress) - 1, 4)))
    assert found[0, 1:5, 0].nonzero().flatten().tolist() == opened


def test_only_committed_slots_of_the_stage_that_were_filled_are_revoked():
    state = committed([-4.0, -3.0, -2.0, -1.0])
    role = state.batch.role.clone()
    role[0, 1] = GIVEN
    state = replace(state, batch=replace(state.batch, role=role))
    stage = torch.ones_like(state.is_open)
    stage[0, 2] = False
    found = RevokeLeastLikely(0.5)(step_after(state, stage, Progress(-1, 4)))
    assert found[0, :, 0].tolist() == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("guidance", "progress", "scale"),
    [
        (ClassifierFree(10.0, 1.0), 0.0, 10.0),
        (ClassifierFree(10.0, 1.0), 0.5, 5.5),
        (ClassifierFree(10.0, 1.0), 1.0, 1.0),
        (ClassifierFree(1.0, 3.0, "cosine"), 0.0, 1.0),
        (ClassifierFree(1.0, 3.0, "cosine"), 2 / 3, 2.0),  # 1 - cos(60 degrees) = 1/2
        (ClassifierFree(1.0, 3.0, "cosine"), 1.0, 3.0),
        (ClassifierFree(3.0), 0.7, 3.0),
    ],
    ids=str,
)
def test_guidance(guidance, progress, scale):
    assert guidance.scale(progress) == pytest.approx(scale)


def test_what_is_carried_stays_for_a_row_that_is_done():
    """Level by level: one place is done in the first of four steps, two places in the second."""
    spec = StreamSpec("audio", (4, 4), ("time",), rate_hz=1.0)
    layout = Layout({"audio": spec})
    streams = [{"audio": TokenStream(spec, torch.zeros(places, 2, dtype=torch.int32))} for places in (1, 2)]
    state = SamplerState.start(
        collate([layout.pack(one) for one in streams], multiple=1), layout, torch.zeros(2).long()
    )

    class Even:
        def logits(self, inputs, queries, t=None, **more):
            for head in queries.heads.unique().tolist():
                index = (queries.heads == head).nonzero().squeeze(1)
                yield head, index, torch.zeros(len(index), 4)

    class Counts(RasterScore):
        def observe(self, context):
            last = torch.full((2,), context.progress.index)
            return {"last": last, "slots": last[:, None, None].expand(2, 3, 2)}

    sampler = Sampler(4, schedule=UniformSchedule(), order=Counts())
    *_, step = sampler.iterate({"main": Even()}, layout, state)
    assert step.state.carry["last"].tolist() == [0, 1]
    assert step.state.carry["slots"][:, 2, 1].tolist() == [0, 1]


def test_low_discrepancy_points():
    # Halton, bases 2 and 3: (1/2, 1/3) (1/4, 2/3) (3/4, 1/9) (1/8, 4/9) (5/8, 7/9) (3/8, 2/9) on 2 rows, 3 columns
    assert halton_ranks(2, 3).tolist() == [5, 3, 1, 2, 0, 4]
    # QLDS on one axis, (1/2 + n / 1.618) mod 1: .118 .736 .354 .972 .590 -> cells 0 3 1 0 2
    assert qlds_ranks(4, 1).tolist() == [0, 2, 3, 1]
    # QLDS on 2 rows, 3 columns: 1/2 + n (.7549, .5698) mod 1 rounds to (1, 0) (0, 2) (0, 1) (1, 2) (1, 1) (0, 0)
    assert qlds_ranks(2, 3).tolist() == [5, 2, 1, 0, 4, 3]


def test_each_stream_of_each_row_has_a_grid_of_its_own():
    image = StreamSpec("image", (4,), ("row", "column"))
    layout = Layout({"image": image, "text": SPEC})
    rows = [
        {"image": TokenStream(image, torch.zeros(*grid, 1, dtype=torch.int32)),
         "text": TokenStream(SPEC, torch.zeros(words, 1, dtype=torch.int32))}
        for grid, words in (((2, 3), 4), ((1, 3), 2))
    ]  # fmt: skip
    batch = collate([layout.pack(row) for row in rows], multiple=1)
    seen = ScoreContext(batch, batch.role == FILL, torch.zeros(2).long(), torch.zeros(2).long())
    found = -HaltonScore()(seen)[:, 1:, 0]
    assert found[0].tolist() == [5, 3, 1, 2, 0, 4, 3, 1, 0, 2]  # 2 x 3 cells, then 1/2 1/4 3/4 1/8 on four words
    assert found[1, :5].tolist() == [2, 0, 1, 1, 0]  # 1/3 2/3 1/9 on three columns, then 1/2 1/4 on two words
    assert (-QLDSScore()(seen)[0, 1:, 0]).tolist() == [5, 2, 1, 0, 4, 3, 0, 2, 3, 1]

"""Parts that Dream and LLaDA brought: what a pick says of its codes, counts by the mean, orders on another scale."""

import pytest
import torch

from tests.sampling.test_values import LAYOUT, TABLE, Table, context, row_of, trace
from tokenmask.masking import Cosine
from tokenmask.sampling import (
    Categorical,
    ExpectedSchedule,
    ForbidCodes,
    PickContext,
    Rejection,
    Sampler,
    SamplerState,
    Suppressed,
    Truncated,
    UniformSchedule,
)
from tokenmask.scores import ConfidenceScore, GumbelScore, ProbabilityScore, Progress, ScoreContext, SumScore


def keyed(allowed=None) -> PickContext:
    state = SamplerState.start(row_of(), LAYOUT, torch.tensor([0]))
    none = torch.zeros(4, dtype=torch.int64)
    slots, head = torch.arange(1, 5), LAYOUT.head("text")
    return PickContext(none, torch.arange(4), 1.0, Progress(0, 4), allowed, slots, state, head, layout=LAYOUT)


@pytest.mark.parametrize(
    ("schedule", "initial", "steps", "after"),
    [
        (ExpectedSchedule(end=0.0), 10, 4, [8, 6, 3, 0]),  # 10 / 4, 8 / 3, 6 / 2
        (ExpectedSchedule(), 24, 12, [23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 0]),  # 24 * .999 / 12 < 2
        (ExpectedSchedule(), 3, 9, [3, 3, 3, 3, 3, 3, 3, 2, 0]),
        (ExpectedSchedule(Cosine(), 0.0), 100, 3, [87, 51, 0]),  # 100 (1 - .8660), 87 (1 - .5 / .8660)
        (ExpectedSchedule(), 5, 1, [0]),
        (ExpectedSchedule(), 0, 2, [0, 0]),
    ],
    ids=str,
)
def test_counts_by_the_mean(schedule, initial, steps, after):
    assert schedule.plan(initial, steps) == after and schedule.law() == schedule.process


def test_what_is_cut_off_counts_as_impossible():
    """Rows of the table: .7 .1 .1 .1, .4 .35 .15 .1, .5 .2 .2 .1, .97 .01 .01 .01; two codes of each, then .45."""
    logits = TABLE.log()
    for pick in (Categorical(0.0, top_k=2), Categorical(1.0, top_k=2)):
        codes, logprob, entropy, margin = Truncated(pick)(logits, None, keyed())
        assert torch.equal(codes, pick(logits, None, keyed())[0])
        best = TABLE.sort(1, descending=True).values[:, :2]
        best = best / best.sum(1, keepdim=True)
        own = TABLE.gather(1, codes[:, None].long())[:, 0] / TABLE.topk(2, 1).values.sum(1)
        assert logprob.exp().tolist() == pytest.approx(own.tolist(), abs=1e-6)
        assert entropy.tolist() == pytest.approx((-best * best.log()).sum(1).tolist(), abs=1e-6)
        assert margin.tolist() == pytest.approx((best[:, 0] - best[:, 1]).tolist(), abs=1e-6)
    _, logprob, entropy, margin = Truncated(Categorical(0.0, top_p=0.45))(logits, None, keyed())
    assert logprob.exp().tolist() == pytest.approx([1, 0.4 / 0.75, 1, 1])
    assert margin.tolist() == pytest.approx([1, 0.05 / 0.75, 1, 1]) and float(entropy[0]) == pytest.approx(0.0)
    few = float(Truncated(Categorical(2.0, min_p=0.9))(logits, None, keyed())[1][1].exp())  # roots: .35 is .935 of .4
    assert min(abs(few - 1 / (1 + 0.875**0.5)), abs(few - 0.875**0.5 / (1 + 0.875**0.5))) < 1e-6
    assert Truncated(Categorical(0.5, 0.1, top_k=3)).at(1.0).pick == Categorical(1.0, 0.2, top_k=3)


def test_suppressed_codes_are_drawn_and_come_last():
    best = TABLE.argmax(1)
    end = int(best[3])  # of the surest slot
    pick = Suppressed(Categorical(0.0), {"text": (end,)})
    codes, logprob, *_ = pick(TABLE.log(), None, keyed())
    assert codes.tolist() == best.tolist()
    rest = 1 - TABLE[:, end]
    for slot in range(4):
        if int(best[slot]) == end:
            assert float(logprob[slot]) == torch.finfo(torch.float32).min
        else:
            assert float(logprob[slot].exp()) == pytest.approx(float(TABLE[slot].max() / rest[slot]))
    steps = trace(Sampler(4, schedule=UniformSchedule(), order=ConfidenceScore(), pick=pick), Table())
    plain = trace(Sampler(4, schedule=UniformSchedule(), order=ConfidenceScore(), pick=Categorical(0.0)), Table())
    assert plain[0][3] == end and steps[-2][3] == -1 and steps[-1] == plain[-1]


def test_of_forbidden_codes_nothing_is_said():
    constraint = ForbidCodes({"text": (0,)})
    allowed = torch.tensor([False, True, True, True])
    _, logprob, *_ = Suppressed(Categorical(0.0))(TABLE.log(), None, keyed(allowed))
    assert logprob.exp().tolist() == pytest.approx((TABLE[:, 1:].amax(1) / (1 - TABLE[:, 0])).tolist())
    steps = trace(Sampler(2, pick=Suppressed(Categorical(0.0)), constraint=constraint), Table())
    assert steps[-1] == (TABLE[:, 1:].argmax(1) + 1).tolist()
    only = torch.tensor([True, False, False, False])  # where nothing else may be drawn
    codes, logprob, *_ = Suppressed(Categorical(0.0), {"text": (0,)})(TABLE.log(), None, keyed(only))
    assert codes.tolist() == [0] * 4 and logprob.tolist() == [torch.finfo(torch.float32).min] * 4


def test_an_order_by_probability_is_that_by_its_logarithm_but_for_its_scale():
    told = context(0.0, logprob=torch.tensor([0.4, 0.5, 0.7, 0.97]).log())
    assert ProbabilityScore()(told).flatten().tolist() == pytest.approx([0.4, 0.5, 0.7, 0.97])
    # Slot 3 comes first with probability exp(.97 / T) over the sum, T = 0.2.
    rows = row_of().rows(torch.zeros(2000, dtype=torch.int64))
    likely = torch.tensor([0.0, 0.4, 0.5, 0.7, 0.97]).log()[None, :, None].expand(2000, 5, 1)
    none, numbers = torch.zeros(2000, dtype=torch.int64), torch.arange(2000)
    told = ScoreContext(rows, rows.to_fill, none, numbers, Progress(0, 4, "after"), {"logprob": likely})
    order = SumScore((ProbabilityScore(), GumbelScore(1.0, None)), (5.0, 1.0))
    first = order(told)[:, 1:, 0].argmax(1)
    law = torch.tensor([2.0, 2.5, 3.5, 4.85]).double().softmax(0)
    shares = torch.bincount(first, minlength=4).double() / 2000
    assert ((shares - law).abs() < 4.5 * (law * (1 - law) / 2000).sqrt()).all()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Truncated(Rejection()), r"Truncated\.pick must be a Categorical, got Rejection"),
        (lambda: Suppressed(Rejection()), r"Suppressed\.pick must draw open slots from logits and no more, got Rej"),
        (lambda: ExpectedSchedule(end=1.0), r"ExpectedSchedule\.end must lie below 1, got 1\.0"),
        (
            lambda: Suppressed(codes={"text": (9,)})(TABLE.log(), None, keyed()),
            r"Suppressed for 'text' must lie in 0\.\.3 and leave a code, got \(9,\); drop some",
        ),
        (
            lambda: Suppressed(codes={"text": (0, 1, 2, 3)})(TABLE.log(), None, keyed()),
            r"must lie in 0\.\.3 and leave a code, got \(0, 1, 2, 3\)",
        ),
    ],
)
def test_wrong_values_are_refused(make, sentence):
    with pytest.raises((ValueError, TypeError), match=sentence):
        make()

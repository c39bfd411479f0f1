"""The reversed masking process: odds by hand, what is hidden again, what a wrong value gets."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.sampling.test_values import LAYOUT, OFFSET, TABLE, Table, committed, row_of, trace
from tokenmask.masking import Cosine, Linear, Polynomial
from tokenmask.sampling import Categorical, DrawnSchedule, PickContext, Rejection, Reversal, Sampler, SamplerState
from tokenmask.scores import Progress

RECORDED = Path(__file__).parents[1] / "systems" / "recorded" / "remdm.json"


@pytest.mark.parametrize("process", [Linear(), Cosine(), Polynomial(2.0)], ids=repr)
@pytest.mark.parametrize("steps", [1, 3, 8])
def test_never_has_the_odds_of_drawn_counts(process, steps):
    for index in range(steps):
        t, s = Reversal().visible(Progress(index, steps), process)
        assert (s - t) / (1 - t) == pytest.approx(DrawnSchedule(process).odds(index, steps), abs=1e-12)


def test_the_end_of_time_leaves_a_share_hidden():
    """MDLM's times fall from 1 to 1e-5; MD4's visible share is (1 - 2 e) a + e."""
    mdlm = Reversal(end=1e-5, last="best")
    assert [mdlm.visible(Progress(i, 5), Linear())[1] for i in range(4)] == pytest.approx(
        [(1 - 1e-5) * (i + 1) / 4 for i in range(4)]
    )
    e = 1e-4
    md4 = Reversal(end=e / (1 - e), last="best")
    for index in range(4):
        t, s = md4.visible(Progress(index, 5), Cosine())
        a, b = ((1 - 2 * e) * (1 - Cosine().share(1 - done / 4)) + e for done in (index, index + 1))
        assert (s - t) / (1 - t) == pytest.approx((b - a) / (1 - a), abs=1e-12)


@pytest.mark.parametrize(
    ("pick", "expected"),
    [
        (Reversal(), [0, 0, 0, 0]),
        # m: 1, then (1 - 1/2) / (1/4) and (1 - 3/4) / (1/2), then 0.
        (Reversal(rule="cap", eta=0.3), [0.3, 0.3, 0.3, 0]),
        (Reversal(rule="cap", eta=0.8), [0.8, 0.8, 0.5, 0]),
        (Reversal(rule="rescale", eta=0.3), [0.3, 0.3, 0.15, 0]),
        (Reversal(rule="conf"), [1, 1, 0.5, 0]),
        (Reversal(rule="loop", eta=0.3, loop=(0.8, 0.3, 0.9)), [0, 0.3, 0.3, 0]),
    ],
    ids=repr,
)
def test_how_probably_a_code_is_hidden_again(pick, expected):
    assert [pick.hides(Progress(i, 4), Linear()) for i in range(4)] == pytest.approx(expected)


def test_the_loop_rises_stays_and_rises():
    pick = Reversal(rule="loop", eta=0.1, loop=(0.55, 0.05, 0.9))
    found = [pick.visible(Progress(i, 100), Cosine()) for i in range(100)]  # the process has no say
    assert found[0] == pytest.approx((0, 0.02)) and found[30] == pytest.approx((0.6, 0.62))
    assert set(found[46:95]) == {(0.9, 0.9)} and found[96] == pytest.approx((0.92, 0.94))
    assert found[99] == pytest.approx((0.98, 1.0))


def keyed(rows: int, progress: Progress, scores=(0.0,) * 4, stands: int = 4) -> PickContext:
    state = committed(list(scores)) if stands < 4 else SamplerState.start(row_of(), LAYOUT, torch.tensor([0]))
    state = state.rows(torch.zeros(rows, dtype=torch.int64))
    if stands < 4:
        ids = state.batch.ids.clone()
        ids[:, 1:, 0] = OFFSET + stands
        state = replace(state, batch=replace(state.batch, ids=ids))
    slots = (torch.arange(rows)[:, None] * 5 + torch.arange(1, 5)).flatten()
    none = torch.zeros(len(slots), dtype=torch.int64)
    return PickContext(
        none, torch.arange(len(slots)), 1.0, progress, None, slots, state, LAYOUT.head("text"), layout=LAYOUT
    )


def test_shares_of_revealed_and_of_hidden_slots():
    """Step 1 of 4, linear: t = 3/4. Revealed with (1/2 - 1/4) / (3/4) = 1/3, with r = 0.3 (1/2 - 0.7 / 4) / (3/4)."""
    logits = TABLE.log().repeat(2000, 1)
    for rule, odds, again in (("never", 1 / 3, 0.0), ("cap", 0.325 / 0.75, 0.3)):
        pick = Reversal(rule=rule, eta=0.3)
        codes, logprob, *_ = pick(logits, None, keyed(2000, Progress(1, 4)))
        share = float((codes != 4).float().mean())
        assert abs(share - odds) < 4.5 * (odds * (1 - odds) / 8000) ** 0.5
        standing = keyed(2000, Progress(1, 4), [math.log(0.25)] * 4, stands=2)
        codes, logprob, *_ = pick(logits, None, standing)
        assert set(codes.tolist()) <= {2, 4} and logprob.exp().tolist() == pytest.approx([0.25] * 8000)
        assert abs(float((codes == 4).float().mean()) - again) <= 4.5 * (again * (1 - again) / 8000) ** 0.5


def test_a_doubtful_code_is_hidden_sooner():
    """exp(-p) over its sum: of p = 1, 0.5, 0.5, 0.1 .158 .260 .260 .388 of which, at t = 3/4, m = 1."""
    told = keyed(4000, Progress(1, 4), [0.0, math.log(0.5), math.log(0.5), math.log(0.1)], stands=1)
    codes, *_ = Reversal(rule="conf")(TABLE.log().repeat(4000, 1), None, told)
    hidden = (codes == 4).view(4000, 4).double().mean(0)
    law = torch.tensor([-1.0, -0.5, -0.5, -0.1]).double().softmax(0)
    assert ((hidden - law).abs() < 4.5 * (law * (1 - law) / 4000).sqrt()).all()


def test_the_last_step_draws_or_takes_the_best():
    logits, at = TABLE.log(), keyed(1, Progress(3, 4))
    best, *_ = Reversal(last="best")(logits, None, at)
    assert best.tolist() == TABLE.argmax(1).tolist()
    drawn = {tuple(Reversal()(logits, None, replace(at, seeds=at.seeds + seed))[0].tolist()) for seed in range(40)}
    assert len(drawn) > 1 and all(max(row) < 4 for row in drawn)
    forbidden = replace(keyed(1, Progress(3, 4), stands=2), allowed=torch.tensor([True, True, False, True]))
    assert 2 not in Reversal(last="best")(logits, None, forbidden)[0].tolist()  # what stood is drawn anew


def test_a_whole_generation_ends_with_codes():
    for rule in ("never", "cap", "rescale", "conf", "loop"):
        steps = trace(Sampler(9, pick=Reversal(rule=rule, eta=0.5, last="best")), Table(), seed=4)
        assert len(steps) == 9 and -1 not in steps[-1]


@pytest.mark.parametrize("case", ["cap", "rescale", "conf", "early"])
def test_what_was_recorded_hides_codes_again(case):
    """Or the equality with the published loop would say nothing of it; MASK is 20 there."""
    inputs = json.loads(RECORDED.read_text(encoding="utf-8"))[case]["inputs"]
    again = [
        (a, b)
        for one, two in itertools.pairwise(inputs)
        for row, other in zip(one, two, strict=True)
        for a, b in zip(row, other, strict=True)
        if a != b and a != [20]
    ]
    assert len(again) >= 1 and all(b == [20] for _, b in again)


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"pick": Rejection()}, r"Reversal\.pick must draw hidden slots and no more, got Rej"),
        ({"eta": 1.5}, r"Reversal\.eta must be in 0\.\.1, got 1\.5"),
        ({"end": 1.0}, r"Reversal\.end must lie below 1, got 1\.0"),
        ({"rule": "often"}, r"Reversal\.rule must be one of never, cap, rescale, conf, loop, got 'often'"),
        ({"loop": (0.1, 0.5, 0.9)}, r"Reversal\.loop must be two falling times and a share"),
    ],
)
def test_wrong_values_are_refused(fields, sentence):
    with pytest.raises(ValueError, match=sentence):
        Reversal(**fields)


def test_a_temperature_is_that_of_its_codes():
    assert Reversal(Categorical(0.5)).at(0.8).pick == Categorical(0.8)
    with pytest.raises(ValueError, match="temperature must be above 0 for Reversal"):
        Reversal().at(0.0)

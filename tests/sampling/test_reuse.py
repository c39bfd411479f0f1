"""Reuse policies: exact ones equal the whole model, approximate ones do where nothing is stale; work is counted."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.sampling.recorded import GUIDANCE, close, full_logits, recorded, with_guidance
from tests.sampling.reuse_worlds import filled, model_of, start, world
from tokenmask.batch import FILL, GIVEN
from tokenmask.masking import GroupChain, Queries
from tokenmask.models import Causal, Full, GivenFirst, GroupCausal, Window
from tokenmask.models.style import BlockStyle
from tokenmask.sampling import (
    Categorical,
    CausalReuse,
    GroupCausalReuse,
    NoReuse,
    PrefixReuse,
    RevokeLeastLikely,
    Sampler,
    StaleReuse,
    UniformSchedule,
    drift,
)
from tokenmask.sampling.reuse import ReuseStep
from tokenmask.scores import ConfidenceScore, EntropyScore, RandomScore, RasterScore


def check_whole_passes(model, steps):
    """The logits of each recorded step are those of a pass over all positions."""
    for step, logits, _ in steps:
        for head, index, expected in full_logits(model, step.inputs, step.queries, t=step.t):
            for query, row in zip(index.tolist(), expected, strict=True):
                assert close(logits[int(step.queries.slots[query])], row), head


@pytest.mark.parametrize("guidance", GUIDANCE, ids=["plain", "guided"])
@pytest.mark.parametrize("levels", [1, 4])
@pytest.mark.parametrize("pattern", [GivenFirst(), Causal()], ids=repr)
def test_prefix_reuse_gives_the_logits_of_a_whole_pass(pattern, levels, guidance):
    layout, batch = world(levels)
    model = model_of(layout, pattern)
    sampler = with_guidance(Sampler(4, order=EntropyScore()), guidance)
    done, steps = recorded(replace(sampler, reuse=PrefixReuse()), model, batch)
    check_whole_passes(model, steps)
    plain = filled(sampler, model, batch)
    assert torch.equal(done.batch.ids, plain.batch.ids)
    filled_positions = int(((batch.role == FILL).any(-1) & batch.valid).sum())
    given = int(batch.valid.sum()) - filled_positions
    given_alone = int((batch.valid & (batch.stream < 0)).sum())  # the conditions are dropped in unguided rows
    copies = 1 if guidance is None else 2
    expected = copies * filled_positions * len(steps) + given + (0 if guidance is None else given_alone)
    assert done.counters["computed_positions"] == expected < plain.counters["computed_positions"]


@pytest.mark.parametrize("pattern", [Full(), Window(3), GroupCausal()], ids=repr)
def test_prefix_reuse_is_refused_where_given_positions_see_filled_ones(pattern):
    layout, batch = world()
    with pytest.raises(ValueError, match=r"^PrefixReuse needs a pattern in which given positions never look at filled"):
        filled(Sampler(2, reuse=PrefixReuse()), model_of(layout, pattern), batch)
    with pytest.raises(ValueError, match=r"^PrefixReuse keeps what is given, but this model is told the masking time"):
        filled(Sampler(2, reuse=PrefixReuse()), model_of(layout, GivenFirst(), time_input=True), batch)


@pytest.mark.parametrize("guidance", GUIDANCE, ids=["plain", "guided"])
@pytest.mark.parametrize("levels", [1, 4])
@pytest.mark.parametrize("before", [True, False], ids=["before", "own"])
@pytest.mark.parametrize("order", [RasterScore(), RandomScore()], ids=repr)
def test_causal_reuse_gives_the_logits_of_a_whole_pass(order, before, levels, guidance):
    """In any order: what is kept behind a code that is drawn later is run again."""
    layout, batch = world(levels)
    model = model_of(layout, Causal(), style=BlockStyle(reads_before=before))
    sampler = with_guidance(Sampler(6, order=order, schedule=UniformSchedule()), guidance)
    done, steps = recorded(replace(sampler, reuse=CausalReuse()), model, batch)
    check_whole_passes(model, steps)
    plain = filled(sampler, model, batch)
    assert torch.equal(done.batch.ids, plain.batch.ids) and torch.allclose(done.score, plain.score, atol=1e-5)
    assert done.counters["computed_positions"] < plain.counters["computed_positions"]


@pytest.mark.parametrize("before", [True, False], ids=["before", "own"])
def test_a_code_a_step_runs_one_position_a_step(before):
    layout, batch = world(text_role=FILL)
    batch = batch.rows(torch.tensor([1]))
    model = model_of(layout, Causal(), style=BlockStyle(reads_before=before))
    many = int(batch.to_fill.sum())
    sampler = Sampler(order=RasterScore(), schedule=UniformSchedule(each=1), reuse=CausalReuse())
    _, steps = recorded(sampler, model, batch)
    ran = [computed for _, _, computed in steps]
    last = int(batch.to_fill[0, :, 0].nonzero()[-1])
    assert len(ran) == many and sum(ran) == (last if before else last + many)
    stays = replace(sampler, pick=Categorical(0.0))
    again, whole = filled(stays, model, batch), filled(replace(stays, reuse=NoReuse()), model, batch)
    assert torch.equal(again.batch.ids, whole.batch.ids)


@pytest.mark.parametrize("guidance", GUIDANCE, ids=["plain", "guided"])
@pytest.mark.parametrize("order", [ConfidenceScore(4.5), RandomScore()], ids=repr)
def test_without_local_steps_stale_reuse_is_the_plain_sampler_bit_for_bit(order, guidance):
    layout, batch = world(4)
    model = model_of(layout)
    sampler = with_guidance(Sampler(5, order=order, revoke=RevokeLeastLikely(0.2)), guidance)
    plain, reused = filled(sampler, model, batch), filled(replace(sampler, reuse=StaleReuse(n_local=0)), model, batch)
    assert torch.equal(plain.batch.ids, reused.batch.ids) and torch.equal(plain.score, reused.score)
    assert plain.counters == reused.counters


@pytest.mark.parametrize("pattern", [Full(), Window(3), Causal()], ids=repr)
@pytest.mark.parametrize("options", [{}, {"adaln": True}, {"time_input": True}], ids=str)
def test_a_cheap_pass_over_all_positions_is_a_full_pass(pattern, options):
    layout, batch = world(4)
    model = model_of(layout, pattern, **options)
    state = start(batch, layout)
    slots = state.is_open.flatten().nonzero().squeeze(1)
    queries = Queries(slots, layout.head_of(state.batch.ids.flatten()[slots]))
    t = torch.tensor([0.3, 0.6, 0.9])
    policy = StaleReuse()
    with torch.inference_mode():
        first = policy.score(model, ReuseStep(state.batch, queries, t * 0, keep=True), None)
        everything = ReuseStep(state.batch, queries, t, fresh=state.batch.valid)
        second = policy.score(model, everything, first.cache)
        expected = model.logits(state.batch, queries, t=t)
    assert second.computed == int(batch.valid.sum())
    for found, right in zip(second.groups, expected, strict=True):
        assert torch.equal(found.queries, right.queries) and close(found.logits, right.logits)


@pytest.mark.parametrize("levels", [1, 4])
def test_in_one_layer_nothing_is_stale(levels):
    """With one layer, keys and values of a position depend on it alone, so cheap logits equal those of a full pass."""
    layout, batch = world(levels)
    model = model_of(layout, depth=1)
    sampler = Sampler(6, order=ConfidenceScore(1.0), reuse=StaleReuse(pre_full=1, n_local=2))
    cheap = 0
    for step, logits, computed in recorded(sampler, model, batch)[1]:
        cheap += step.fresh is not None
        if step.fresh is not None:
            assert computed == int(step.fresh.sum()) < int(batch.valid.sum())
        for _, index, expected in full_logits(model, step.inputs, step.queries, t=step.t):
            for query, row in zip(index.tolist(), expected, strict=True):
                assert close(logits[int(step.queries.slots[query])], row)
    assert cheap == 3 * levels  # of six steps: F, F C C, F C
    measured = drift(sampler, {"main": model}, layout, start(batch, layout))
    assert measured.kl < 1e-6 and measured.computed < 1


STALE = [
    StaleReuse(n_local=1),
    StaleReuse(pre_full=2, n_local=3, recompute="open"),
    StaleReuse(n_local=2, where=RasterScore(), reorder=True),
    StaleReuse(n_local=2, where=RasterScore(), reorder=True, recompute="open"),
]


@pytest.mark.parametrize("guidance", GUIDANCE, ids=["plain", "guided"])
@pytest.mark.parametrize("levels", [1, 4])
@pytest.mark.parametrize("policy", STALE, ids=repr)
def test_stale_reuse_reveals_as_planned_and_reports_its_drift(policy, levels, guidance):
    layout, batch = world(levels, text_role=FILL if guidance is None else GIVEN)
    model = model_of(layout)
    sampler = with_guidance(Sampler(5, order=ConfidenceScore(1.0), reuse=policy), guidance)
    state = start(batch, layout)
    opened = [step.state.is_open.sum((1, 2)) for step in sampler.iterate({"main": model}, layout, state)]
    plain = [
        step.state.is_open.sum((1, 2))
        for step in replace(sampler, reuse=NoReuse()).iterate({"main": model}, layout, state)
    ]
    assert all(torch.equal(a, b) for a, b in zip(opened, plain, strict=True))
    measured = drift(sampler, {"main": model}, layout, state)
    assert 0 <= measured.codes <= 1 and 0 < measured.kl <= measured.kl_largest and 0 < measured.computed < 1


def test_blocks_are_filled_from_left_to_right():
    layout, batch = world()
    policy = StaleReuse(n_local=3, where=RasterScore(), reorder=True)
    sampler = Sampler(8, schedule=UniformSchedule(), order=ConfidenceScore(), reuse=policy)
    steps = list(sampler.iterate({"main": model_of(layout)}, layout, start(batch, layout)))
    open_half = steps[3].state.is_open[..., 0]
    for row in range(3):
        was_open = start(batch, layout).is_open[row, :, 0].nonzero().squeeze(1)
        now_open = open_half[row].nonzero().squeeze(1)
        assert torch.equal(now_open, was_open[len(was_open) - len(now_open) :]) and len(now_open)


def test_rows_move_with_their_cache():
    layout, batch = world(4)
    index = torch.tensor([2, 0, 0])
    chain, stale, causal = GroupCausalReuse(), StaleReuse(n_local=3), CausalReuse()
    for policy, order in ((chain, RandomScore()), (stale, ConfidenceScore()), (causal, RasterScore())):
        model = model_of(layout, {chain: GroupCausal(), causal: Causal()}.get(policy))
        for guidance in GUIDANCE:
            sampler = with_guidance(Sampler(4, order=order, reuse=policy, pick=Categorical(0.0)), guidance)
            states = [step.state for step in sampler.iterate({"main": model}, layout, start(batch, layout))]
            kept = states[1].rows(index)
            copies = 1 if guidance is None else 2
            assert kept.cache.num_rows == 3 * copies
            for copy in range(copies):
                for new, old in enumerate(index.tolist()):
                    here, there = kept.cache.kv, states[1].cache.kv
                    a, b = new + 3 * copy, old + 3 * copy
                    assert torch.equal(here.keys[:, a], there.keys[:, b])
                    assert torch.equal(here.meta.position[a], there.meta.position[b])
            assert kept.cache.kv.keys.data_ptr() != states[1].cache.kv.keys.data_ptr()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Sampler(reuse=GroupCausalReuse(), order=ConfidenceScore()), "order like RandomScore"),
        (lambda: Sampler(reuse=GroupCausalReuse(), order=RandomScore(), revoke=RevokeLeastLikely()), "no revocation"),
        (
            lambda: Sampler(reuse=CausalReuse(), order=ConfidenceScore()),
            "CausalReuse chooses slots .* order like RandomS",
        ),
        (
            lambda: filled(Sampler(2, order=RasterScore(), reuse=CausalReuse()), model_of(world()[0]), world()[1]),
            "CausalReuse needs a model with the pattern Causal, .* got Full.*; use another reuse",
        ),
        (
            lambda: filled(
                Sampler(2, reuse=StaleReuse()),
                model_of(world()[0], Causal(), style=BlockStyle(reads_before=True)),
                world()[1],
            ),
            "not asked where the code stands, .*; set sampler.reuse to NoReuse or, with the pattern Causal, to Ca",
        ),
        (lambda: StaleReuse(n_local=-1), "StaleReuse.n_local must be at least 0, got -1"),
        (lambda: StaleReuse(where=ConfidenceScore()), "where must not read predictions"),
        (lambda: GroupChain(orders=(ConfidenceScore(),)), "fixed before anything is predicted"),
        (lambda: GroupChain(steps=(4, 2)), "fewest and the most"),
        (lambda: GroupChain(share=0.0), "above 0"),
        (
            lambda: filled(Sampler(2, order=RandomScore(), reuse=GroupCausalReuse()), model_of(world()[0]), world()[1]),
            "GroupCausalReuse needs a model with the pattern GroupCausal",
        ),
        (
            lambda: drift(
                Sampler(2, order=RandomScore(), reuse=GroupCausalReuse()),
                {"main": model_of(world()[0], GroupCausal())},
                world()[0],
                start(world()[1], world()[0]),
            ),
            "drift compares with a full pass",
        ),
    ],
)
def test_wrong_input_gets_one_sentence(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()

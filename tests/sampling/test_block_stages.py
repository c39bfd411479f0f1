"""Stages of blocks: each block by itself, left to right, with a schedule that decides and with caches made anew."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

import tokenmask as tm
from tests.sampling.reuse_worlds import filled, model_of, start, world
from tokenmask.generation import Request, fill
from tokenmask.masking import Linear
from tokenmask.sampling import (
    Blocks,
    BlockSchedule,
    Categorical,
    ConfidenceAbove,
    NoReuse,
    Sampler,
    Stage,
    StaleReuse,
    UniformSchedule,
)
from tokenmask.scores import Blockwise, ConfidenceScore, RandomScore

SURE = ConfidenceScore(plain=True)
TO_THE_END = StaleReuse(n_local=None, reorder=True)
CACHES = [TO_THE_END, replace(TO_THE_END, recompute="open"), replace(TO_THE_END, pre_full=1)]


@pytest.mark.parametrize("levels", [1, 4])
def test_they_fill_what_the_schedule_of_blocks_fills(levels):
    """The same codes where steps and draws are the same: two steps in each block of four positions."""
    layout, batch = world(levels)
    model, options = model_of(layout), {"pick": Categorical(1.0)}
    of_level = [Stage(2, (level,), block=4) for level in range(levels)]
    staged = Sampler(stages=tuple(of_level), schedule=UniformSchedule(), order=SURE, **options)
    for row in range(3):
        one = batch.rows(torch.tensor([row]))
        count = int(start(one, layout).is_open[..., 0].sum())
        planned = Sampler(
            2 * -(-count // 4), schedule=Blocks(UniformSchedule(), 4), order=Blockwise(SURE, 4), **options
        )
        assert torch.equal(filled(staged, model, one).batch.ids, filled(planned, model, one).batch.ids)


def test_a_block_is_done_before_the_next_begins():
    layout, batch = world()
    state, model = start(batch, layout), model_of(layout)
    sampler = Sampler(stages=(Stage(3, block=4),), schedule=UniformSchedule(), order=RandomScore())
    first = state.batch.to_fill[..., 0].int().argmax(1)
    block = (torch.arange(state.is_open.shape[1]) - first[:, None]).clamp(min=0) // 4
    for step in sampler.iterate({"main": model}, layout, state):
        left, now = step.state.is_open.any(-1), step.index // 3
        assert torch.equal(left & (block > now), state.is_open.any(-1) & (block > now))
        assert not (left & (block < now + (step.index % 3 == 2))).any()


@pytest.mark.parametrize("policy", CACHES, ids=repr)
@pytest.mark.parametrize("levels", [1, 4])
def test_in_one_layer_nothing_of_a_threshold_is_stale(policy, levels):
    """With one layer, keys and values of a position depend on it alone, so a kept cache changes no code."""
    layout, batch = world(levels)
    model = model_of(layout, depth=1)
    stages = tuple(Stage(levels=(level,), block=3, schedule=ConfidenceAbove(0.6)) for level in range(levels))
    sampler = Sampler(stages=stages, order=SURE, pick=Categorical(0.0), reuse=policy)
    done, plain = filled(sampler, model, batch), filled(replace(sampler, reuse=NoReuse()), model, batch)
    assert torch.equal(done.batch.ids, plain.batch.ids)
    assert done.counters["forward_passes"] == plain.counters["forward_passes"]
    assert done.counters["computed_positions"] < plain.counters["computed_positions"]


def test_the_threshold_takes_as_many_steps_as_without_blocks_of_stages():
    """One row: the same steps as of a schedule that decides inside the first block, which has no caches."""
    layout, batch = world()
    model, one = model_of(layout), batch.rows(torch.tensor([0]))
    options = {"pick": Categorical(0.0)}
    staged = Sampler(stages=(Stage(block=4),), schedule=ConfidenceAbove(0.2), order=SURE, **options)
    decided = Sampler(1, schedule=BlockSchedule(ConfidenceAbove(0.2), 4), order=Blockwise(SURE, 4), **options)
    a, b = filled(staged, model, one), filled(decided, model, one)
    assert torch.equal(a.batch.ids, b.batch.ids)
    assert a.counters["forward_passes"] == b.counters["forward_passes"] < int(start(one, layout).is_open.sum())


def test_models_are_told_the_share_of_all_blocks():
    layout, batch = world()
    model = model_of(layout, time_input=True)
    told, own = [], model.logits
    model.logits = lambda *inputs, **options: told.append(options["t"].clone()) or own(*inputs, **options)
    one = batch.rows(torch.tensor([0]))
    every = int(start(one, layout).is_open.sum())
    sampler = Sampler(stages=(Stage(4, block=4),), schedule=UniformSchedule(), order=RandomScore(), process=Linear())
    filled(sampler, model, one)
    assert [round(float(t) * every) for t in told] == list(range(every, 0, -1))


def test_a_row_is_the_same_alone_and_beside_others_on_the_model_that_ships():
    run = tm.load()
    whole = [Request.blank(run.layout, "image", (8, 8), seed=seed) for seed in (1, 2)]
    hole = torch.zeros(whole[0].hole.shape, dtype=torch.bool)
    hole[1, 2:7], hole[5, :3] = True, True
    few = replace(whole[0], hole=hole)
    stages = (Stage(block=16, schedule=ConfidenceAbove(0.3)),)
    sampler = Sampler(stages=stages, order=SURE, pick=Categorical(1.1), reuse=TO_THE_END)

    def made(*requests):
        return fill(requests, layout=run.layout, models=run.models, sampler=sampler, packing=run.recipe.packing)

    together = made(*whole, few)
    assert together == [made(one)[0] for one in (*whole, few)]
    assert together[0] != together[1]


def test_what_cannot_be_is_refused_in_a_sentence():
    layout, batch = world()
    model = model_of(layout)
    deciding = Sampler(stages=(Stage(block=4),), schedule=ConfidenceAbove(0.2), order=SURE)
    for reuse in (StaleReuse(n_local=None), StaleReuse(n_local=1, reorder=True)):
        with pytest.raises(ValueError, match=r"StaleReuse with n_local None and reorder, which settles all"):
            filled(replace(deciding, reuse=reuse), model, batch)
    with pytest.raises(ValueError, match=r"Stage\.block must be"):
        Stage(block=0)

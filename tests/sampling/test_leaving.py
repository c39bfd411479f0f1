"""Rows that a stage has filled are not asked for again, and every row becomes what it becomes alone."""

from dataclasses import replace

import pytest
import torch

import tokenmask as tm
from tests.sampling.test_straight import LAYOUT, SPEC
from tokenmask.batch import collate
from tokenmask.generation import Request, fill
from tokenmask.masking import Linear
from tokenmask.sampling import (
    Categorical,
    ConfidenceAbove,
    NeverRevoke,
    Particles,
    RevokeDrawn,
    Sampler,
    SamplerState,
    Stage,
)
from tokenmask.sampling.reuse import NoReuse, StaleReuse
from tokenmask.scores import ConfidenceScore
from tokenmask.streams import TokenStream

DECIDING = Sampler(schedule=ConfidenceAbove(0.4), order=ConfidenceScore(), pick=Categorical(0.7))
SURE = ConfidenceScore(plain=True)
KEPT = {
    "nothing": NoReuse(),
    "dual": StaleReuse(n_local=None, reorder=True),
    "prefix": StaleReuse(n_local=None, reorder=True, recompute="open"),
}


class Rows:
    """Logits of a row follow from what stands in it alone; keeps which rows it saw, by their sample ids."""

    def __init__(self):
        self.asked = []

    def logits(self, inputs, queries, t=None, group=None, **more):
        assert len(t) == len(inputs.ids) and (group is None or len(group) == len(inputs.ids))
        self.asked.append(inputs.sample_ids.tolist())
        size = inputs.shape[1] * inputs.shape[2]
        row = torch.div(queries.slots, size, rounding_mode="floor")
        told = (inputs.ids.view(len(inputs.ids), -1).double() * torch.arange(1, size + 1)).sum(1)[row]
        for head in queries.heads.unique().tolist():
            index = (queries.heads == head).nonzero()[:, 0]
            codes = torch.arange(1, LAYOUT.ranges[head].size + 1)
            yield (
                head,
                index,
                (told[index, None] * 0.37 + (queries.slots[index, None] % size + 1) * codes).sin().float() * 3,
            )


def start() -> SamplerState:
    packed = LAYOUT.pack({"sound": TokenStream(SPEC, torch.zeros(6, 2, dtype=torch.int32))})
    samples, seeds = torch.tensor([4, 0, 2, 7, 1, 9, 3, 5]), torch.tensor([7, 8, 7, 1, 2, 3, 4, 5])
    return SamplerState.start(collate([packed] * 8, samples), LAYOUT, seeds)


@pytest.mark.parametrize("revoke", [NeverRevoke(), RevokeDrawn(0.4, Linear())])
def test_each_step_asks_the_rows_that_are_left(revoke):
    sampler, model = replace(DECIDING, revoke=revoke), Rows()
    together = list(sampler.iterate({"main": model}, LAYOUT, start()))
    last, computed, lengths = together[-1].state, 0, set()
    for row, sample in enumerate(start().batch.sample_ids.tolist()):
        alone = Rows()
        mine = list(sampler.iterate({"main": alone}, LAYOUT, start().rows(torch.tensor([row]))))[-1].state
        assert sum(sample in asked for asked in model.asked) == len(alone.asked)
        assert torch.equal(last.batch.ids[row], mine.batch.ids[0]) and torch.equal(last.score[row], mine.score[0])
        computed += mine.counters["computed_positions"]
        lengths.add(len(alone.asked))
    assert len(lengths) > 2  # or nothing is shown
    assert last.counters["computed_positions"] == computed
    assert [step.index for step in together] == list(range(len(together)))
    before = start()
    for step in together:  # all rows, in their order, after every step
        state = step.state
        assert torch.equal(state.batch.sample_ids, before.batch.sample_ids) and torch.equal(state.seeds, before.seeds)
        assert not bool((state.is_open & ~start().is_open).any()) and state.is_open.shape == before.is_open.shape


@pytest.mark.parametrize("kept", KEPT)
def test_what_is_kept_of_a_step_follows_the_rows(kept):
    run = tm.load()
    requests = []
    for seed in range(6):
        blank = Request.blank(run.layout, "image", (8, 8), seed=seed)
        hole = torch.zeros_like(blank.hole)
        hole[2:6] = True
        codes = torch.full_like(blank.canvas.codes, 40 * seed)  # other keys and values in each row
        requests.append(replace(blank, hole=hole, canvas=TokenStream(blank.canvas.spec, codes)))
    stages = (Stage(block=32, schedule=ConfidenceAbove(0.05)),)
    sampler = Sampler(stages=stages, order=SURE, pick=Categorical(1.1), reuse=KEPT[kept])
    seen = []

    def made(*some):
        tally = {}
        parts = {"layout": run.layout, "models": run.models, "sampler": sampler, "packing": run.recipe.packing}
        streams = fill(some, tally=tally, on_step=seen.append, **parts)
        return streams, tally["computed_positions"]

    together, computed = made(*requests)
    numbers = [[at.step for at in seen if at.request == request] for request in range(6)]
    assert all(of == list(range(1, len(of) + 1)) for of in numbers)
    apart = [made(one) for one in requests]
    assert together == [streams[0] for streams, _ in apart]
    assert computed == sum(positions for _, positions in apart)
    assert len({positions for _, positions in apart}) > 1  # or no row has left


def test_particles_stay_together():
    model = Rows()
    list(replace(DECIDING, particles=Particles(2)).iterate({"main": model}, LAYOUT, start()))
    assert {len(asked) for asked in model.asked} == {16}

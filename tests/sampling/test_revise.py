"""A pick that revises: every slot is drawn in every step, codes may become others or be hidden again; by hand."""

from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import ClassVar

import pytest
import torch

from tests.sampling.reuse_worlds import filled, model_of, world
from tests.sampling.test_values import LAYOUT, MASK, OFFSET, TABLE, Table, row_of, start, trace
from tokenmask.batch import FILL, GIVEN
from tokenmask.masking import Linear
from tokenmask.sampling import (
    Categorical,
    ClassifierFree,
    ConfidenceAbove,
    Pick,
    PickContext,
    Revoke,
    Sampler,
    SamplerState,
    Stage,
    StaleReuse,
    UniformSchedule,
)


@dataclass(frozen=True)
class Turns(Pick):
    """MASK becomes ``first``, a code the next one, the last code MASK; in the last step what would be MASK is 0."""

    revises: ClassVar[bool] = True
    first: int = 0
    ends: bool = True

    def __call__(self, logits, uncond, context: PickContext):
        stands, step = context.stands, context.progress
        codes = torch.where(stands == 4, self.first, stands + 1)
        if self.ends and step.index == step.steps - 1:
            codes = torch.where(codes == 4, 0, codes)
        none = torch.zeros(len(codes))
        return codes.int(), none - 0.25, none, none


def test_codes_are_revised_and_hidden_again_step_by_step():
    rows = [[0] * 4, [1] * 4, [2] * 4, [3] * 4, [-1] * 4]
    assert trace(Sampler(6, pick=Turns()), Table()) == [*rows, [0] * 4]  # 3, the last code, becomes MASK, and that 0
    assert trace(Sampler(5, pick=Turns()), Table()) == [*rows[:4], [0] * 4]


def test_what_is_given_stays_and_scores_are_those_of_the_draw():
    batch = row_of()
    role = batch.role.clone()
    role[0, 2] = GIVEN
    state = SamplerState.start(replace(batch, role=role), LAYOUT, torch.tensor([0]))
    done = list(Sampler(3, pick=Turns()).iterate({"main": Table()}, LAYOUT, state))
    ids = [(step.state.batch.ids[0, 1:5, 0] - OFFSET).tolist() for step in done]
    assert ids == [[0, 0, 0, 0], [1, 0, 1, 1], [2, 0, 2, 2]]
    assert done[-1].state.score[0, 1:5, 0].tolist() == [-0.25, 0, -0.25, -0.25]
    assert [step.state.step for step in done] == [1, 2, 3] and not Turns().is_greedy  # each draws by a key of its own
    assert not bool(done[-1].state.is_open.any()) and int((role == FILL).sum()) == 3


def test_what_was_predicted_is_of_the_codes_that_were_drawn():
    seen = []

    class Watch(Revoke):
        def __call__(self, context):
            seen.append(context.predictions["plain_logprob"][0, 1:5, 0].exp())

    trace(Sampler(6, pick=Turns(), revoke=Watch()), Table())
    for code in range(4):
        assert torch.allclose(seen[code], TABLE[:, code])
    assert torch.allclose(seen[4], TABLE[:, 3])  # hidden again: the last code stands for none


def test_hidden_again_is_open_again():
    sampler = Sampler(2, pick=Turns(first=4))  # MASK in the first step
    first = next(iter(sampler.iterate({"main": Table()}, LAYOUT, start()))).state
    assert bool(first.is_open[0, 1:5].all()) and first.batch.ids[0, 1:5, 0].tolist() == [MASK] * 4
    assert first.score.tolist() == torch.zeros_like(first.score).tolist()


def test_a_stage_may_revise_what_the_one_before_filled():
    stages = (Stage(2), Stage(2, pick=Turns()))
    sampler = Sampler(stages=stages, schedule=UniformSchedule(), pick=Categorical(0.0))
    table = torch.tensor([[0.9, 0.1, 0, 0]] * 4) + 1e-9
    assert trace(sampler, Table(table))[1:] == [[0] * 4, [1] * 4, [2] * 4]


def test_the_time_falls_with_the_steps():
    model = Table()
    model.backbone = SimpleNamespace(reads_time=True)
    trace(Sampler(4, pick=Turns(), process=Linear()), model)
    assert model.times == [[1.0], [0.75], [0.5], [0.25]]  # though everything holds a code after the first


def test_it_refuses_what_it_cannot_go_with():
    with pytest.raises(ValueError, match="Turns must answer codes in the last step of a stage, but left 4 slots"):
        trace(Sampler(1, pick=Turns(first=4, ends=False)))
    with pytest.raises(ValueError, match="Turns draws every slot in every step, so it needs a schedule that knows its"):
        trace(Sampler(4, pick=Turns(), schedule=ConfidenceAbove(0.5)))
    layout, batch = world()
    with pytest.raises(ValueError, match=r"no cheap steps, got .* and StaleReuse"):
        filled(Sampler(4, pick=Turns(), reuse=StaleReuse(2)), model_of(layout), batch)
    told = PickContext(torch.zeros(1), torch.zeros(1), 1.0, 0.0, None, torch.zeros(1).long(), start(), 0)
    with pytest.raises(ValueError, match="needs the layout of the ids"):
        _ = told.stands


def test_a_guidance_observes_beside_a_pick_that_revises():
    """It is asked in every step, and finds what it noted; rows that are done keep theirs."""
    found = []

    class Counts(ClassifierFree):
        def observe(self, context, seen):
            before = context.state.carry.get("mine", torch.zeros(1))
            found.append(before.tolist())
            return {"mine": before + 1}

    state = start()
    done = Sampler(3, pick=Turns(), guidance=Counts(1.0)).run({"main": Table()}, LAYOUT, state)
    assert found == [[0.0], [1.0], [2.0]] and done.carry["mine"].tolist() == [3.0]

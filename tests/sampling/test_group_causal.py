"""GroupCausalReuse: its steps are one masked pass, every slot is computed once."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.sampling.recorded import GUIDANCE, close, full_logits, recorded, with_guidance
from tests.sampling.reuse_worlds import filled, model_of, start, world
from tokenmask.batch import FILL, GIVEN
from tokenmask.masking import Power, chained
from tokenmask.models import Causal, GroupCausal
from tokenmask.objectives import MaskedCrossEntropy
from tokenmask.sampling import ClassifierFree, GroupCausalReuse, NoReuse, ProcessSchedule, Sampler, UniformSchedule
from tokenmask.scores import HaltonScore, QLDSScore, RandomScore, RasterScore

ORDERS = [RandomScore(), QLDSScore(), HaltonScore(), RasterScore()]


def replayed(model, batch, steps):
    """The chain of the groups that a recorded generation revealed, and its logits by slot."""
    group, score = torch.zeros(batch.shape, dtype=torch.int64), torch.zeros(batch.shape)
    for number, (step, _, _) in enumerate(steps):
        rows = batch.shape[0]
        own = step.queries.slots[step.queries.slots < batch.ids.numel()]
        group.view(-1)[own] = number + 1
        score.view(-1)[own] = step.order[:rows].reshape(-1)[own]
    return group, score


@pytest.mark.parametrize("guidance", GUIDANCE, ids=["plain", "guided"])
@pytest.mark.parametrize("levels", [1, 4])
@pytest.mark.parametrize("order", ORDERS, ids=repr)
def test_cached_steps_give_the_logits_of_one_masked_pass(order, levels, guidance):
    layout, batch = world(levels, text_role=FILL if levels == 1 and guidance is None else GIVEN)
    model = model_of(layout, GroupCausal())
    sampler = Sampler(6, schedule=ProcessSchedule(Power(2.2)), order=order, reuse=GroupCausalReuse())
    done, steps = recorded(with_guidance(sampler, guidance), model, batch)
    found = {slot: row for _, logits, _ in steps for slot, row in logits.items()}
    group, score = replayed(model, batch, steps)
    clean = done.batch
    if guidance is not None:
        clean = clean.join(ClassifierFree().unconditional(clean))
        group, score = torch.cat([group, group]), torch.cat([score, score])
    masked = chained(clean, layout, group, score)
    assert len(masked.queries) == len(found) == int(start(batch, layout).is_open.sum()) * (1 if guidance is None else 2)
    slots = asked_slots(masked)
    for _, index, expected in full_logits(model, masked.inputs, masked.queries, group=masked.group, t=masked.t):
        for query, row in zip(index.tolist(), expected, strict=True):
            assert close(found[int(slots[query])], row)
    assert done.counters["computed_positions"] == int(masked.inputs.valid.sum())


def asked_slots(masked) -> torch.Tensor:
    """The slot of the clean batch that each query asks for: coordinates and stream name the position."""
    clean, levels = masked.clean, masked.clean.shape[2]
    row = torch.div(masked.queries.slots, masked.inputs.ids[0].numel(), rounding_mode="floor")
    found = []
    for n, (r, head) in enumerate(zip(row.tolist(), masked.queries.heads.tolist(), strict=True)):
        layout = LAYOUTS[levels]
        stream = layout.index(layout.ranges[head].stream)
        here = (clean.stream[r] == stream) & (clean.coordinates[r] == masked.queries.coordinates[n]).all(-1)
        position = int(here.nonzero().squeeze())
        found.append((r * clean.shape[1] + position) * levels + layout.ranges[head].level)
    return torch.tensor(found)


LAYOUTS = {levels: world(levels)[0] for levels in (1, 4)}


@pytest.mark.parametrize("levels", [1, 4])
def test_each_slot_is_computed_once(levels):
    """M2T's groups never shrink inside a level, so its passes hold as many positions as there are slots."""
    layout, batch = world(levels)
    sampler = Sampler(5, schedule=ProcessSchedule(Power(2.2)), order=QLDSScore(), reuse=GroupCausalReuse())
    done, steps = recorded(sampler, model_of(layout, GroupCausal()), batch)
    slots, given = int(start(batch, layout).is_open.sum()), int((batch.valid & ~(batch.role == FILL).any(-1)).sum())
    again = 0  # where a level begins, the last group of the level before is larger than the first of this one
    for index in range(1, levels):
        last, first = steps[5 * index - 1][0].queries.slots, steps[5 * index][0].queries.slots
        size = batch.ids[0].numel()
        again += sum(max(0, int((last // size == row).sum()) - int((first // size == row).sum())) for row in range(3))
    assert sum(computed for _, _, computed in steps) == given + slots + again
    whole = filled(replace(sampler, reuse=NoReuse()), model_of(layout, GroupCausal()), batch)
    assert whole.counters["computed_positions"] == 5 * levels * batch.shape[0] * batch.shape[1]
    if levels == 1:
        assert done.counters["computed_positions"] == given + slots


def test_single_slots_in_raster_order_are_a_causal_language_model():
    layout, batch = world()
    model = model_of(layout, GroupCausal())
    one = batch.rows(torch.tensor([1])).drop(torch.tensor([[True, False]]))  # BOS and 25 frames
    sampler = Sampler(25, schedule=UniformSchedule(), order=RasterScore(), reuse=GroupCausalReuse())
    done, steps = recorded(sampler, model, one)
    masked = chained(done.batch, layout, *replayed(model, one, steps))
    frames = done.batch.ids[done.batch.stream == 1][:, 0]
    shown = torch.cat([torch.tensor([layout.control("BOS"), layout.range("audio").mask_id]), frames[:-1]])
    assert torch.equal(masked.inputs.ids[0, :, 0], shown.int())
    causal = full_logits(model, masked.inputs, masked.queries, pattern=Causal(), t=masked.t)
    grouped = full_logits(model, masked.inputs, masked.queries, group=masked.group, t=masked.t)
    assert len(causal[0].queries) == 25 and close(causal[0].logits, grouped[0].logits)
    assert torch.equal(
        torch.stack([logits[k] for _, logits, _ in steps for k in logits]).argmax(-1), causal[0].logits.argmax(-1)
    )


def test_bits_of_one_pass_are_the_bits_of_all_steps():
    layout, batch = world(4)
    model = model_of(layout, GroupCausal())
    sampler = Sampler(4, order=RandomScore(), reuse=GroupCausalReuse())
    done, steps = recorded(sampler, model, batch)
    stepwise = sum(
        -float(row.log_softmax(-1)[int(done.batch.ids.flatten()[slot]) - layout.offsets()[head]])
        for step, logits, _ in steps
        for slot, head in zip(step.queries.slots.tolist(), step.queries.heads.tolist(), strict=True)
        for row in [logits[slot]]
    )
    group, score = replayed(model, batch, steps)
    masked = chained(done.batch, layout, group, score)
    bits = MaskedCrossEntropy(reduction="bits")(model, masked).total * batch.shape[0]
    assert float(bits.detach()) == pytest.approx(stepwise / torch.tensor(2.0).log().item(), rel=1e-5)

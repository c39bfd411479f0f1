"""A policy of one's own keeps what it likes from step to step: here logits of the steps before, which it refines."""

from dataclasses import dataclass, replace
from typing import ClassVar

import torch

from tests.sampling.test_values import LAYOUT, OFFSET, SPEC
from tokenmask.batch import collate
from tokenmask.models import RangeLogits
from tokenmask.sampling import Categorical, NoReuse, Sampler, SamplerState, UniformSchedule
from tokenmask.scores import RasterScore
from tokenmask.streams import TokenStream


@dataclass(frozen=True, eq=False)
class Seen:
    """float32 [B, S, V], the sum of the logits of each slot so far, and how often it was asked."""

    sums: torch.Tensor
    steps: int

    @property
    def num_rows(self):
        return self.sums.shape[0]

    def rows(self, index):
        return Seen(self.sums[index], self.steps)


@dataclass(frozen=True)
class Averages(NoReuse):
    """Answers by the mean of all steps so far."""

    keeps: ClassVar[bool] = True

    def score(self, model, step, cache):
        scored = super().score(model, step, None)
        (group,) = scored.groups
        rows, slots = step.inputs.shape[0], step.inputs.ids[0].numel()
        sums = torch.zeros(rows, slots, 4) if cache is None else cache.sums.clone()
        place = step.queries.slots[group.queries]
        sums.view(-1, 4)[place] += group.logits
        steps = 1 if cache is None else cache.steps + 1
        mean = group._replace(logits=sums.view(-1, 4)[place] / steps)
        return replace(scored, groups=(mean,), cache=Seen(sums, steps))


class Moves:
    """A model that is sure of code 0 at first, and less and less so; what it is asked later it answers by code 1."""

    def __init__(self):
        self.calls = 0

    def logits(self, inputs, queries, t=None, **more):
        self.calls += 1
        logits = torch.zeros(len(queries), 4)
        logits[:, 0 if self.calls == 1 else 1] = 10.0 if self.calls == 1 else 4.0
        yield RangeLogits(0, torch.arange(len(queries)), logits)


def rows(count: int) -> SamplerState:
    packed = LAYOUT.pack({"text": TokenStream(SPEC, torch.zeros(4, 1, dtype=torch.int32))})
    batch = collate([packed] * count, torch.arange(count), multiple=1)
    return SamplerState.start(batch, LAYOUT, torch.zeros(count, dtype=torch.int64))


SAMPLER = Sampler(4, schedule=UniformSchedule(), order=RasterScore(), pick=Categorical(0.0), reuse=Averages())


def test_logits_of_earlier_steps_weigh_in():
    """Sums of code 0 and 1 after each step: 10 : 0, 10 : 4, 10 : 8, 10 : 12; so only the last slot gets code 1."""
    done = SAMPLER.run({"main": Moves()}, LAYOUT, rows(1))
    assert (done.batch.ids[0, 1:, 0] - OFFSET).tolist() == [0, 0, 0, 1]
    plain = replace(SAMPLER, reuse=NoReuse()).run({"main": Moves()}, LAYOUT, rows(1))
    assert (plain.batch.ids[0, 1:, 0] - OFFSET).tolist() == [0, 1, 1, 1]


def test_rows_are_taken_along():
    """A batch that is cut after its first step goes on with the notes of the rows that are left."""
    first = next(iter(SAMPLER.iterate({"main": Moves()}, LAYOUT, rows(3)))).state
    part = first.rows(torch.tensor([2, 0]))
    assert part.cache.num_rows == 2 and torch.equal(part.cache.sums, first.cache.sums[[2, 0]])
    assert part.cache.sums[:, 1:5, 0].tolist() == [[10.0] * 4] * 2  # position 0 is a control

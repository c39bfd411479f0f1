"""Stages of plain parts alone are run in fewer calls: each step is bit for bit that of the whole loop."""

from dataclasses import replace

import pytest
import torch

from tokenmask.batch import FILL, GIVEN, collate
from tokenmask.layout import Layout
from tokenmask.masking import Linear
from tokenmask.models import MaskedModel, TransformerConfig
from tokenmask.sampling import (
    Categorical,
    ClassifierFree,
    ContextCorrupted,
    ForbidCodes,
    NoGuidance,
    ProcessSchedule,
    RevokeRandom,
    Sampler,
    SamplerState,
    Stage,
    UniformSchedule,
)
from tokenmask.sampling.guidance import COMPANION
from tokenmask.sampling.straight import Straight
from tokenmask.scores import ConfidenceScore, EntropyScore, MarginScore, RandomScore, RasterScore
from tokenmask.streams import StreamSpec, TokenStream

SPEC = StreamSpec("sound", (11, 9), ("time",), rate_hz=10.0)
LAYOUT = Layout({"sound": SPEC, "word": StreamSpec("word", (5,), ("index",))})


class Fixed:
    """Logits that follow from what stands in the row, so that a wrong code or mask changes all that comes after."""

    def __init__(self, backwards=True):
        self.asked, self.backwards = [], backwards

    def logits(self, inputs, queries, t=None, group=None, **more):
        self.asked.append((queries.slots.tolist(), queries.heads.tolist(), t.tolist(), group is not None))
        size = inputs.shape[1] * inputs.shape[2]
        row = torch.div(queries.slots, size, rounding_mode="floor")
        seen = torch.where(inputs.valid[:, :, None], inputs.ids, 0).view(len(inputs.ids), -1)
        told = (seen.double() * torch.arange(1, size + 1)).sum(1)[row]
        for head in queries.heads.unique().tolist():
            index = (queries.heads == head).nonzero()[:, 0]
            index = index.flip(0) if self.backwards else index  # a head may answer in any order
            codes = torch.arange(LAYOUT.ranges[head].size)
            yield (
                head,
                index,
                (told[index, None] * 0.37 + (queries.slots[index, None] + 1) * (codes + 1)).sin().float() * 3,
            )


def start(words: int | None = None) -> SamplerState:
    """Three rows of other lengths, of which the second is given in part; with words of some role besides."""
    rows = []
    for number, length in enumerate((5, 7, 3)):
        codes = torch.arange(length * 2).view(length, 2).remainder(9).int()
        role = torch.full(codes.shape, FILL, dtype=torch.int8)
        if number == 1:
            role[:3] = GIVEN
        streams, roles = {"sound": TokenStream(SPEC, codes)}, {"sound": role}
        if words is not None:
            codes = torch.arange(5).add(number).remainder(5).int()[:, None]
            streams["word"], roles["word"] = TokenStream(LAYOUT.streams["word"], codes), words
        rows.append(LAYOUT.pack(streams, roles=roles))
    return SamplerState.start(collate(rows, torch.tensor([4, 0, 2])), LAYOUT, torch.tensor([7, 8, 7]))


def conditioned() -> SamplerState:
    """The rows with five words besides: a condition, a negative one, and two further ones."""
    state = start(words=GIVEN)
    word = state.batch.stream == list(LAYOUT.names).index("word")
    companion = torch.where(word, (word.cumsum(1) - 1).clamp(min=0, max=3), 0).to(torch.int8)
    batch = replace(state.batch, valid=state.batch.valid & (companion == 0), features={COMPANION: companion})
    return replace(state, batch=batch)


def taken(sampler: Sampler, state: SamplerState, backwards=True) -> tuple[list[SamplerState], list]:
    model = Fixed(backwards)
    return [step.state for step in sampler.iterate({"main": model}, LAYOUT, state)], model.asked


@pytest.fixture
def used(monkeypatch):
    """Whether each stage was run in fewer calls."""
    made, of = [], Straight.of

    def noted(*arguments):
        found = of(*arguments)
        made.append(found is not None)
        return found

    monkeypatch.setattr(Straight, "of", noted)
    return made


@pytest.mark.parametrize(
    "order",
    [
        ConfidenceScore(),
        ConfidenceScore(4.5),
        ConfidenceScore(2.0, grid="ends"),
        MarginScore(),
        EntropyScore(),
        RandomScore(),
        RasterScore(),
    ],
)
@pytest.mark.parametrize(
    "pick",
    [Categorical(), Categorical(0.0), Categorical(2.0, 0.5, top_k=4, grid="after"), Categorical(top_p=0.7, min_p=0.05)],
)
def test_each_step_is_that_of_the_whole_loop(order, pick, used, monkeypatch):
    sampler = Sampler(
        4,
        order=order,
        pick=pick,
        schedule=ProcessSchedule() if pick.top_k else UniformSchedule(),
        guidance=ClassifierFree(1.0),
    )
    fast, asked = taken(sampler, start())
    assert used == [True, True]  # a stage for each level
    monkeypatch.setattr(Straight, "of", lambda *arguments: None)
    slow, asked_slowly = taken(sampler, start())
    assert asked == asked_slowly and len(fast) == len(slow) == 8
    for one, other in zip(fast, slow, strict=True):
        assert torch.equal(one.batch.ids, other.batch.ids) and torch.equal(one.is_open, other.is_open)
        assert torch.equal(one.score, other.score) and torch.equal(one.keys, other.keys)
        assert one.step == other.step and dict(one.counters) == dict(other.counters)
        assert dict(one.carry) == dict(other.carry) == {} and one.cache is other.cache is None
    assert not fast[-1].is_open.any()


@pytest.mark.parametrize(
    "guidance",
    [
        ClassifierFree(2.0),
        ClassifierFree(3.0, 1.0, grid="ends"),  # no pass without conditions in the last step
        ClassifierFree(1.0, weights=(0.5, -0.25)),
        ClassifierFree(1.5, weights=(0.5,), conditions="hidden"),
        ClassifierFree(0.0, 4.0, law="cosine", conditions="hidden"),
        ContextCorrupted(0.5, 3.0),  # hides others in each step
    ],
)
@pytest.mark.parametrize("stages", [(), (Stage(3, (0,), guidance=NoGuidance()), Stage(2, (1,)))])
def test_guided_steps_are_those_of_the_whole_loop(guidance, stages, used, monkeypatch):
    sampler = Sampler(4, stages=stages, guidance=guidance, pick=Categorical(top_k=6))
    fast, asked = taken(sampler, conditioned(), backwards=False)
    assert used == [True, True]
    monkeypatch.setattr(Straight, "of", lambda *arguments: None)
    slow, asked_slowly = taken(sampler, conditioned(), backwards=False)
    assert asked == asked_slowly and len(fast) == len(slow)
    for one, other in zip(fast, slow, strict=True):
        assert torch.equal(one.batch.ids, other.batch.ids) and torch.equal(one.score, other.score)
        assert torch.equal(one.is_open, other.is_open) and dict(one.counters) == dict(other.counters)
        assert torch.equal(one.batch.valid, other.batch.valid) and len(one.batch.ids) == 3
    plain, _ = taken(replace(sampler, guidance=NoGuidance()), conditioned(), backwards=False)
    assert not torch.equal(plain[-1].batch.ids, fast[-1].batch.ids)


def test_a_network_is_asked_as_by_the_whole_loop(monkeypatch):
    """Of rows that are padded, and whose valid positions differ between the passes."""
    models = {"main": MaskedModel.create(TransformerConfig(width=64, depth=1, heads=2), LAYOUT, seed=3).eval()}
    sampler = Sampler(2, guidance=ClassifierFree(3.0, 1.0, grid="ends"))
    fast = sampler.run(models, LAYOUT, conditioned())
    monkeypatch.setattr(Straight, "of", lambda *arguments: None)
    slow = sampler.run(models, LAYOUT, conditioned())
    assert torch.equal(fast.batch.ids, slow.batch.ids) and torch.equal(fast.score, slow.score)


@pytest.mark.parametrize("block", [None, 2])
@pytest.mark.parametrize(
    ("guidance", "process"), [(NoGuidance(), None), (ClassifierFree(3.0, 1.0, grid="ends"), Linear())]
)
def test_a_network_that_reads_time_is_told_that_of_the_whole_loop(guidance, process, block, used, monkeypatch):
    """Of what is open in the rows, of which one is given in part, and in blocks to come."""
    config = TransformerConfig(width=64, depth=1, heads=2, time_input=True)
    models = {"main": MaskedModel.create(config, LAYOUT, seed=3).eval()}
    told, logits = [], MaskedModel.logits

    def noted(self, inputs, queries, t=None, **more):
        told.append(t.clone())
        return logits(self, inputs, queries, t=t, **more)

    monkeypatch.setattr(MaskedModel, "logits", noted)
    stages = (Stage(3, (0,), block=block), Stage(2, (1,), block=block))
    sampler = Sampler(stages=stages, guidance=guidance, process=process)
    fast = sampler.run(models, LAYOUT, conditioned())
    assert used and all(used)
    fast_told = list(told)
    told.clear()
    monkeypatch.setattr(Straight, "of", lambda *arguments: None)
    slow = sampler.run(models, LAYOUT, conditioned())
    assert torch.equal(fast.batch.ids, slow.batch.ids) and torch.equal(fast.score, slow.score)
    assert len(told) == len(fast_told) and all(map(torch.equal, told, fast_told))
    assert len(torch.cat(told).unique()) > 3


@pytest.mark.parametrize(
    "parts",
    [
        {"guidance": type("Own", (ContextCorrupted,), {})()},
        {"constraint": ForbidCodes({"sound": (1,)})},
        {"revoke": RevokeRandom(0.2)},
        {"order": ConfidenceScore(plain=True)},
        {"order": type("Own", (RandomScore,), {})()},
        {"pick": type("Own", (Categorical,), {})()},
    ],
)
def test_a_part_that_may_have_a_say_is_asked(parts, used):
    taken(Sampler(3, **parts), start(), backwards=False)
    assert set(used) == {False}


def test_rows_with_codes_of_two_ranges_take_the_whole_loop(used):
    states, _ = taken(Sampler(stages=(Stage(3, levels=None),), guidance=NoGuidance()), start(words=FILL))
    assert used == [False] and not states[-1].is_open.any()

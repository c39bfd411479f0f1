"""A captured generation gives, for other seeds and other given codes, bit for bit what the loop gives.

On a device that is pretended, with a graph that is (``tests/recorded_graph.py``); `make cuda-emulated` runs the same on
emulated CUDA kernels. No GPU has run it.
"""

from contextlib import nullcontext
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from tests.ops.test_waits import EMULATED, no_waits
from tests.pretend_device import DEVICE, NAME, WAITS
from tests.recorded_graph import RecordedGraph
from tests.sampling.test_straight import LAYOUT, SPEC, Fixed
from tokenmask.batch import FILL, GIVEN, collate
from tokenmask.models import MaskedModel, TransformerConfig
from tokenmask.ops import _extension
from tokenmask.sampling import (
    Categorical,
    ClassifierFree,
    ContextCorrupted,
    ForbidCodes,
    ProcessSchedule,
    RevokeRandom,
    Sampler,
    SamplerState,
    Stage,
    UniformSchedule,
    graphs,
    straight,
)
from tokenmask.sampling.guidance import COMPANION
from tokenmask.scores import EntropyScore, MarginScore, RandomScore, RasterScore
from tokenmask.streams import TokenStream

SAMPLERS = {
    "plain": Sampler(steps=4),
    "cooled": Sampler(steps=3, pick=Categorical(temperature=0.7, top_k=5, top_p=0.9)),
    "best": Sampler(steps=3, pick=Categorical(temperature=0.0), order=MarginScore()),
    "chance": Sampler(steps=5, order=RandomScore(), schedule=UniformSchedule()),
    "raster": Sampler(stages=(Stage(2, (0,), order=RasterScore()), Stage(3, (1,), order=EntropyScore()))),
    "one by one": Sampler(steps=9, schedule=ProcessSchedule()),
    "guided": Sampler(steps=3, guidance=ClassifierFree(3.0, 1.0, grid="ends")),
    "away from more": Sampler(steps=2, guidance=ClassifierFree(2.0, weights=(0.5,), conditions="hidden")),
    "corrupted": Sampler(steps=3, guidance=ContextCorrupted(0.5, 2.0)),
    "told the time": Sampler(steps=3, guidance=ClassifierFree(2.0)),
}


DEVICES = ["cpu"] if EMULATED else ["cpu", NAME]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    """A device that has recorded graphs; of the CPU, whose kernels are CUDA's where they are emulated."""
    monkeypatch.setitem(graphs.GRAPHS, request.param, RecordedGraph)
    monkeypatch.setattr(_extension, "OTHERS", {*_extension.OTHERS, NAME})
    if EMULATED:  # where reveal, which is the CPU's, would leave CUDA's kernels out
        monkeypatch.setattr(straight, "ONE_OP", ())
    with sdpa_kernel(SDPBackend.MATH):
        yield DEVICE if request.param == NAME else torch.device("cpu")


def model(name: str = "plain") -> MaskedModel:
    config = TransformerConfig(width=64, depth=1, heads=2, time_input=name == "told the time")
    return MaskedModel.create(config, LAYOUT, seed=3).eval()


def start(device: torch.device, given: int, seeds: tuple[int, ...], open_from: int = 3) -> SamplerState:
    """Rows of 7, 7 and 4 positions, the first of which are given in part; ``given`` says which codes.

    Of three words the first is seen, from the second guidance pushes away, and the third is a further condition.
    """
    rows = []
    for number, length in enumerate((7, 7, 4)):
        codes = (torch.arange(length * 2) * given + number).view(length, 2).remainder(9).int()
        role = torch.full(codes.shape, FILL, dtype=torch.int8)
        if number == 1:
            role[:open_from] = GIVEN
        words = TokenStream(LAYOUT.streams["word"], torch.tensor([[number], [given % 5], [3]]).int())
        streams = {"sound": TokenStream(SPEC, codes), "word": words}
        rows.append(LAYOUT.pack(streams, roles={"sound": role, "word": GIVEN}))
    batch = collate(rows, torch.tensor([4, given, 2]))
    word = batch.stream == list(LAYOUT.names).index("word")
    companion = torch.where(word, word.cumsum(1) - 1, 0).to(torch.int8)
    batch = replace(batch, valid=batch.valid & (companion == 0), features={COMPANION: companion})
    return SamplerState.start(batch.to(device), LAYOUT, torch.tensor(seeds).to(device))


def values(state: SamplerState) -> list[Tensor]:
    return [value.cpu() for value in (state.batch.ids, state.score, state.is_open, state.seeds, state.batch.sample_ids)]


# The pretended device is slow: two of them are enough there.
@pytest.mark.parametrize(
    ("name", "device"),
    [(name, kind) for kind in DEVICES for name in SAMPLERS if kind == "cpu" or name in ("plain", "guided")],
    indirect=["device"],
)
def test_a_replay_is_the_loop_bit_for_bit(name, device):
    sampler = SAMPLERS[name]
    models = {"main": model(name).to(device)}
    captured = sampler.captured(models, LAYOUT, start(device, 1, (7, 8, 7)))
    assert not captured.graph.replays
    known = []
    for given, seeds in ((1, (7, 8, 7)), (2, (1, 1, 1)), (1, (7, 8, 7))):
        state = start(device, given, seeds)
        found, expected = captured.run(state), sampler.run(models, LAYOUT, state)
        for mine, theirs in zip(values(found), values(expected), strict=True):
            assert torch.equal(mine, theirs)
        assert (found.step, found.counters) == (expected.step, expected.counters)
        known.append(found)
    assert captured.graph.replays == 3
    ids = [values(one)[0] for one in known]  # what an earlier replay gave stays
    assert torch.equal(ids[0], ids[2]) and not torch.equal(ids[0], ids[1])


def test_the_host_looks_once_before_a_replay_and_not_again(device, monkeypatch):
    monkeypatch.delenv("TOKENMASK_CHECK", raising=False)
    sampler, models = Sampler(steps=6), {"main": model().to(device)}
    captured = sampler.captured(models, LAYOUT, start(device, 1, (7, 8, 7)))
    replay = torch.inference_mode()(captured.graph.replay)
    if EMULATED:  # which counts what the ops themselves wait for
        with no_waits():
            replay()
    if device.type == NAME:
        state = start(device, 2, (1, 2, 3))
        WAITS.clear()
        replay()
        assert not WAITS
        captured.run(state)
        assert dict(WAITS) == {"_local_scalar_dense.default": 1}


@pytest.mark.parametrize("name", ["plain", "raster", "guided", "away from more", "corrupted", "told the time"])
def test_a_step_waits_for_nothing_but_the_first_of_a_stage(name, device, monkeypatch):
    monkeypatch.delenv("TOKENMASK_CHECK", raising=False)
    sampler, waits = SAMPLERS[name], []
    lengths = [stage.steps for stage in sampler.stages] or [sampler.steps] * 2
    steps = sampler.iterate({"main": model(name).to(device)}, LAYOUT, start(device, 1, (7, 8, 7)))
    for number in range(sum(lengths)):
        WAITS.clear()
        with no_waits() if EMULATED and number not in (0, lengths[0]) else nullcontext():
            next(steps)
        waits.append(WAITS.total())
    if device.type == NAME:
        assert [number for number, count in enumerate(waits) if count] == [0, lengths[0]]


def test_states_that_a_graph_does_not_hold_are_refused(device):
    sampler, models = Sampler(steps=3), {"main": model().to(device)}
    state = start(device, 1, (7, 8, 7))
    captured = sampler.captured(models, LAYOUT, state)
    with pytest.raises(ValueError, match=r"takes states whose .*batch\.role.* and step are those of the captured one"):
        captured.run(start(device, 1, (7, 8, 7), open_from=2))
    with pytest.raises(ValueError, match=r"takes batch\.ids \[3, \d+, 2\] torch.int32 on .*, got \[2, \d+, 2\]"):
        captured.run(state.rows(torch.tensor([0, 1], device=device)))
    with pytest.raises(ValueError, match="takes states that carry companion, got noise, companion"):
        captured.run(replace(state, carry={"noise": state.score}))
    with pytest.raises(ValueError, match="and step are those of the captured one"):
        captured.run(replace(state, step=3))


def test_samplers_that_decide_on_the_way_are_refused(device):
    models, state = {"main": model().to(device)}, start(device, 1, (7, 8, 7))
    for sampler in (Sampler(constraint=ForbidCodes({"sound": (1,)})), Sampler(revoke=RevokeRandom(0.1))):
        with pytest.raises(ValueError, match="a captured generation has plain stages alone"):
            sampler.captured(models, LAYOUT, state)
    with pytest.raises(ValueError, match="stages must cover every level"):
        Sampler(stages=(Stage(2, (0,)),)).captured(models, LAYOUT, state)


def test_a_model_that_reads_codes_on_the_host_is_refused(device):
    class Reads:
        """Its answers follow from a code that the host reads: a graph would keep that of the capture."""

        def __init__(self) -> None:
            self.inner = model().to(device)

        def logits(self, inputs, queries, **more):
            given = float(inputs.ids.sum())
            groups = self.inner.logits(inputs, queries, **more)
            return tuple(group._replace(logits=group.logits + given) for group in groups)

    with pytest.raises(ValueError, match=r"got aten\._local_scalar_dense\.default with another answer for other codes"):
        Sampler(steps=2).captured({"main": Reads()}, LAYOUT, start(device, 1, (7, 8, 7)))


def test_a_device_without_graphs_says_so():
    state = start(torch.device("cpu"), 1, (7, 8, 7))
    with pytest.raises(ValueError, match=r"on a device with graphs \(cuda\), got one on cpu; call run in place of"):
        Sampler(steps=2).captured({"main": Fixed()}, LAYOUT, state)


@pytest.mark.needs_cuda
def test_a_cuda_graph_is_the_loop_bit_for_bit():
    device = torch.device("cuda")
    sampler, models = Sampler(steps=4), {"main": model().to(device)}
    captured = sampler.captured(models, LAYOUT, start(device, 1, (7, 8, 7)))
    for given, seeds in ((2, (1, 1, 1)), (5, (9, 10, 11))):
        state = start(device, given, seeds)
        torch.cuda.synchronize()
        found, expected = captured.run(state), sampler.run(models, LAYOUT, state)
        for mine, theirs in zip(values(found), values(expected), strict=True):
            assert torch.equal(mine, theirs)

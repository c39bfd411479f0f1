"""Training on a device that refuses tensors of the CPU: the same losses and weights, bit for bit where both sides
compute by the same formulas, else up to the order of sums; copies that nobody waits for."""

from collections import Counter
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.pretend_device import AHEAD, WAITS
from tests.training import worlds
from tokenmask import devices
from tokenmask.fitting import fit
from tokenmask.nn import RMSNorm, attention
from tokenmask.ops import between
from tokenmask.processes import Processes


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world") / "corpus"
    worlds.write_corpus(folder)
    return folder


def trainer(corpus, device, **options):
    return worlds.make_trainer(corpus, steps=4, processes=Processes(device=torch.device(device)), **options)


def weights(of) -> dict[str, Tensor]:
    return {name: value.cpu() for name, value in of.state()[0].items()}


def near(mine: dict[str, Tensor], theirs: dict[str, Tensor], within: float) -> bool:
    return mine.keys() == theirs.keys() and all(
        torch.allclose(value, theirs[name], rtol=0, atol=within) for name, value in mine.items()
    )


@pytest.fixture(params=[0.0, 1e-5], ids=["the same formulas", "as it comes"])
def within(request, monkeypatch) -> float:
    """How far apart the two may be: norm, turned heads and gate have kernels on the CPU, which sum in another order."""
    if request.param == 0:
        for module in (between, attention):
            monkeypatch.setattr(module, "is_compiled", lambda _: False)
        monkeypatch.setattr(RMSNorm, "forward", lambda own, x: F.rms_norm(x, x.shape[-1:], own.weight, own.eps))
    return request.param


@pytest.mark.parametrize("options", [{}, {"muon": True, "ema": 0.9, "recompute": True}, {"only": ("picture",)}])
def test_a_training_is_that_of_the_cpu(corpus, pretend, within, options):
    mine, theirs = (trainer(corpus, device, **options) for device in ("cpu", pretend))
    assert {value.device for value in theirs.model.parameters()} == {pretend}
    for here, there in zip(mine.fit(progress=False), theirs.fit(progress=False), strict=True):
        assert here == (pytest.approx(there, rel=within) if within else there)
    assert near(weights(mine), weights(theirs), within)
    kept = [value for own in theirs.optimizers.values() for state in own.state.values() for value in state.values()]
    assert {value.device for value in kept if value.dim()} == {pretend}


def test_what_was_begun_there_goes_on_on_the_cpu_and_back(corpus, pretend, within, tmp_path):
    whole = trainer(corpus, "cpu")
    whole.fit(progress=False)
    for device, steps in (("cpu", 1), (pretend, 3), ("cpu", 4)):
        part = trainer(corpus, device)
        fit(part, steps=steps, folder=tmp_path, checkpoint_every=1, progress=False)
    assert near(weights(whole), weights(part), within)


def test_a_batch_goes_through_pinned_memory_and_nobody_waits(corpus, pretend, monkeypatch):
    pinned = Counter()
    monkeypatch.setattr(devices, "PINNED", {"pretend"})
    monkeypatch.setattr(Tensor, "pin_memory", lambda self: pinned.update(["batch"]) or self)
    here, there = trainer(corpus, "cpu"), trainer(corpus, pretend)
    AHEAD.clear()
    assert here.step(0) == pytest.approx(there.step(0), rel=1e-5)
    assert pinned["batch"] == AHEAD["ahead"] > 12  # every tensor of the batch, masked and clean
    WAITS.clear()
    there.step(1)
    assert WAITS.total() == 18  # of which docs/devices.md speaks

"""Names of devices: what is refused, in one sentence, and what is chosen where nobody says."""

import pytest
import torch

import tokenmask as tm
from tests.pretend_device import DEVICE
from tokenmask import devices
from tokenmask.devices import device_named, usual_device
from tokenmask.ops import _extension, build_info


@pytest.mark.skipif(torch.cuda.is_available(), reason="here is a GPU")
@pytest.mark.parametrize(
    ("name", "kind", "sentence"),
    [
        ("cuda", ValueError, "device cuda needs a GPU that torch .* sees, but it sees none; take cpu"),
        ("xpu", ValueError, "device xpu has no kernels in tokenmask; take cpu or cuda"),
        ("pretend", ValueError, "device pretend has no kernels in tokenmask; take cpu or cuda"),
        ("meta", ValueError, "device must hold values, got meta; take cpu or cuda"),
        ("gpu", ValueError, "device must be cpu or cuda, or cuda:1 and so on, got 'gpu'; name one of these"),
        (0, TypeError, "device must be a name such as 'cpu' or 'cuda:0', got 0; write one, or None"),
    ],
)
def test_other_names_get_one_sentence(name, kind, sentence):
    with pytest.raises(kind, match=sentence) as refused:
        tm.load(device=name)
    assert "\n" not in str(refused.value)


def test_another_dtype_gets_one_sentence(run):
    with pytest.raises(TypeError, match=r"dtype must be torch.float32 or torch.bfloat16, got torch.float16; take one"):
        run.to(dtype=torch.float16)


def with_gpus(monkeypatch, count: int, *, kernels: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: count > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: count)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: count - 1)
    monkeypatch.setattr(_extension, "OTHERS", {"meta", *(["cuda"] if kernels else [])})


@pytest.mark.skipif(bool(build_info().get("cuda")), reason="this build has CUDA kernels")
def test_a_gpu_is_taken_where_this_build_has_kernels(monkeypatch):
    with_gpus(monkeypatch, 0, kernels=True)
    assert usual_device() == torch.device("cpu") == device_named(None)
    with_gpus(monkeypatch, 2, kernels=True)
    assert usual_device() == torch.device("cuda", 1) == device_named(None)
    with pytest.raises(ValueError, match="device must be one of cuda:0 to cuda:1, got cuda:2; name one of these"):
        device_named("cuda:2")
    with_gpus(monkeypatch, 2, kernels=False)
    assert usual_device() == torch.device("cpu")
    with pytest.raises(
        ValueError, match=r"device cuda needs CUDA kernels, but this build .* CPU kernels only .*; take"
    ):
        device_named("cuda")


def test_a_run_stays_what_it_is(run, pretend):
    assert run.to() is run is run.to("cpu") is run.to(dtype=torch.float32)
    there = run.to("pretend")
    assert there.to(DEVICE) is there and there.to("cpu").device == torch.device("cpu")
    back, weight = there.to("cpu"), "backbone.embedding.table"
    assert torch.equal(back.models["main"].state_dict()[weight], run.models["main"].state_dict()[weight])
    text, image = there.tokenizers["text"], there.tokenizers["image"]
    assert text is run.tokenizers["text"] and image is not run.tokenizers["image"]  # only networks are copied


def test_only_cuda_is_copied_to_ahead():
    assert sorted(devices.PINNED) == ["cuda"]

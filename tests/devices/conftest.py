"""A device that is not there (``tests/pretend_device.py``), and the arithmetic of other devices on both sides."""

import importlib
from collections.abc import Iterator

import pytest
import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

import tokenmask as tm
from tests.pretend_device import AHEAD, DEVICE, NAME, WAITS
from tokenmask.nn import RMSNorm
from tokenmask.ops import _extension


@pytest.fixture(scope="session")
def run() -> tm.Run:
    return tm.load(device="cpu")


@pytest.fixture
def pretend(monkeypatch: pytest.MonkeyPatch) -> Iterator[torch.device]:
    """The device. Some layers sum in ways of their own on the CPU; here they do as elsewhere, so bits are equal."""
    monkeypatch.setattr(_extension, "OTHERS", {*_extension.OTHERS, NAME})
    monkeypatch.setattr(importlib.import_module("tokenmask.nn.linear"), "SUMMED", 1 << 30)
    norm = lambda self, x: F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)  # noqa: E731
    monkeypatch.setattr(RMSNorm, "forward", norm)
    WAITS.clear()
    AHEAD.clear()
    with sdpa_kernel(SDPBackend.MATH):
        yield DEVICE

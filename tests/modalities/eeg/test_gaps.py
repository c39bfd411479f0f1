"""Stretches of equal values in all channels at once are told, with where and how long; the samples stay."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
import torch

from tokenmask.modalities.eeg import EegRecording
from tokenmask.modalities.eeg.gaps import gaps_in

RATE = 128.0


def waves(channels: int = 3, seconds: int = 12) -> torch.Tensor:
    return torch.randn(channels, int(seconds * RATE), generator=torch.Generator().manual_seed(0)) * 20


def said(path: Path) -> list[str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        EegRecording.load(path)
    return [str(one.message) for one in caught]


@pytest.mark.parametrize("suffix", [".edf", ".npz", ".safetensors"])
@pytest.mark.parametrize("offset", [0.0, 5000.0])  # which reading an EDF file takes away, and with it all zeros
def test_a_filled_gap_is_told(tmp_path: Path, suffix: str, offset: float) -> None:
    samples = waves() + offset
    samples[:, 256:320] = 0  # 0.5 s
    samples[:, 640:960] = 0
    path = tmp_path / f"a{suffix}"
    EegRecording(samples, RATE, ("Cz", "Pz", "Oz")).save(path)
    told = (
        "no channel moves for 0.5 s from 2 s on; 1 more, 3 s in all, as where a gap was filled; they are read as they "
        "are (EegRecording.between takes what is before or behind)"
    )
    found = said(path)
    assert len(found) == 1 and told in found[0] and found[0].startswith(f"{path}: ")
    if suffix != ".edf":
        with pytest.warns(UserWarning):
            assert torch.equal(EegRecording.load(path).samples, samples)


def test_what_is_no_gap() -> None:
    samples = waves()
    samples[:, 256:319] = 0  # 63 samples
    samples[:2, 640:960] = 0  # not in all
    assert gaps_in(samples, RATE) == ""
    assert gaps_in(torch.zeros(3, 1536), RATE) == ""  # told as channels without a wave
    samples[2] = 7.0  # a channel without a wave says nothing of the others
    assert gaps_in(samples, RATE).startswith("no channel moves for 2.5 s from 5 s on, as where")
    slow = torch.tensor([[1.0, 2, 2, 2, 2, 2, 3, 4]])
    assert gaps_in(slow, 4.0) == ""

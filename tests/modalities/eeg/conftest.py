"""Recordings that ship, and a tokenizer that is trained on them once for all of this folder."""

from __future__ import annotations

import pytest
import torch

from tests.modalities.eeg.windows import FINE, windows
from tokenmask.data import EEG_RATE_HZ
from tokenmask.modalities.eeg import EegTokenizer
from tokenmask.modalities.eeg.media import EegRecording


@pytest.fixture(scope="session")
def train() -> list[EegRecording]:
    return windows(held_out=False)


@pytest.fixture(scope="session")
def held_out() -> list[EegRecording]:
    return windows(held_out=True)


@pytest.fixture(scope="session")
def long() -> EegRecording:
    """Nine seconds of three electrodes, joined windows."""
    parts = [one.select(["F3", "O1", "O2"]).samples for one in windows(held_out=True)[:9]]
    return EegRecording(torch.cat(parts, 1), EEG_RATE_HZ, ("F3", "O1", "O2"))


@pytest.fixture(scope="session")
def tokenizer(train: list[EegRecording]) -> EegTokenizer:
    """Trained for a few seconds only."""
    return EegTokenizer.fit(train, config=FINE, steps=80, batch_size=16, peak_lr=4e-3, seed=1, progress=False)

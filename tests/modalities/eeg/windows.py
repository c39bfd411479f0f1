"""Windows of the recordings that ship, and configurations that are soon trained."""

from __future__ import annotations

from dataclasses import replace

import torch

from tokenmask.data import EEG_CHANNELS, EEG_RATE_HZ, eyes_open_shut
from tokenmask.modalities.eeg import EegTokenizerConfig
from tokenmask.modalities.eeg.media import EegRecording

FINE = EegTokenizerConfig(stride=8, levels=2, codes=128, width=64, blocks=1, scale_steps=64)
TINY = replace(FINE, codes=16, width=16, latent=4)


def windows(held_out: bool) -> list[EegRecording]:
    samples, _, split = eyes_open_shut()
    return [EegRecording(torch.from_numpy(one), EEG_RATE_HZ, EEG_CHANNELS) for one in samples[split == held_out]]


def piece(recording: EegRecording, begin: int, end: int) -> EegRecording:
    return EegRecording(recording.samples[:, begin:end].contiguous(), recording.sample_rate_hz, recording.channels)

"""Figures of EEG tokenizers: known copies, phases, offsets, and what a few seconds of training reach."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from tests.modalities.eeg.windows import TINY
from tokenmask.modalities.eeg import BANDS, EegTokenizer
from tokenmask.modalities.eeg.figures import fidelity
from tokenmask.modalities.eeg.fit import spectral_errors
from tokenmask.modalities.eeg.media import EegRecording


def test_phase_error_is_blind_to_amplitude_and_sees_shifts() -> None:
    wave = torch.randn(3, 128, generator=torch.Generator().manual_seed(0))
    amplitude, phase = spectral_errors(3 * wave, wave, TINY)
    assert amplitude > 0.1
    assert abs(phase) < 1e-3
    amplitude, phase = spectral_errors(-wave, wave, TINY)
    assert amplitude < 1e-6
    assert abs(phase - 2) < 1e-3
    shifted = spectral_errors(wave.roll(1, 1), wave, TINY)[1]
    assert 0.1 < shifted < 1.9
    time = torch.arange(128) / 128.0
    tone = torch.sin(2 * torch.pi * 60 * time)[None].expand(3, -1)
    errors = [spectral_errors(wave + 0.2 * tone, wave, replace(TINY, spectral_high_hz=high))[0] for high in (45, 64)]
    assert errors[1] > 2 * errors[0]


def test_figures_of_known_copies() -> None:
    time = torch.arange(256) / 128.0
    alpha, gamma = (torch.sin(2 * torch.pi * hz * time)[None] for hz in (10, 35))
    figures = fidelity([alpha + gamma], [0.1 * alpha - gamma], 128.0)
    assert figures["alpha_correlation"] == pytest.approx(1, abs=1e-4)
    assert figures["alpha_power_error_db"] == pytest.approx(20, abs=1e-2)
    assert figures["gamma_correlation"] == pytest.approx(-1, abs=1e-4)
    assert figures["gamma_power_error_db"] == pytest.approx(0, abs=1e-2)
    assert figures["error_of_variance"] == pytest.approx((0.9**2 + 2**2) / 2, abs=1e-3)


def test_figures_do_not_count_an_offset() -> None:
    time = torch.arange(256) / 128.0
    alpha, gamma = (torch.sin(2 * torch.pi * hz * time)[None] for hz in (10, 35))
    figures = fidelity([alpha + 1000], [gamma + 1000], 128.0)
    assert abs(figures["correlation"]) < 1e-4
    assert figures["error_of_variance"] == pytest.approx(2, abs=1e-4)


def test_figures(tokenizer: EegTokenizer, held_out: list[EegRecording], train: list[EegRecording]) -> None:
    figures = tokenizer.evaluate(held_out, train)
    assert figures["bits_per_second_per_channel"] == 16 * (6 + 7 + 7)
    assert figures["scale_bits_per_second_per_channel"] == 16 * 6
    assert figures["correlation"] > 0.94
    assert figures["beta_correlation"] > 0.85
    assert figures["alpha_power_error_db"] < 1.2
    assert figures["pca_correlation"] > 0.96
    assert {f"pca_{band}_{kind}" for band in BANDS for kind in ("correlation", "power_error_db")} <= figures.keys()
    for level in (1, 2):
        assert figures[f"codes_used_share_{level}"] > 0.9
        assert figures[f"perplexity_{level}"] > 60
    assert not [name for name in tokenizer.evaluate(held_out[:2]) if name.startswith("pca_")]


def test_differences_of_alpha_power_survive(tokenizer: EegTokenizer, held_out: list[EegRecording]) -> None:
    made = [tokenizer.decode(stream) for stream in tokenizer.encode_many(held_out)]
    decibels = [
        torch.stack([10 * one.select(["O1", "O2"]).band_power(8, 13).mean().log10() for one in recordings])
        for recordings in (held_out, made)
    ]
    assert torch.corrcoef(torch.stack(decibels))[0, 1] > 0.95


@pytest.mark.slow
def test_a_minute_of_training_keeps_the_fast_bands(held_out: list[EegRecording], train: list[EegRecording]) -> None:
    figures = EegTokenizer.fit(train, steps=600, progress=False).evaluate(held_out, train)
    assert figures["beta_correlation"] >= 0.95
    assert figures["gamma_correlation"] >= 0.90
    assert figures["gamma_power_error_db"] <= 1.0
    assert figures["gamma_correlation"] > figures["pca_gamma_correlation"]
    assert figures["error_of_variance"] < figures["pca_error_of_variance"]

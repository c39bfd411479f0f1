"""How the EEG tokenizer learns: windows of single electrodes, and the errors of wave, amplitude and phase.

Arrow: EegRecordings --eeg_fitting--> a training run of an EegNetwork. Does not know: windows of encoding, streams.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict

import torch
from torch import Tensor, nn

from tokenmask.modalities.eeg.media import EegRecording
from tokenmask.modalities.eeg.network import EegNetwork, EegTokenizerConfig
from tokenmask.modalities.eeg.scale import normalised
from tokenmask.modalities.learned import CodecFitting, FitSettings, Quantise
from tokenmask.tokenizer import fingerprint


def eeg_fitting(
    items: Sequence[EegRecording], config: EegTokenizerConfig, settings: FitSettings, window_seconds: float
) -> CodecFitting:
    """The training run of :meth:`EegTokenizer.fit` on recordings of the configuration's rate."""
    batch_size = settings.batch_size
    recordings = [item.samples for item in items]  # read once: items may come from files
    shortest = min(samples.shape[1] for samples in recordings)
    size = max(min(round(window_seconds * config.sample_rate_hz), shortest), config.spectral_samples)
    rows = [row for samples in recordings for row in samples]
    ends = torch.tensor([len(row) for row in rows]).cumsum(0)  # a long recording is drawn more often

    def draw_batch(draw: torch.Generator) -> Tensor:
        places = torch.randint(int(ends[-1]), (batch_size,), generator=draw)
        chosen = torch.searchsorted(ends, places, right=True).tolist()
        shares = torch.rand(batch_size, generator=draw).tolist()
        starts = [int(share * (len(rows[row]) - size + 1)) for row, share in zip(chosen, shares, strict=True)]
        batch = torch.stack([rows[row][start : start + size] for row, start in zip(chosen, starts, strict=True)])
        sign = 1 - 2 * torch.randint(2, (batch_size, 1), generator=draw)
        return batch * sign * 2 ** (2 * torch.rand(batch_size, 1, generator=draw) - 1)

    def loss(network: EegNetwork, batch: Tensor, quantise: Quantise) -> tuple[Tensor, dict[str, float]]:
        wave = normalised(batch, config)[0]
        inside = torch.ones(len(wave), 1, wave.shape[1] // config.stride)
        made = network.wave(quantise(network.latents(wave[:, None], inside)), inside)[:, 0]
        squared = nn.functional.mse_loss(made, wave)
        amplitude, phase = spectral_errors(made, wave, config)
        error = squared + config.spectral_weight * (amplitude + phase)
        return error, {"squared_error": squared.item(), "phase_error": phase.item()}

    about = {
        "config": asdict(config),
        "window_samples": size,
        "recordings": fingerprint({}, {f"{index}": samples for index, samples in enumerate(recordings)}),
    }
    return CodecFitting(lambda: EegNetwork(config), draw_batch, loss, settings, about)


def spectral_errors(made: Tensor, wave: Tensor, config: EegTokenizerConfig) -> tuple[Tensor, Tensor]:
    """Squared error of log(1 + amplitude), and 1 - cosine of the angle between phases, over overlapping windows."""
    size = config.spectral_samples
    highest = min(int(config.spectral_high_hz * size / config.sample_rate_hz), size // 2)
    mine, other = (
        torch.fft.rfft(part.unfold(1, size, size // 2), dim=2)[..., 1 : highest + 1] for part in (made, wave)
    )
    amplitudes = [part.abs() for part in (mine, other)]
    amplitude = (amplitudes[0].log1p() - amplitudes[1].log1p()).square().mean()
    aligned = (mine * other.conj()).real / (amplitudes[0] * amplitudes[1]).clamp_min(1e-6)
    return amplitude, 1 - aligned.mean()

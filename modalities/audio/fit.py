"""How the audio tokenizer learns: what is cut out of clips, what is minimised, and how its bands are scaled.

Arrow: AudioClips --audio_fitting--> a training run of an AudioNetwork. Does not know: windows of encoding, streams.
"""

from __future__ import annotations

import itertools
import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import asdict

import torch
from torch import Tensor, nn

from tokenmask.modalities.audio.media import AudioClip, resampled
from tokenmask.modalities.audio.mel import FLOOR, log_mel, margin, spectrum, waveform
from tokenmask.modalities.audio.network import AudioNetwork, AudioTokenizerConfig
from tokenmask.modalities.learned import CodecFitting, FitSettings, Quantise
from tokenmask.modalities.windows import cut
from tokenmask.tokenizer import fingerprint

_CROP_SECONDS = 0.64
_SPEEDS = (0.8, 1.25)
_HEAD_SHARE = 0.5
_SILENCE_SECONDS = 0.2  # between the clips of a training set
_FFT_SIZES = (2048, 1024, 512, 256)  # of the head's loss, one in each step


def audio_fitting(items: Sequence[AudioClip], config: AudioTokenizerConfig, settings: FitSettings) -> CodecFitting:
    """The training run of :meth:`AudioTokenizer.fit` on clips of any rate and number of channels."""
    sound = joined_sound(items, config)
    crop, edge = crop_samples(config), margin(config.n_fft, config.hop)
    rate = config.sample_rate_hz

    def draw_batch(draw: torch.Generator) -> tuple[Tensor, int]:
        crops = drawn_crops(sound, config, settings.batch_size, draw)[0]
        return crops, drawn_size(draw)

    def loss(network: AudioNetwork, batch: tuple[Tensor, int], quantise: Quantise) -> tuple[Tensor, dict[str, float]]:
        crops, size = batch
        features = network.features(crops)
        latents = quantise(network.encoder(features))
        made = network.decoder(latents)
        error = nn.functional.l1_loss(made, features) + 0.3 * nn.functional.mse_loss(made, features)
        metrics = {"mel_error": error.item()}
        if network.head is not None:
            # The head learns from codes as they are: its error would spoil them for the mel decoder.
            spectra = network.spectra(latents.detach(), made.detach())
            heard = waveform(spectra, config.hop)[:, edge : edge + crop]
            difference = head_error(heard, crops[:, edge : edge + crop], size, rate)
            metrics["head_error"] = difference.item()
            error = error + _HEAD_SHARE * difference
        return error, metrics

    about = {"config": asdict(config), "samples": fingerprint({}, {"samples": sound})}
    task = CodecFitting(lambda: AudioNetwork(config), draw_batch, loss, settings, about)
    start(task.network, sound, config)
    return task


def _joined(parts: Iterable[Tensor]) -> Tensor:
    """The float32 parts one after the other, [time]; they come one by one and are not held beside the whole."""
    whole = array("f")
    for part in parts:
        whole.frombytes(part.contiguous().numpy().tobytes())
    return torch.frombuffer(whole, dtype=torch.float32)


def crop_samples(config: AudioTokenizerConfig) -> int:
    """Samples of a training crop, whole frames."""
    return max(1, round(_CROP_SECONDS * config.rate_hz)) * config.hop


def joined_sound(items: Sequence[AudioClip], config: AudioTokenizerConfig) -> Tensor:
    """All clips one after the other, with silence in between and enough before the first for a crop; float32 [time]."""
    rate, edge = config.sample_rate_hz, margin(config.n_fft, config.hop)
    pause = torch.zeros(max(round(_SILENCE_SECONDS * rate), edge))
    begin = torch.zeros(math.ceil((crop_samples(config) + 2 * edge) / _SPEEDS[0]))
    parts = (part for item in items for part in (item.mono().resample(rate).samples[0], pause))
    return _joined(itertools.chain([begin], parts))


def drawn_crops(
    sound: Tensor, config: AudioTokenizerConfig, count: int, draw: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Crops at drawn places, speeds and gains, with what the frames at their ends cover besides.

    Returns:
        (crops float32 [count, crop + 2 * margin]; where they begin in ``sound``, int64 [count]; how fast they are
        played, float64 [count]).
    """
    rate, length = config.sample_rate_hz, crop_samples(config) + 2 * margin(config.n_fft, config.hop)
    slow, fast = _SPEEDS
    speeds = slow * (fast / slow) ** torch.rand(count, generator=draw, dtype=torch.float64)
    gains = 10 ** ((torch.rand(count, generator=draw) * 9 - 6) / 20)
    crops, starts = [], []
    for speed, place in zip(speeds.tolist(), torch.rand(count, generator=draw).tolist(), strict=True):
        played = math.ceil(length * speed)
        first = int(place * max(1, len(sound) - played))
        starts.append(first)
        crops.append(cut(resampled(sound[first : first + played], rate * speed, rate), 0, length))
    return torch.stack(crops) * gains[:, None], torch.tensor(starts), speeds


def drawn_size(draw: torch.Generator) -> int:
    """The window of the head's loss in a step."""
    return _FFT_SIZES[int(torch.randint(len(_FFT_SIZES), (), generator=draw))]


def head_error(made: Tensor, wanted: Tensor, n_fft: int, rate: int) -> Tensor:
    """L1 of log-mel plus spectral convergence, of waveforms float32 [B, time]."""
    bands = min(80, n_fft // 12)
    pair = [spectrum(samples, n_fft, n_fft // 4) for samples in (made, wanted)]
    first, second = (log_mel(spectra, bands, rate) for spectra in pair)
    gap = (pair[0].abs() - pair[1].abs()).norm() / pair[1].abs().norm().clamp_min(FLOOR)
    error: Tensor = nn.functional.l1_loss(first, second) + gap
    return error


@torch.no_grad()
def start(network: AudioNetwork, sound: Tensor, config: AudioTokenizerConfig) -> None:
    """Takes mean and deviation of each band over a training set, as they will be stored, and the principal axes."""
    count, total, products = 0, torch.zeros(config.bands).double(), torch.zeros(config.bands, config.bands).double()
    step = 4096 * config.hop
    for first in range(0, max(1, len(sound) - config.n_fft + 1), step):
        part = cut(sound, first, min(step - config.hop + config.n_fft, max(len(sound) - first, config.n_fft)))
        mels = log_mel(spectrum(part, config.n_fft, config.hop), config.bands, config.sample_rate_hz).double()
        count, total, products = count + len(mels), total + mels.sum(0), products + mels.T @ mels
    mean = total / count
    covariance = products / count - mean.outer(mean)
    network.scale.mean.copy_(mean.half())
    network.scale.deviation.copy_(covariance.diagonal().clamp_min(0.01).sqrt().half())
    deviation = network.scale.deviation.double()
    axes = torch.linalg.eigh(covariance / deviation.outer(deviation))[1].T.flip(0)[: config.latent]
    assert network.encoder.line is not None and network.decoder.line is not None
    network.encoder.line.weight.copy_(axes)
    network.decoder.line.weight.copy_(axes.T)

"""Short-time spectra, mel bands, and waveforms back from them.

Does not know: clips, tokenizers, streams. Works on plain tensors. A frame is centred on its hop: frame t of a signal
that begins ``margin(n_fft, hop)`` samples early covers the samples round t * hop .. (t + 1) * hop.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

FLOOR = 1e-2  # magnitudes below it count as silence
_MOST = 1.5  # by which a round scales, as the logarithm
_ROWS = 64  # products of few rows are summed in another order by BLAS; rows are padded to a multiple


def margin(n_fft: int, hop: int) -> int:
    """Samples before the first hop, and after the last, that its frame covers."""
    return (n_fft - hop) // 2


def spectrum(samples: Tensor, n_fft: int, hop: int) -> Tensor:
    """Spectra of Hann windows, without padding.

    Args:
        samples: float32 [..., time].
        n_fft: samples in a frame.
        hop: samples from one frame to the next.

    Returns:
        complex64 [..., frames, n_fft // 2 + 1] with frames = (time - n_fft) // hop + 1.
    """
    frames: Tensor = samples.unfold(-1, n_fft, hop)
    spectra: Tensor = torch.fft.rfft(frames * _hann(n_fft, samples.device))
    return spectra


def log_mel(spectra: Tensor, bands: int, sample_rate_hz: int) -> Tensor:
    """ln max(mel, 1e-2) of the magnitudes, complex or float32 [..., n_fft // 2 + 1] -> float32 [..., bands]."""
    magnitudes = spectra.abs()
    filters = _filters(bands, 2 * (magnitudes.shape[-1] - 1), sample_rate_hz, spectra.device)[0]
    return _product(magnitudes, filters).clamp_min(FLOOR).log()


def band_edges_hz(bands: int, sample_rate_hz: int) -> Tensor:
    """Edges of bands evenly spaced in mel from 0 to half the rate; band n goes from edge n to n + 2.

    Returns:
        float64 [bands + 2].

    Mel is 2595 log10(1 + f / 700): O'Shaughnessy, Speech Communication, 1987.
    """
    top = 2595 * math.log10(1 + sample_rate_hz / 2 / 700)
    edges: Tensor = 700 * (10 ** (torch.linspace(0, top, bands + 2, dtype=torch.float64) / 2595) - 1)
    return edges


def magnitudes_of(log_mels: Tensor, n_fft: int, sample_rate_hz: int) -> Tensor:
    """The magnitudes of least squares that have these mel bands, float32 [..., bands] -> [..., n_fft // 2 + 1].

    What the pseudo-inverse of the filters makes negative becomes zero.
    """
    inverse = _filters(log_mels.shape[-1], n_fft, sample_rate_hz, log_mels.device)[1]
    return _product(log_mels.exp(), inverse).clamp_min(0)


def waveform(spectra: Tensor, hop: int) -> Tensor:
    """The signal whose spectra are nearest, by weighted overlap-add.

    Args:
        spectra: complex64 [..., frames, n_fft // 2 + 1].
        hop: samples from one frame to the next; divides n_fft.

    Returns:
        float32 [..., (frames - 1) * hop + n_fft]. The outer :func:`margin` samples are covered by few frames only.

    Source: Griffin and Lim 1984, equation 6.
    """
    n_fft = 2 * (spectra.shape[-1] - 1)
    window = _hann(n_fft, spectra.device)
    frames = torch.fft.irfft(spectra, n_fft) * window
    weights = _overlap_add((window * window).expand(frames.shape[-2], n_fft), hop)
    return _overlap_add(frames, hop) / weights.clamp_min(1e-3)


def settled(spectra: Tensor, log_mels: Tensor, hop: int, rate_hz: int, rounds: int, lift: float) -> Tensor:
    """Spectra whose waveform comes nearer to given mel bands, with phases as they are.

    Overlapping frames whose phases do not quite fit cancel each other in part, so a waveform has other bands than its
    spectra say. Each round measures them and scales its spectra by what is missing or too much.

    Args:
        spectra: complex64 [..., frames, n_fft // 2 + 1].
        log_mels: wanted bands, float32 [..., frames, bands], as of :func:`log_mel`.
        hop: samples from one frame to the next; divides n_fft.
        rate_hz: of the samples.
        rounds: how often.
        lift: the share of what is missing that is added, 0..1; what is too much is taken away whole. A lift of all of
            it brings noise to where a recording has none.
    """
    n_fft = 2 * (spectra.shape[-1] - 1)
    filters = _filters(log_mels.shape[-1], n_fft, rate_hz, spectra.device)[0]
    spread = (filters / filters.sum(1, keepdim=True).clamp_min(1e-6)).T
    for _ in range(rounds):
        heard = spectrum(waveform(spectra, hop), n_fft, hop)
        gaps = (log_mels - log_mel(heard, log_mels.shape[-1], rate_hz)).clamp(-_MOST, _MOST)
        gaps = torch.where(gaps > 0, gaps * lift, gaps)
        spectra = heard * _product(gaps, spread).exp()
    return spectra


def griffin_lim(magnitudes: Tensor, phases: Tensor, hop: int, rounds: int, momentum: float = 0.99) -> Tensor:
    """A signal with given magnitudes, from given first phases.

    Args:
        magnitudes: float32 [..., frames, n_fft // 2 + 1].
        phases: complex64 of the same shape, of length one.
        hop: samples from one frame to the next; divides n_fft.
        rounds: how often the phases of the signal are taken over.
        momentum: how far each round goes on in the direction of the one before.

    Returns:
        float32 [..., (frames - 1) * hop + n_fft]; see :func:`waveform`.

    Source: Griffin and Lim 1984; with momentum, Perraudin, Balazs and Sondergaard, WASPAA 2013.
    """
    n_fft, before = 2 * (magnitudes.shape[-1] - 1), None
    for _ in range(rounds):
        rebuilt = spectrum(waveform(magnitudes * phases, hop), n_fft, hop)
        ahead = rebuilt if before is None else rebuilt + momentum / (1 + momentum) * (rebuilt - before)
        phases, before = unit(ahead), rebuilt
    return waveform(magnitudes * phases, hop)


def unit(values: Tensor) -> Tensor:
    """Complex numbers brought to length one; zero stays zero."""
    return values / values.abs().clamp_min(1e-12)


def _overlap_add(frames: Tensor, hop: int) -> Tensor:
    """float32 [..., frames, n_fft] -> [..., (frames - 1) * hop + n_fft], in the same order for any length."""
    count, n_fft = frames.shape[-2:]
    parts = frames.reshape(*frames.shape[:-1], n_fft // hop, hop)
    total = frames.new_zeros(*frames.shape[:-2], count + n_fft // hop - 1, hop)
    for place in range(n_fft // hop):
        total[..., place : place + count, :] += parts[..., place, :]
    return total.flatten(-2)


def _product(rows: Tensor, matrix: Tensor) -> Tensor:
    flat = rows.reshape(-1, rows.shape[-1])
    padded = torch.nn.functional.pad(flat, (0, 0, 0, -len(flat) % _ROWS))
    return (padded @ matrix)[: len(flat)].view(*rows.shape[:-1], matrix.shape[1])


@functools.lru_cache(maxsize=32)
def _hann(n_fft: int, device: torch.device) -> Tensor:
    return torch.hann_window(n_fft, dtype=torch.float64).float().to(device)


@functools.lru_cache(maxsize=32)
def _filters(bands: int, n_fft: int, sample_rate_hz: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Triangles of height one between :func:`band_edges_hz`, [n_fft // 2 + 1, bands]; their inverse."""
    edges = band_edges_hz(bands, sample_rate_hz)
    bins = torch.linspace(0, sample_rate_hz / 2, n_fft // 2 + 1, dtype=torch.float64)[:, None]
    rising = (bins - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - bins) / (edges[2:] - edges[1:-1])
    filters = torch.minimum(rising, falling).clamp_min(0)
    return filters.float().to(device), torch.linalg.pinv(filters).float().to(device)

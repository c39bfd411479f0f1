"""How often a voice opens in a second: followed in recordings, and turned into a train of pulses.

Arrow: waveform --**pitch_of**--> Hz of each frame, 0 where there is none --**pulses**--> waveform.
Does not know: clips, codes, networks.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from tokenmask.modalities.audio.mel import margin, spectrum

LOWEST_HZ, HIGHEST_HZ = 60.0, 500.0
STEPS_PER_OCTAVE = 48
STATES = math.floor(math.log2(HIGHEST_HZ / LOWEST_HZ) * STEPS_PER_OCTAVE) + 1
_WINDOW_SECONDS = 0.04
_UNVOICED = 0.3  # of the cumulative mean normalised difference, below which there is a pitch
_MOVE, _CHANGE = 0.02, 0.15  # costs of a step of pitch, and of a beginning or an end of voice


def pitch_hz() -> Tensor:
    """The pitches that are told apart, float32 [STATES], evenly spaced in octaves."""
    return LOWEST_HZ * 2 ** (torch.arange(STATES) / STEPS_PER_OCTAVE)


def pitch_of(samples: Tensor, rate_hz: int, hop: int) -> Tensor:
    """The pitch of each frame, followed through the whole by the cheapest path.

    Args:
        samples: float32 [time].
        rate_hz: of them.
        hop: samples of a frame; frame t is centred on (t + 0.5) * hop.

    Returns:
        Hz, float32 [ceil(time / hop)], 0 where nothing is voiced.

    Source: de Cheveigné and Kawahara, YIN, JASA 2002, equations 6 to 8; the path as in Mauch and Dixon, pYIN, ICASSP
    2014, with fixed costs in place of probabilities.
    """
    frames = math.ceil(len(samples) / hop)
    lags = rate_hz / pitch_hz()
    size, most = round(_WINDOW_SECONDS * rate_hz), math.ceil(float(lags[0])) + 2
    before = (size + most) // 2 - hop // 2
    padded = torch.nn.functional.pad(samples, (before, size + most + hop))
    rows = padded.unfold(0, size + most, hop)[:frames]
    fft = 2 ** math.ceil(math.log2(size + 2 * most))
    head, whole = torch.fft.rfft(rows[:, :size], fft), torch.fft.rfft(rows, fft)
    products = torch.fft.irfft(whole * head.conj(), fft)[:, : most + 1]
    powers = torch.nn.functional.pad(rows.double().square().cumsum(1), (1, 0))
    energies = (powers[:, size : size + most + 1] - powers[:, : most + 1]).float()
    gaps = (energies[:, :1] + energies - 2 * products).clamp_min(0)[:, :most]
    steps = torch.arange(1, most)
    normal = gaps[:, 1:] * steps / (gaps[:, 1:].cumsum(1) + 1e-6 * size)
    normal = torch.nn.functional.pad(normal, (1, 0), value=1.0)
    low = lags.floor().long()
    costs = normal[:, low] + (normal[:, low + 1] - normal[:, low]) * (lags - low)
    loud = energies[:, 0] > 1e-6 * size
    return _path(costs, loud)


def _path(costs: Tensor, loud: Tensor) -> Tensor:
    """The cheapest path through [frames, STATES] and a state without pitch."""
    move = _MOVE * (torch.arange(STATES)[:, None] - torch.arange(STATES)).abs().clamp_max(48).float()
    best, silent, came = costs[0], torch.tensor(_UNVOICED), []
    for cost, sound in zip(costs, loud, strict=True):
        ways = best[:, None] + move
        least, at = ways.min(0)
        begin = silent + _CHANGE
        at = torch.where(begin < least, STATES, at)
        end, place = best.min(0)
        ends = end + _CHANGE < silent
        came.append((at, place if ends else torch.tensor(STATES)))
        best = torch.minimum(least, begin) + (cost if sound else 1e3)
        silent = torch.minimum(silent, end + _CHANGE) + _UNVOICED
    state = STATES if silent < best.min() else int(best.argmin())
    found = []
    for at, place in reversed(came):
        found.append(state)
        state = int(place if state == STATES else at[state])
    known = torch.cat([pitch_hz(), torch.zeros(1)])
    return known[torch.tensor(found[::-1])]


def pulses(cycles: Tensor, hertz: Tensor, rate_hz: int) -> Tensor:
    """A train of pulses: all harmonics below half the rate, equally strong, each at its peak where a cycle ends.

    Args:
        cycles: float64 [..., time], cycles since some moment.
        hertz: float [..., time], the pitch there.
        rate_hz: of the result.

    Returns:
        float32 [..., time], of root mean square about 1.
    """
    count = (rate_hz / 2 / hertz).floor().double().clamp_min(1)
    angle = 2 * math.pi * (cycles - cycles.round())
    half = torch.sin(angle / 2)
    near = half.abs() < 1e-6
    kernel = torch.sin((count + 0.5) * angle) / torch.where(near, torch.ones_like(half), half) - 1
    sums = torch.where(near, 2 * count, kernel) / 2
    return (sums * (2 / count).sqrt()).float()


def filled(hertz: Tensor) -> Tensor:
    """Pitches, with that of the nearest voiced frame where there is none; the middle one if there is none at all."""
    at = torch.where(hertz > 0)[0]
    if not len(at):
        return torch.full_like(hertz, math.sqrt(LOWEST_HZ * HIGHEST_HZ))
    places = torch.arange(len(hertz))
    right = torch.searchsorted(at, places).clamp_max(len(at) - 1)
    left = (right - 1).clamp_min(0)
    nearest = torch.where((at[right] - places).abs() < (places - at[left]).abs(), right, left)
    return hertz[at[nearest]]


def cycles_of(hertz: Tensor, rate_hz: int, hop: int, edge: int) -> tuple[Tensor, Tensor]:
    """Cycles of a voice since the first sample, and its pitch, at each sample that frames cover.

    Args:
        hertz: of frames, float [..., T].
        rate_hz: of the samples.
        hop: samples of a frame.
        edge: samples that frames cover before the first hop and after the last.

    Returns:
        (cycles, Hz), float64 [..., T * hop + 2 * edge]; between the middles of frames the pitch is interpolated.
    """
    frames = hertz.shape[-1]
    samples = torch.arange(frames * hop + 2 * edge, dtype=torch.float64)
    places = ((samples - edge + 0.5) / hop - 0.5).clamp(0, frames - 1)
    left = places.floor().long().clamp_max(max(0, frames - 2))
    share = places - left
    known = hertz.double()
    between = known[..., left] * (1 - share) + known[..., (left + 1).clamp_max(frames - 1)] * share
    return between.cumsum(-1) / rate_hz, between


def voice(hertz: Tensor, rate_hz: int, hop: int, n_fft: int, first: int, segment: int) -> Tensor:
    """Spectra of pulses at a pitch, of a part of a sound that fits the parts before and after.

    Where a segment begins and where the next one does, a cycle ends, whatever was before: so parts can be made by
    themselves, and what two of them both make is the same. In between, up to half a cycle is added or left out, a
    change of the pitch by less than 1 Hz in segments of two seconds.

    Args:
        hertz: of frames, float32 [T].
        rate_hz: of the samples.
        hop: samples of a frame.
        n_fft: of the spectra.
        first: the frame at which the segment begins.
        segment: its frames; a part that ends before the next one begins is left as it is.

    Returns:
        complex64 [T, n_fft // 2 + 1].
    """
    edge = margin(n_fft, hop)
    cycles, between = cycles_of(hertz, rate_hz, hop, edge)
    begin, end = edge + first * hop, edge + (first + segment) * hop
    cycles = cycles - cycles[begin]
    if end < len(cycles):
        share = ((torch.arange(len(cycles), dtype=torch.float64) - begin) / (end - begin) * 2 - 0.5).clamp(0, 1)
        rise = (1 - (math.pi * share).cos()) / 2  # in the middle half of the segment: its ends are those of others too
        cycles = cycles + rise * (cycles[end].round() - cycles[end])
    return spectrum(pulses(cycles, between, rate_hz), n_fft, hop)

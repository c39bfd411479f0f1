"""EEG: traces of all channels, and the spectrum over channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import torch

from tokenmask.report.charts import Line, line_chart, traces
from tokenmask.report.views.view import Span, View

_LONGEST_SECONDS, _LOWEST_HZ, _HIGHEST_HZ, _CHANNELS = 4.0, 1.0, 45.0, 16


class Recordings(View):
    """Shows an :class:`~tokenmask.modalities.eeg.EegRecording`."""

    how_many: ClassVar[int] = 2
    prompts: ClassVar[int] = 2
    per_prompt: ClassVar[int] = 1

    def single(self, media: Any, label: str, spans: Sequence[Span] = ()) -> str:
        """Traces and spectrum of one recording; spans (start, end) in seconds are marked."""
        return _drawn([media], [""], label, spans)

    def brief(self, media: Any, label: str) -> str:
        """Traces alone."""
        return _traces([media], [""], label, ())[0]

    def pair(self, media: Sequence[Any], names: Sequence[str], label: str, spans: Sequence[Span] = ()) -> str:
        """Both recordings over each other."""
        return _drawn(media, names, label, spans)


def _drawn(media: Sequence[Any], names: Sequence[str], label: str, spans: Sequence[tuple[float, ...]]) -> str:
    seen, channels = _traces(media, names, label, spans)
    more = len(media[0].channels) - channels
    rest = f'<p class="note">{more} more channels are not drawn.</p>' if more > 0 else ""
    lines = [_spectrum(one, name, colour) for colour, (one, name) in enumerate(zip(media, names, strict=True), 1)]
    power = line_chart(lines, across="frequency", up="dB, mean of channels", label=f"spectrum: {label}", unit=" Hz")
    return f'<div class="duo">{seen}{power}</div>{rest}'


def _traces(
    media: Sequence[Any], names: Sequence[str], label: str, spans: Sequence[tuple[float, ...]]
) -> tuple[str, int]:
    """The drawing, and the number of its channels: those that all recordings have."""
    channels = [name for name in media[0].channels if all(name in one.channels for one in media)][:_CHANNELS]
    seconds = min(_LONGEST_SECONDS, *(one.duration_seconds for one in media))
    groups = []
    for one, name in zip(media, names, strict=True):
        samples = one.select(channels).samples[:, : round(seconds * one.sample_rate_hz)]
        groups.append((name, samples.tolist()))
    spoken = f"traces of {len(channels)} channels: {label}"
    return traces(groups, channels, seconds, "\u00b5V", spoken, spans), len(channels)


def _spectrum(recording: Any, name: str, colour: int) -> Line:
    """Decibels over a square microvolt per bin of one second at most, mean power over channels and windows."""
    samples = recording.samples.double()
    size = min(round(recording.sample_rate_hz), samples.shape[1])
    windows = samples.unfold(1, size, max(1, size // 2))
    spectra = torch.fft.rfft(windows * torch.hann_window(size, dtype=torch.float64), dim=2).abs().square()
    power = spectra.mean((0, 1)) / (size * 0.375 * size / 2)
    places = torch.arange(len(power), dtype=torch.float64) * recording.sample_rate_hz / size
    chosen = (places >= _LOWEST_HZ) & (places <= _HIGHEST_HZ)
    if not bool(chosen.any()):
        chosen = torch.ones_like(chosen)
    return Line(name, places[chosen].tolist(), (10 * power[chosen].clamp_min(1e-9).log10()).tolist(), colour)

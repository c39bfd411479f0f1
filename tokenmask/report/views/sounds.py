"""Sound: a player below a spectrogram, over which a line runs while it plays."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from torch.nn.functional import pad

from tokenmask.modalities.audio.mel import log_mel, margin, spectrum
from tokenmask.report.embed import LONGEST_SECONDS, picture, player

HOW_MANY = 3
PROMPTS, PER_PROMPT = 6, 1
_BANDS, _FFT, _FRAMES = 80, 1024, 100.0  # mel bands, samples of a window, frames a second


def single(media: Any, label: str, spans: Sequence[tuple[float, ...]] = ()) -> str:
    """Spectrogram and player; spans (start, end) in seconds are marked."""
    seconds = min(media.duration_seconds, LONGEST_SECONDS)
    shares = [(100 * start / seconds, 100 * (end - start) / seconds) for start, end in spans]
    marks = "".join(f'<span class="mark" style="left:{at:.2f}%;width:{wide:.2f}%"></span>' for at, wide in shares)
    alt = f"log-mel spectrogram, {seconds:.1f} s: {label}"
    seen = (
        f'<div class="heard">{picture(spectrogram(media), alt, role="wide")}{marks}<span class="playhead"></span></div>'
    )
    return f'<div class="sound">{seen}{player(media, label)}</div>'


def brief(media: Any, label: str) -> str:
    """The same."""
    return single(media, label)


def pair(media: Sequence[Any], names: Sequence[str], label: str, spans: Sequence[tuple[float, ...]] = ()) -> str:
    """Two sounds under each other, named."""
    return "".join(
        f'<p class="named">{escape(name)}</p>{single(one, f"{name}: {label}", spans)}'
        for one, name in zip(media, names, strict=True)
    )


def spectrogram(media: Any) -> np.ndarray:
    """Colours of the first six seconds: uint8 [bands, frames, 3], low bands at the bottom, 60 dB from dark to light."""
    import matplotlib

    clip = media.mono()
    samples = clip.samples[0, : round(LONGEST_SECONDS * clip.sample_rate_hz)]
    hop = max(1, round(clip.sample_rate_hz / _FRAMES))
    extra = -len(samples) % hop
    edge = margin(_FFT, hop)
    levels = log_mel(spectrum(pad(samples, (edge, edge + extra + 1)), _FFT, hop), _BANDS, clip.sample_rate_hz)
    shade = ((levels - levels.max()) / 6.9 + 1).clamp(0, 1).T.flip(0).numpy()
    coloured: np.ndarray = (matplotlib.colormaps["magma"](shade)[..., :3] * 255).round().astype(np.uint8)
    return coloured

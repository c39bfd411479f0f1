"""Sound: a player below a spectrogram, over which a line runs while it plays."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from torch.nn.functional import pad

from tokenmask.modalities.audio.mel import log_mel, margin, spectrum
from tokenmask.report.embed import LONGEST_SECONDS, picture, player
from tokenmask.report.views.view import Span, View

_BANDS, _FFT, _FRAMES = 80, 1024, 100.0  # mel bands, samples of a window, frames a second


class Sounds(View):
    """Shows an :class:`~tokenmask.modalities.audio.AudioClip`."""

    how_many: ClassVar[int] = 3
    prompts: ClassVar[int] = 6
    per_prompt: ClassVar[int] = 1

    def single(self, media: Any, label: str, spans: Sequence[Span] = ()) -> str:
        """Spectrogram and player; spans (start, end) in seconds are marked."""
        seconds = min(media.duration_seconds, LONGEST_SECONDS)
        shares = [(100 * start / seconds, 100 * (end - start) / seconds) for start, end in spans]
        marks = "".join(f'<span class="mark" style="left:{at:.2f}%;width:{wide:.2f}%"></span>' for at, wide in shares)
        alt = f"log-mel spectrogram, {seconds:.1f} s: {label}"
        drawn = picture(spectrogram(media), alt, role="wide")
        seen = f'<div class="heard">{drawn}{marks}<span class="playhead"></span></div>'
        return f'<div class="sound">{seen}{player(media, label)}</div>'


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

"""Media inside a page: pictures, sounds and numbers as data addresses, so that one file is all.

Does not know: runs, sections, models.
"""

from __future__ import annotations

import base64
import io
from html import escape
from typing import Any

import numpy as np
from torch import Tensor

LONGEST_SECONDS = 6.0  # of a sound that is embedded
HIGHEST_RATE_HZ = 24000


def data_address(kind: str, content: bytes) -> str:
    """``data:`` address of bytes; ``kind`` is a MIME type."""
    return f"data:{kind};base64,{base64.b64encode(content).decode('ascii')}"


def picture(pixels: Tensor | np.ndarray, alt: str, *, role: str = "tile") -> str:
    """An ``img`` of uint8 [height, width, 3].

    Args:
        pixels: red, green, blue.
        alt: what a reader who does not see it is told.
        role: class of the element: "tile" (small, pixels kept sharp) or "wide" (stretched to its column).
    """
    from PIL import Image as pillow

    buffer = io.BytesIO()
    array = np.ascontiguousarray(np.asarray(pixels, dtype=np.uint8))
    pillow.fromarray(array).save(buffer, format="PNG", optimize=True)
    source = data_address("image/png", buffer.getvalue())
    size = f'width="{array.shape[1]}" height="{array.shape[0]}"'
    return f'<img class="{role}" {size} alt="{escape(alt, quote=True)}" src="{source}">'


def player(clip: Any, label: str) -> str:
    """An ``audio`` element with controls; 16 bits, at most six seconds and 24 kHz, one channel."""
    import soundfile

    short = clip.mono()
    if short.sample_rate_hz > HIGHEST_RATE_HZ:
        short = short.resample(HIGHEST_RATE_HZ)
    samples = short.samples[0, : round(LONGEST_SECONDS * short.sample_rate_hz)].clamp(-1, 1)
    buffer = io.BytesIO()
    soundfile.write(buffer, samples.numpy(), short.sample_rate_hz, format="WAV", subtype="PCM_16")
    source = data_address("audio/wav", buffer.getvalue())
    return f'<audio controls preload="metadata" aria-label="{escape(label, quote=True)}" src="{source}"></audio>'

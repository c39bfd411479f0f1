"""Films: they play, above a strip of their frames on which pieces of time are marked."""

from __future__ import annotations

import io
from collections.abc import Sequence
from html import escape
from typing import Any, ClassVar

import torch

from tokenmask.report.embed import LONGEST_SECONDS, data_address, picture
from tokenmask.report.views.view import Span, View

_LARGEST, _STRIP, _FRAMES = 128, 64, 8  # pixels of a side while it plays, and in the strip; frames of the strip
_QUALITY = 90


class Films(View):
    """Shows a :class:`~tokenmask.modalities.video.VideoClip`."""

    how_many: ClassVar[int] = 3
    prompts: ClassVar[int] = 4
    per_prompt: ClassVar[int] = 1

    def single(self, media: Any, label: str, spans: Sequence[Span] = ()) -> str:
        """The first six seconds; spans (start, end) in seconds are marked."""
        seconds = min(media.duration_seconds, LONGEST_SECONDS)
        short = media.between(0, seconds)
        shares = [(100 * start / seconds, 100 * (end - start) / seconds) for start, end in spans]
        marks = "".join(f'<span class="mark" style="left:{at:.2f}%;width:{wide:.2f}%"></span>' for at, wide in shares)
        strip = picture(_strip(short.frames), f"frames of {seconds:.1f} s: {label}", role="wide")
        return f'{playing(short, label)}<div class="heard">{strip}{marks}</div>'

    def brief(self, media: Any, label: str) -> str:
        """The film alone."""
        return playing(media.between(0, min(media.duration_seconds, LONGEST_SECONDS)), label)


def playing(clip: Any, label: str) -> str:
    """An ``img`` that plays over and over, as WebP of at most 128 pixels a side."""
    frames = _small(clip.frames, _LARGEST)
    first, *others = frames
    buffer = io.BytesIO()
    each = max(1, round(1000 / clip.frame_rate_hz))
    first.save(buffer, "WEBP", save_all=True, append_images=others, duration=each, loop=0, quality=_QUALITY)
    size = f'width="{first.width}" height="{first.height}"'
    source = data_address("image/webp", buffer.getvalue())
    return f'<img class="large" {size} alt="{escape(label, quote=True)}" src="{source}">'


def _strip(frames: torch.Tensor) -> torch.Tensor:
    """Frames evenly spaced in time, beside each other: uint8 [height, width, 3]."""
    chosen = ((torch.arange(_FRAMES) + 0.5) * len(frames) / _FRAMES).long()
    tiles = [torch.frombuffer(bytearray(one.tobytes()), dtype=torch.uint8) for one in _small(frames[chosen], _STRIP)]
    height, width = _size(frames, _STRIP)
    return torch.cat([tile.view(height, width, 3) for tile in tiles], 1)


def _small(frames: torch.Tensor, largest: int) -> list[Any]:
    """Pictures of Pillow, shrunk where they are larger."""
    from tokenmask.modalities.image import Image

    return [Image(frame).resize(*_size(frames, largest)).to_pillow() for frame in frames]


def _size(frames: torch.Tensor, largest: int) -> tuple[int, int]:
    height, width = frames.shape[1:3]
    shrink = max(1.0, max(height, width) / largest)
    return max(1, round(height / shrink)), max(1, round(width / shrink))

"""Images: small ones stay sharp, boxes are drawn on top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenmask.report.embed import picture
from tokenmask.report.page import figure

HOW_MANY = 12
PROMPTS, PER_PROMPT = 8, 4
_LARGEST = 256  # pixels of a side that is embedded


def single(media: Any, label: str, spans: Sequence[tuple[float, ...]] = ()) -> str:
    """An image with boxes (top, left, bottom, right) in pixels."""
    height, width = media.pixels.shape[:2]
    marks = "".join(
        f'<span class="mark" style="top:{100 * top / height:.2f}%;left:{100 * left / width:.2f}%;'
        f'height:{100 * (bottom - top) / height:.2f}%;width:{100 * (right - left) / width:.2f}%"></span>'
        for top, left, bottom, right in spans
    )
    shrink = max(height, width) / _LARGEST
    small = media.resize(max(1, round(height / shrink)), max(1, round(width / shrink))) if shrink > 1 else media
    drawn = picture(small.pixels, label, role="large" if spans else "tile")
    return f'<span class="boxed">{drawn}{marks}</span>' if spans else drawn


def brief(media: Any, label: str) -> str:
    """The same."""
    return single(media, label)


def pair(media: Sequence[Any], names: Sequence[str], label: str, spans: Sequence[tuple[float, ...]] = ()) -> str:
    """Two images side by side; with boxes larger, and named."""
    shown = [single(one, f"{name}: {label}", spans) for one, name in zip(media, names, strict=True)]
    if not spans:
        return f'<div class="row">{"".join(shown)}</div>'
    return f'<div class="row">{"".join(figure(one, name) for one, name in zip(shown, names, strict=True))}</div>'

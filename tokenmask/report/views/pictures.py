"""Images: small ones stay sharp, boxes are drawn on top."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from tokenmask.report.embed import picture
from tokenmask.report.page import figure
from tokenmask.report.views.view import MIDDLE, Region, Span, View, runs

_LARGEST = 256  # pixels of a side that is embedded


class Pictures(View):
    """Shows an :class:`~tokenmask.modalities.image.Image`; spans and regions are boxes in pixels."""

    how_many: ClassVar[int] = 12
    prompts: ClassVar[int] = 8
    per_prompt: ClassVar[int] = 4
    small: ClassVar[bool] = True

    def single(self, media: Any, label: str, spans: Sequence[Span] = ()) -> str:
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

    def pair(self, media: Sequence[Any], names: Sequence[str], label: str, spans: Sequence[Span] = ()) -> str:
        """Two images side by side; with boxes larger, and named."""
        shown = [self.single(one, f"{name}: {label}", spans) for one, name in zip(media, names, strict=True)]
        if not spans:
            return f'<div class="row">{"".join(shown)}</div>'
        return f'<div class="row">{"".join(figure(one, name) for one, name in zip(shown, names, strict=True))}</div>'

    def middle(self, media: Any, rate_hz: float | None) -> Region:
        """A box (left, top, right, bottom)."""
        (low, high), (height, width) = MIDDLE, media.pixels.shape[:2]
        return (round(low * width), round(low * height), round(high * width), round(high * height))

    def filled(self, media: Any) -> Sequence[Span]:
        """Boxes of codes: rows that are filled alike make one."""
        marks = getattr(media.stream, "filled", None)
        if marks is None or media.stream.spec.axes != ("row", "column") or bool(marks.any(-1).all()):
            return ()
        marks, boxes = marks.any(-1), list[tuple[int, int, int, int]]()
        for row, among in enumerate(marks):
            for left, right in runs(among):
                above = next((n for n, one in enumerate(boxes) if one[1:] == (left, row, right)), None)
                top = row if above is None else boxes.pop(above)[0]
                boxes.append((top, left, row + 1, right))
        down, across = (size / count for size, count in zip(media.pixels.shape, marks.shape, strict=False))
        return [(top * down, left * across, bottom * down, right * across) for top, left, bottom, right in boxes]

    def told(self, region: Region, before: Any, after: Any) -> tuple[str, Sequence[Span]]:
        """Its size."""
        left, top, right, bottom = region
        return f"a box of {right - left:g} x {bottom - top:g} pixels", [(top, left, bottom, right)]

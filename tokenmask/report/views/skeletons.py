"""Motion: stick figures that the page animates, two on one clock where they belong together."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from html import escape
from typing import Any, ClassVar

import torch
from torch import Tensor

from tokenmask.report.views.view import Span, View

_LONGEST_SECONDS, _FASTEST_HZ = 6.0, 30.0
_ACROSS = (0.87, 0.5)  # of x and z, as the page draws them: turned by 30 degrees, so that legs do not hide each other


class Skeletons(View):
    """Shows a :class:`~tokenmask.modalities.motion.MotionClip`."""

    how_many: ClassVar[int] = 3
    prompts: ClassVar[int] = 3
    per_prompt: ClassVar[int] = 1

    def single(self, media: Any, label: str, spans: Sequence[Span] = ()) -> str:
        """One figure; spans (start, end) in seconds are marked on its time line."""
        return _animation([media], [""], label, spans)

    def pair(self, media: Sequence[Any], names: Sequence[str], label: str, spans: Sequence[Span] = ()) -> str:
        """Figures side by side, turned to face alike in their first frame."""
        return _animation(media, names, label, spans)


def _animation(media: Sequence[Any], names: Sequence[str], label: str, spans: Sequence[tuple[float, ...]]) -> str:
    rate = min(_FASTEST_HZ, media[0].frame_rate_hz)
    clips = [clip.resample(rate) for clip in media]
    points = [clip.joint_positions()[: round(_LONGEST_SECONDS * rate)] for clip in clips]
    points = [points[0], *(_facing(one, points[0]) for one in points[1:])]
    skeleton = clips[0].skeleton
    sides = ["r" if "right" in name.lower() else "l" if "left" in name.lower() else "" for name in skeleton.names]
    away = torch.cat([(one - one[:, :1]).flatten(0, 1) for one in points])
    wide = 2 * float((away[:, 0] * _ACROSS[0] + away[:, 2] * _ACROSS[1]).abs().max())
    tall = float(torch.cat([one[..., 1].flatten() for one in points]).max())
    tracks = [
        {"label": name, "frames": len(one), "points": base64.b64encode(_millimetres(one)).decode("ascii")}
        for one, name in zip(points, names, strict=True)
    ]
    about = {
        "parents": list(skeleton.parents),
        "sides": sides,
        "rate": rate,
        "tall": round(1000 * max(tall, 0.1)),
        "wide": round(1000 * max(wide, 0.1)),
        "tracks": tracks,
    }
    frames = max(map(len, points))
    marks = "".join(
        f'<span class="mark" style="left:{100 * start * rate / frames:.2f}%;'
        f'width:{100 * (end - start) * rate / frames:.2f}%"></span>'
        for start, end in spans
    )
    spoken, text = escape(label, quote=True), json.dumps(about).replace("<", "\\u003c")
    line = f'<div class="timeline">{marks}</div>' if marks else ""
    return (
        f'<div class="motion"><script type="application/json">{text}</script>'
        f'<canvas role="img" aria-label="animated stick figure, {frames / rate:.1f} s: {spoken}"></canvas>{line}'
        f'<div class="controls"><button type="button" aria-label="Play: {spoken}">Play</button>'
        f'<input type="range" min="0" max="{frames - 1}" value="0" aria-label="frame: {spoken}"></div></div>'
    )


def _millimetres(points: Tensor) -> bytes:
    """int16, little endian, of float32 [frames, joints, 3] in metres."""
    values = (1000 * (points - points[:1, :1] * torch.tensor([1.0, 0.0, 1.0]))).round().clamp(-32768, 32767)
    return values.to(torch.int16).numpy().astype("<i2").tobytes()


def _facing(points: Tensor, reference: Tensor) -> Tensor:
    """Points turned about the vertical, so that their first frame lies best on that of ``reference``."""
    if points.shape[1:] != reference.shape[1:]:
        return points
    own, other = (one[0] - one[0, :1] for one in (points, reference))
    across = (own[:, 2] * other[:, 0] - own[:, 0] * other[:, 2]).sum()
    along = (own[:, 0] * other[:, 0] + own[:, 2] * other[:, 2]).sum()
    angle = torch.atan2(across, along)
    cos, sin = angle.cos(), angle.sin()
    x, y, z = points.unbind(-1)
    return torch.stack([cos * x + sin * z, y, cos * z - sin * x], -1)

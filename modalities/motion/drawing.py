"""Pictures of motion: stick figures, as a film or as a strip.

Arrow: MotionClip --draw--> .gif or .png. Does not know: codes, files of motion.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokenmask.files import writing_atomically
from tokenmask.modalities.motion.joints import Skeleton
from tokenmask.modalities.motion.media import MotionClip


def draw(clip: MotionClip, path: str | Path, *, figures: int, height: int) -> None:
    """See :meth:`MotionClip.draw`."""
    kind = Path(path).suffix.lower()
    if kind not in (".gif", ".png") or figures < 1 or height < 16:
        raise ValueError(
            f"a drawing needs a path in .gif or .png, figures >= 1 and height >= 16, got {Path(path).name!r}, "
            f"{figures} and {height}"
        )
    film = clip.resample(25) if kind == ".gif" and clip.frame_rate_hz > 25 else clip
    count = len(film) if kind == ".gif" else min(figures, len(film))
    chosen = torch.linspace(0, len(film) - 1, count).round().long()
    pictures = [_figure(points, clip.skeleton, height) for points in film.joint_positions()[chosen]]
    with writing_atomically(path) as partial:
        if kind == ".gif":
            duration = round(1000 / film.frame_rate_hz)
            first, *rest = pictures
            first.save(partial, format="GIF", save_all=True, append_images=rest, duration=duration, loop=0)
            return
        strip = pictures[0].resize((height * count, height))
        for number, picture in enumerate(pictures):
            strip.paste(picture, (height * number, 0))
        strip.save(partial, format="PNG")


def _figure(points: Tensor, skeleton: Skeleton, height: int) -> Any:
    """One stick figure, the root in the middle; right limbs red, left limbs blue, on a line for the ground."""
    from PIL import Image as pillow
    from PIL import ImageDraw

    picture = pillow.new("RGB", (height, height), "white")
    pen = ImageDraw.Draw(picture)
    reach = max(sum(math.hypot(*offset) for offset in skeleton.offsets[1:]) * 0.45, 1e-3)
    unit = height / reach
    # Turned by 30 degrees, so that left and right do not cover each other.
    across = (points[:, 0] - points[0, 0]) * 0.87 + (points[:, 2] - points[0, 2]) * 0.5
    drawn = torch.stack([height / 2 + across * unit, height * 0.92 - points[:, 1] * unit], -1).tolist()
    pen.line([(0, height * 0.92), (height, height * 0.92)], fill=(190, 190, 190))
    for joint, parent in enumerate(skeleton.parents):
        name = skeleton.names[joint].lower()
        colour = (200, 40, 40) if "right" in name else (40, 80, 200) if "left" in name else (30, 30, 30)
        if parent >= 0:
            pen.line([tuple(drawn[parent]), tuple(drawn[joint])], fill=colour, width=max(2, height // 80))
    return picture

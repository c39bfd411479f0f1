"""Formats of films."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.formats.format import Format, media

FILM = media("video", "VideoClip")
SMALL = Path(__file__).parents[1] / "films"  # 6 frames of 48 x 32 pixels each, by FFmpeg's encoders through PyAV


def _frames(count: int = 3) -> Any:
    import numpy as np

    return np.random.default_rng(0).integers(0, 256, (count, 24, 32, 3), np.uint8)


def _animated(suffix: str, **options: Any) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from PIL import Image as Picture

        first, *rest = [Picture.fromarray(frame) for frame in _frames()]
        first.save(folder / f"a.{suffix}", save_all=True, append_images=rest, duration=50, **options)
        return folder / f"a.{suffix}"

    return make


def _mov(folder: Path) -> Path:
    from tests.modalities.mov import write_mov

    write_mov(folder / "a.mov", _frames(), [20, 20, 20], 600, begin=20)
    return folder / "a.mov"


def _mkv(folder: Path) -> Path:
    from tests.modalities.mkv import write_mkv

    write_mkv(folder / "a.mkv", _frames(), [0, 40, 80], 120)
    return folder / "a.mkv"


def _avi(folder: Path) -> Path:
    import torch

    from tests.modalities.test_video import write_avi

    write_avi(folder / "a.avi", torch.from_numpy(_frames()), 1, 12)
    return folder / "a.avi"


def _small(name: str) -> Format:
    """One of the films that lie beside, in the codecs that people have."""
    return Format(lambda folder: Path(shutil.copy(SMALL / name, folder)), FILM)


FORMATS = {
    "gif": Format(_animated("gif"), FILM),
    "animated webp": Format(_animated("webp", lossless=True), FILM),
    "mov": Format(_mov, FILM),
    "mkv": Format(_mkv, FILM),
    "avi": Format(_avi, FILM),
    "mp4 of H.264": _small("h264.mp4"),
    "m4v of MPEG-4": _small("mpeg4.m4v"),
    "webm of VP9": _small("vp9.webm"),
    "mpg of MPEG-1": _small("mpeg1.mpg"),
}

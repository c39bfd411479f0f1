"""Formats of films."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.faults.formats.format import Format, media

FILM = media("video", "VideoClip")


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


FORMATS = {
    "gif": Format(_animated("gif"), FILM),
    "animated webp": Format(_animated("webp", lossless=True), FILM),
    "mov": Format(_mov, FILM),
    "mkv": Format(_mkv, FILM),
    "avi": Format(_avi, FILM),
}

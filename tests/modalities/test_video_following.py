"""Films that were put one after the other into a file are not cut at the first in silence."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from tokenmask.modalities.video import VideoClip
from tokenmask.modalities.video.following import count_films

from .mkv import write_mkv
from .mov import write_mov
from .test_video import write_avi

FRAMES = np.random.default_rng(0).integers(0, 256, (6, 32, 32, 3)).astype(np.uint8)


def write(path: Path, frames: np.ndarray) -> None:
    times = [40 * number for number in range(len(frames) + 1)]
    if path.suffix == ".mkv":
        write_mkv(path, frames, times[:-1], times[-1])
    elif path.suffix == ".mov":
        write_mov(path, frames, [40] * len(frames), 1000)
    elif path.suffix == ".avi":
        write_avi(path, torch.from_numpy(frames), 1, 25)
    else:
        VideoClip(torch.from_numpy(frames), 25.0).save(path)


@pytest.mark.parametrize("suffix", [".gif", ".webp", ".mkv", ".mov", ".avi"])
def test_films_after_the_first_are_said(tmp_path: Path, suffix: str) -> None:
    path, other = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    write(path, FRAMES)
    write(other, FRAMES[:4])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert len(VideoClip.load(path).frames) == 6 and count_films(path) == 1
    path.write_bytes(path.read_bytes() + other.read_bytes())
    if suffix == ".avi":  # its decoder reads on
        assert torch.equal(VideoClip.load(path).frames[6:], VideoClip.load(other).frames)
        return
    with pytest.warns(UserWarning, match=rf"a\{suffix} holds 2 films one after the other; the first is read"):
        assert len(VideoClip.load(path).frames) == 6

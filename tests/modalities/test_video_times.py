"""Films whose frames stay for different times, and films that are turned and mirrored."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pillow

from tokenmask.modalities.video import VideoClip
from tokenmask.modalities.video.times import steady

from .mov import write_mov

UPRIGHT = (1, 0, 0, 1)


def grey(count: int, size: int = 32) -> np.ndarray:
    """Frames that are told apart by how bright they are: 10 for each number."""
    return np.stack([np.full((size, size, 3), 10 * number, np.uint8) for number in range(count)])


def numbers(clip: VideoClip) -> list[int]:
    return [round(float(frame.float().mean()) / 10) for frame in clip.frames]


def shown(durations: list[float], at: float) -> int:
    """The frame that is on, by going through them one by one."""
    for number, end in enumerate(itertools.accumulate(durations)):
        if at < end - 1e-9:
            return number
    return len(durations) - 1


@pytest.mark.parametrize(
    ("durations", "scale", "rate", "frames"),
    [
        ([1] * 12 + [6] * 6, 24, 24.0, 48),  # 12 frames at 24 a second, then 6 of a quarter second
        ([20, 50, 30, 100], 1000, 100.0, 20),
        ([1001] * 10, 30000, 30000 / 1001, 10),
        ([333, 334, 333] * 4, 10_000, 30.0, 12),  # a constant rate, rounded
        ([41, 97, 200], 1000, 1000 / 41, 8),  # no step in common: at the rate of the shortest
    ],
)
def test_at_each_moment_the_frame_that_is_on(
    tmp_path: Path, durations: list[int], scale: int, rate: float, frames: int
) -> None:
    pytest.importorskip("decord", reason="decord, which decodes films, is not installed")
    write_mov(tmp_path / "a.mov", grey(len(durations)), durations, scale)
    clip = VideoClip.load(tmp_path / "a.mov")
    assert clip.frame_rate_hz == pytest.approx(rate, rel=1e-3) and len(clip.frames) == frames
    if len(set(durations)) > 1 and rate != 30.0:
        seconds = [one / scale for one in durations]
        assert numbers(clip) == [shown(seconds, (at + 0.01) / rate) for at in range(frames)]
    else:
        assert numbers(clip) == list(range(frames))


def test_a_variable_rate_by_hand() -> None:
    chosen, rate = steady([0, 0.1, 0.3], 0.4, 0.001)
    assert chosen.tolist() == [0, 1, 1, 2] and rate == pytest.approx(10)
    assert steady([5.0], 5.5, 0.001)[1] == 2.0
    chosen, rate = steady([0, 0.5, 0.501], 1, 0.001)  # a frame of a millisecond does not make a thousand a second
    assert rate == 120 and len(chosen) == 120 and chosen[59] == 0 and chosen[61] == 2
    with pytest.raises(ValueError, match="do not ascend"):
        steady([0, 0.2, 0.2], 1, 0.001)


@pytest.mark.parametrize(("suffix", "pattern"), [(".webp", [42, 41, 41]), (".gif", [30, 30, 40])])
def test_rounded_durations_are_a_constant_rate(tmp_path: Path, suffix: str, pattern: list[int]) -> None:
    first, *others = (pillow.fromarray(frame) for frame in grey(24))
    durations = pattern * 8
    first.save(tmp_path / f"a{suffix}", save_all=True, append_images=others, duration=durations)
    clip = VideoClip.load(tmp_path / f"a{suffix}")
    assert numbers(clip) == list(range(24))
    assert clip.frame_rate_hz == pytest.approx(24_000 / sum(durations))


@pytest.mark.parametrize(
    "matrix",
    [UPRIGHT, (0, 1, -1, 0), (-1, 0, 0, -1), (0, -1, 1, 0), (-1, 0, 0, 1), (1, 0, 0, -1), (0, 1, 1, 0), (0, -1, -1, 0)],
)
def test_turned_and_mirrored_films_come_upright(tmp_path: Path, matrix: tuple[int, int, int, int]) -> None:
    """Three marked corners, each put where the matrix of ISO/IEC 14496-12 puts it: x' = ax + cy, y' = bx + dy."""
    pytest.importorskip("decord", reason="decord, which decodes films, is not installed")
    height, width = 32, 64
    frame = np.zeros((height, width, 3), np.uint8)
    corners = {(-1, -1): 0, (1, -1): 1, (-1, 1): 2}  # x and y from the centre: which colour is there
    for (x, y), colour in corners.items():
        frame[slice(0, 8) if y < 0 else slice(-8, None), slice(0, 8) if x < 0 else slice(-8, None), colour] = 250
    write_mov(tmp_path / "a.mov", np.stack([frame] * 3), [1] * 3, 10, matrix)
    found = VideoClip.load(tmp_path / "a.mov").frames[0].numpy()
    a, b, c, d = matrix
    assert found.shape == ((height, width, 3) if a else (width, height, 3))
    for (x, y), colour in corners.items():
        row, column = (4 if b * x + d * y < 0 else -5), (4 if a * x + c * y < 0 else -5)
        assert int(found[row, column].argmax()) == colour and found[row, column, colour] > 150

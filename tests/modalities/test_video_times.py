"""Films whose frames stay for different times, and films that are turned and mirrored."""

from __future__ import annotations

import base64
import itertools
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pillow

from tokenmask.modalities.video import VideoClip
from tokenmask.modalities.video.announced import impossible_length
from tokenmask.modalities.video.edits import shown_part
from tokenmask.modalities.video.matroska import tick_nanoseconds
from tokenmask.modalities.video.sound import has_sound
from tokenmask.modalities.video.times import steady
from tokenmask.modalities.video.whole import missing_bytes

from .mkv import element, write_mkv
from .mov import box, write_mov

UPRIGHT = (1, 0, 0, 1)
MPEG = (
    "c-muNVBDq1z{tRO*f^bmfpIqjCy1f=|G|T2K<)!Z3quCx>WzX7%<&U}{LPFE0>c0QKVSf|cQ9};H~?t|2LAs)fHb4<PgYHj4lJq~kX1?l?8T~z"
    "kpWqi@rRP7N(xw1p_t|TX$n?VOekhKKe{xfqXCO5RI|={1u0=FVn#LUB6dZnCcS~$w~uWh|Nl`i3P!;w7zLwX5CQ-y&GEk"
)


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


HELD = [  # ticks that each frame is on, ticks a second, and the milliseconds that files have for it
    ([1, 1, 2, 1, 1, 2, 1, 1], 30, [33, 34, 67, 33, 33, 67, 34, 33]),
    ([1, 1, 1, 1, 1, 2, 2, 2, 2, 2], 24, [41, 42, 42, 41, 42, 83, 83, 84, 83, 83]),
    ([1, 1, 2, 1, 1, 2, 1, 2], 60, [17, 17, 33, 17, 16, 34, 17, 33]),
    ([1] * 40 + [2] * 8, 30, [33] * 40 + [67] * 8),  # each rounded on its own, so that they drift
    ([1, 1, 2, 1, 1, 3, 1, 1], 25, [40, 40, 80, 40, 40, 120, 40, 40]),
]


@pytest.mark.parametrize("suffix", [".webp", ".mkv"])
@pytest.mark.parametrize(("ticks", "rate", "durations"), HELD)
def test_held_frames_with_rounded_times(
    tmp_path: Path, suffix: str, ticks: list[int], rate: int, durations: list[int]
) -> None:
    frames, path = np.stack([np.full((16, 16, 3), 5 * n, np.uint8) for n in range(len(ticks))]), tmp_path / f"a{suffix}"
    wanted = [number for number, count in enumerate(ticks) for _ in range(count)]
    if suffix == ".mkv":
        pytest.importorskip("decord", reason="decord, which decodes films, is not installed")
        frames = frames.repeat(2, 1).repeat(2, 2)
        write_mkv(path, frames, [0, *itertools.accumulate(durations)][:-1], sum(durations))
    else:
        first, *others = map(pillow.fromarray, frames)
        first.save(path, save_all=True, append_images=others, duration=durations, lossless=True)
    clip = VideoClip.load(path)
    found = clip.frames.float().mean((1, 2, 3)).numpy()
    assert np.abs(found - frames.mean((1, 2, 3))[wanted]).max() < 1.0 and len(found) == len(wanted)
    assert clip.frame_rate_hz == pytest.approx(rate, rel=0.01)
    assert clip.duration_seconds == pytest.approx(sum(durations) / 1000, abs=1e-3)


@pytest.mark.parametrize("unit", [1e-3, 1e-2])
@pytest.mark.parametrize("rate", [12, 15, 24000 / 1001, 24, 25, 30000 / 1001, 30, 50, 60])
def test_every_frame_comes_on_within_the_rounding_of_its_time(rate: float, unit: float) -> None:
    draw = np.random.default_rng(round(rate * 100))
    ticks = np.concatenate([[0], draw.choice([1, 1, 1, 2, 3, 12], 300).cumsum()])
    times = np.rint(ticks / rate / unit) * unit
    chosen, found = steady(times[:-1].tolist(), float(times[-1]), unit)
    numbers_shown = chosen.numpy()
    first = np.array([np.flatnonzero(numbers_shown == number)[0] for number in range(300)])
    assert np.abs(first / found - times[:-1]).max() <= unit / 2 * 1.001
    assert abs(len(chosen) / found - times[-1]) <= unit / 2 * 1.001 and bool((np.diff(numbers_shown) >= 0).all())
    assert found == pytest.approx(rate, rel=1e-6) and np.array_equal(first, ticks[:-1])


@pytest.mark.parametrize(("centiseconds", "rate"), [([4] * 25, 25.0), ([4, 4, 8, 4, 4, 12], 25.0), ([3, 7, 10], 30.0)])
def test_rates_of_gif_are_exact(tmp_path: Path, centiseconds: list[int], rate: float) -> None:
    first, *others = (pillow.fromarray(frame) for frame in grey(len(centiseconds)))
    path = tmp_path / "a.gif"
    first.save(path, save_all=True, append_images=others, duration=[10 * one for one in centiseconds])
    clip = VideoClip.load(path)
    assert clip.frame_rate_hz == rate
    wanted = [n for n, one in enumerate(centiseconds) for _ in range(round(one * rate / 100))]
    assert numbers(clip) == wanted


def test_times_without_a_common_step_lose_no_frame() -> None:
    draw = np.random.default_rng(0)
    for low, high, late in ((21, 300, 1 / 24), (401, 1300, 1 / 24), (1, 20, 1 / 20)):
        durations = draw.integers(low, high, 400)
        times = np.concatenate([[0], durations.cumsum()]) / 1000 * 1.00037
        chosen, rate = steady(times[:-1].tolist(), float(times[-1]), 1e-5)
        first = np.array([np.flatnonzero(chosen.numpy() == number)[0] for number in range(400)]) / rate - times[:-1]
        assert first.min() > -1e-3 and first.max() < late


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


@pytest.mark.parametrize("begin", [0, 7, 8, 9])
def test_what_an_edit_list_leaves_out_is_not_shown(tmp_path: Path, begin: int) -> None:
    pytest.importorskip("decord", reason="decord, which decodes films, is not installed")
    write_mov(tmp_path / "a.mov", grey(12), [2] * 12, 24, begin=begin)
    clip = VideoClip.load(tmp_path / "a.mov")
    assert numbers(clip) == list(range((begin + 1) // 2, 12))
    assert clip.frame_rate_hz == 12


def test_a_film_that_stands_still_behind_an_edit_is_whole(tmp_path: Path) -> None:
    """Frames that are alike cannot be told from those that decord repeats: all are decoded, and the list is applied."""
    pytest.importorskip("decord", reason="decord, which decodes films, is not installed")
    frozen = grey(12)
    frozen[9:] = frozen[9]
    write_mov(tmp_path / "a.mov", frozen, [2] * 12, 24, begin=7)
    clip = VideoClip.load(tmp_path / "a.mov")
    assert numbers(clip) == [4, 5, 6, 7, 8, 9, 9, 9] and clip.frame_rate_hz == 12


@pytest.mark.parametrize(
    ("begin", "shown", "first", "last"), [(0, 10, 0, 4), (0, 9, 0, 4), (8, 6, 4, 6), (0, 24, 0, 11)]
)
def test_what_an_edit_list_leaves_out_at_the_end_is_not_shown(
    tmp_path: Path, begin: int, shown: int, first: int, last: int
) -> None:
    """Of frames that are on for 2 / 24 s those count that come on in the part."""
    pytest.importorskip("decord", reason="decord, which decodes films, is not installed")
    write_mov(tmp_path / "a.mov", grey(12), [2] * 12, 24, begin=begin, shown=shown)
    assert shown_part(tmp_path / "a.mov") == (begin / 24, shown / 24, shown / 24)
    assert numbers(VideoClip.load(tmp_path / "a.mov")) == list(range(first, last + 1))


def test_an_edit_list_that_shows_nothing_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("decord", reason="decord, which decodes films, is not installed")
    write_mov(tmp_path / "a.mov", grey(12), [2] * 12, 24, begin=300, shown=2)
    with pytest.raises(ValueError, match=r"a\.mov must be .*its edit list shows none of its frames"):
        VideoClip.load(tmp_path / "a.mov")


def test_films_without_times_have_all_their_frames(tmp_path: Path) -> None:
    """An MPEG-1 film of eight greys, 20 to 160, in two groups, made by libavformat: decord has no times of it."""
    pytest.importorskip("decord", reason="decord, which decodes films, is not installed")
    (tmp_path / "a.mpg").write_bytes(zlib.decompress(base64.b85decode(MPEG)))
    clip = VideoClip.load(tmp_path / "a.mpg")
    assert np.abs(clip.frames.float().mean((1, 2, 3)).numpy() - range(20, 180, 20)).max() < 3
    assert clip.frame_rate_hz == 25


def test_films_that_are_cut_short_are_said(tmp_path: Path) -> None:
    pytest.importorskip("decord", reason="decord, which decodes films, is not installed")
    write_mkv(tmp_path / "a.mkv", grey(12), [42 * at for at in range(12)], 504)
    whole = (tmp_path / "a.mkv").read_bytes()
    assert missing_bytes(tmp_path / "a.mkv") == 0
    (tmp_path / "b.mkv").write_bytes(whole[:-1500])
    with pytest.warns(UserWarning, match=r"b\.mkv is cut short: 1500 bytes that it announces are missing"):
        clip = VideoClip.load(tmp_path / "b.mkv")
    assert 6 < len(clip.frames) < 12 and numbers(clip) == list(range(len(clip.frames)))
    for content, missing in (
        (b"RIFF" + (100).to_bytes(4, "little") + b"AVI " + bytes(50), 46),
        (b"RIFF" + b"\xff" * 4 + b"AVI " + bytes(50), 0),
        (box(b"ftyp", bytes(8)) + box(b"mdat", bytes(40))[:-7], 7),
        (box(b"ftyp", bytes(8)) + bytes(4) + b"mdat" + bytes(40), 0),
        (b"\x1a\x45\xdf\xa3\x82ab" + b"\x18\x53\x80\x67\x01" + b"\xff" * 7 + bytes(20), 0),
        (b"GIF89a" + bytes(20), 0),
    ):
        (tmp_path / "c").write_bytes(content)
        assert missing_bytes(tmp_path / "c") == missing


def test_a_film_without_pictures_is_said(tmp_path: Path) -> None:
    pytest.importorskip("decord", reason="decord, which decodes films, is not installed")
    write_mov(tmp_path / "a.mov", grey(3), [2] * 3, 24)
    data = (tmp_path / "a.mov").read_bytes()
    (tmp_path / "a.mov").write_bytes(data.replace(b"mhlrvide", b"mhlrsoun"))
    with pytest.raises(
        ValueError,
        match=r"a\.mov must be .*\(no pictures that are known here: it holds sound alone, or a codec such as AV1\)",
    ):
        VideoClip.load(tmp_path / "a.mov")


def test_sound_beside_the_pictures_is_told(tmp_path: Path) -> None:
    """A track whose handler is sound (QuickTime), a TrackEntry of type 2 (Matroska); of others nothing is told."""
    pytest.importorskip("decord", reason="decord, which decodes films, is not installed")
    write_mov(tmp_path / "a.mov", grey(3), [2] * 3, 24)
    write_mkv(tmp_path / "a.mkv", grey(3), [0, 42, 83], 125)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not any(has_sound(tmp_path / name) for name in ("a.mov", "a.mkv"))
        VideoClip.load(tmp_path / "a.mov")
    silent = (tmp_path / "a.mov").read_bytes()
    sound = box(b"trak", box(b"mdia", box(b"hdlr", bytes(4) + b"mhlrsoun" + bytes(13))))
    at = silent.index(b"moov") - 4
    size = int.from_bytes(silent[at : at + 4], "big") + len(sound)
    (tmp_path / "b.mov").write_bytes(silent[:at] + size.to_bytes(4, "big") + silent[at + 4 :] + sound)
    assert has_sound(tmp_path / "b.mov")
    track = element("AE", element("D7", b"\2"), element("83", b"\2"))
    data = (tmp_path / "a.mkv").read_bytes()
    entry = data.index(bytes.fromhex("1654AE6B"))
    old = int.from_bytes(data[entry + 4 : entry + 12], "big") - (1 << 56)
    tracks = (
        bytes.fromhex("1654AE6B")
        + (old + len(track) | 1 << 56).to_bytes(8, "big")
        + data[entry + 12 : entry + 12 + old]
        + track
    )
    whole = data[:entry] + tracks + data[entry + 12 + old :]
    segment = whole.index(bytes.fromhex("18538067"))
    length = len(whole) - segment - 12
    (tmp_path / "b.mkv").write_bytes(
        whole[: segment + 4] + (length | 1 << 56).to_bytes(8, "big") + whole[segment + 12 :]
    )
    with pytest.warns(UserWarning, match=r"b\.mkv has sound, which is left out"):
        assert len(VideoClip.load(tmp_path / "b.mkv").frames) == 3


def test_a_clock_beyond_measure_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """The decoder would end the process."""
    write_mkv(tmp_path / "a.mkv", grey(3), [0, 40, 80], 120)
    whole = (tmp_path / "a.mkv").read_bytes()
    said = bytes.fromhex("2AD7B1") + (8 | 1 << 56).to_bytes(8, "big")
    assert tick_nanoseconds(tmp_path / "a.mkv") == 1_000_000 and whole.count(said) == 1
    at = whole.index(said) + len(said)
    for tick in (1 << 32, 1_000_000 | 1 << 63):
        (tmp_path / "b.mkv").write_bytes(whole[:at] + tick.to_bytes(8, "big") + whole[at + 8 :])
        with pytest.raises(ValueError, match=rf"b\.mkv .*a tick of its clock is {tick} nanoseconds"):
            VideoClip.load(tmp_path / "b.mkv")
    short = bytes.fromhex("1549A966 86 2AD7B1 82 0400")  # sizes of one byte: six, then two
    for data, tick in ((short, 1024), (short[:8], None), (b"RIFF", None), (short[5:], None)):
        (tmp_path / "c.mkv").write_bytes(data)
        assert tick_nanoseconds(tmp_path / "c.mkv") == tick


def test_a_film_that_announces_more_frames_than_it_can_hold_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    """The decoder would make room for all of them, and end the process where there is not so much."""
    pytest.importorskip("decord", reason="decord, which decodes films, is not installed")
    write_mov(tmp_path / "a.mov", grey(12), [2] * 12, 24)
    whole = (tmp_path / "a.mov").read_bytes()
    at = whole.index(b"stts") + 12  # behind its name, version and number of entries: of the first, how many frames
    assert whole[at : at + 4] == (1).to_bytes(4, "big")
    (tmp_path / "b.mov").write_bytes(whole[:at] + (2**31 + 1).to_bytes(4, "big") + whole[at + 4 :])
    with pytest.raises(ValueError, match=rf"b\.mov .*it announces {2**31 + 12} frames in {len(whole)} bytes"):
        VideoClip.load(tmp_path / "b.mov")
    entries = at - 4  # more of them than there are, so that the decoder would go on in the next table
    (tmp_path / "b.mov").write_bytes(whole[:entries] + (20).to_bytes(4, "big") + whole[at:])
    with pytest.raises(ValueError, match=r"b\.mov .*its table stts announces 20 entries and holds 12"):
        VideoClip.load(tmp_path / "b.mov")
    # A film in pieces announces no frames: the decoder goes by its length.
    for length, seconds in ((2**32 - 2, 178956970.58), (2**32 - 1, None), (24, None)):
        header = box(b"mvhd", struct.pack(">IIIII", 0, 0, 0, 24, length))
        (tmp_path / "c.mp4").write_bytes(box(b"moov", header))
        wanted = "" if seconds is None else f"it announces {seconds:.0f} seconds, and no frames"
        assert impossible_length(tmp_path / "c.mp4") == wanted


def test_frames_that_do_not_say_how_long_they_are_on_are_counted(tmp_path: Path) -> None:
    pictures = [pillow.new("RGB", (4, 4), (40 * number, 0, 0)) for number in range(4)]
    for durations, unsaid in (([0, 0, 0, 0], 4), ([100, 0, 100, 0], 2), ([100] * 4, 0)):
        pictures[0].save(tmp_path / "a.gif", save_all=True, append_images=pictures[1:], duration=durations)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            film = VideoClip.load(tmp_path / "a.gif")
        told = f"does not say how long {unsaid} of its 4 frames are on; a tenth of a second is taken"
        assert (len(film.frames), film.frame_rate_hz) == (4, 10.0)
        assert [str(one.message) for one in caught] == ([f"{tmp_path / 'a.gif'} {told}"] if unsaid else [])


@pytest.mark.parametrize(("shape", "told"), [((2, 1), "2"), ((16, 15), "1.07"), ((1, 1), ""), ((0, 1), ""), (None, "")])
def test_pixels_that_are_no_squares_are_said(tmp_path: Path, shape: tuple[int, int] | None, told: str) -> None:
    write_mov(tmp_path / "a.mov", grey(3), [1] * 3, 10, shape=shape)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert VideoClip.load(tmp_path / "a.mov").frames.shape[1:] == grey(3).shape[1:]
    wanted = f"{tmp_path}/a.mov has pixels {told} times as wide as high, which are taken as squares: scale it first"
    assert [str(one.message) for one in caught] == ([wanted] if told else [])


def test_a_moving_picture_of_frames_larger_than_pictures_is_refused_before_it_is_decoded(tmp_path: Path) -> None:
    frames = [pillow.new("RGB", (32, 24), (number, 0, 0)) for number in (0, 90, 180)]
    frames[0].save(tmp_path / "a.webp", save_all=True, append_images=frames[1:], duration=50)
    data = (tmp_path / "a.webp").read_bytes()
    at = data.index(b"VP8X") + 12  # width and height less one, of 24 bits each
    assert data[at : at + 6] == bytes([31, 0, 0, 23, 0, 0])
    (tmp_path / "a.webp").write_bytes(data[:at] + (3866655).to_bytes(3, "little") + data[at + 3 :])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ValueError, match=r"a\.webp .*a frame may have up to 67108864 pixels, and has 3866656 x 24"):
            VideoClip.load(tmp_path / "a.webp")

"""Rows of numbers of BVH files: rates, how many there are, what is cut off, what is no angle and no time."""

from __future__ import annotations

import math
import re
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.modalities.bvh.bodies import FRAMES, apart, away, read, rows
from tokenmask.modalities.motion import MotionClip, bvh_frames
from tokenmask.modalities.motion.bvh_frames import has_few_digits, rate_of


@pytest.mark.parametrize(
    ("text", "rate"),
    [
        *(("0.041708", 24000 / 1001), ("0.0417083", 24000 / 1001), ("0.041667", 24.0), ("0.0417", 24.0)),
        *(("0.033333", 30.0), ("0.0333", 30.0), ("0.0333333333", 30.0), ("0.033367", 30000 / 1001)),
        *((".008333", 120.0), ("0.016666", 60.0), ("0.016683", 60000 / 1001), ("8.3333e-3", 120.0)),
        *(("0.041708375", 23.976), ("0.040000", 25.0), ("0.5", 2.0), ("2", 0.5), ("0.02222222", 45.0)),
        # Padded with zeros, and printed from single floats.
        *(("0.0333330", 30.0), ("0.01666670", 60.0), ("0.00833300", 120.0), ("0.00416700", 240.0)),
        *(("0.0333333351", 30.0), ("0.0416666679084301", 24.0), ("0.01666666753590107", 60.0)),
        *(("0.03336666524410248", 30000 / 1001), ("0.0330000", 1 / 0.033), ("0.0171000", 1 / 0.0171)),
        # Few digits: a usual rate within a percent, else what is written.
        *(("0.03", 1 / 0.03), ("0.033", 30.0), ("0.017", 1 / 0.017), ("0.07", 1 / 0.07), ("0.06", 1 / 0.06)),
        *(("0.008", 125.0), ("0.04", 25.0), ("0.0083", 120.0), ("0.0042", 240.0), ("0.016", 62.5)),
        # Cut off instead of rounded; of film and television where only that rounds to it.
        *(("0.0166", 60.0), ("0.033366", 30000 / 1001), ("0.0334", 30000 / 1001), ("0.01668", 60000 / 1001)),
    ],
)
def test_rates_are_those_that_the_digits_allow(text: str, rate: float) -> None:
    assert rate_of(text) == pytest.approx(rate, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "few"),
    [
        *(("0.03", True), ("0.033", True), ("0.016", True), ("0.017", True), ("0.0042", True)),
        *(("0.04", False), ("0.008", False), ("0.5", False), ("1", False), ("0.0333", False), ("0.0330000", False)),
    ],
)
def test_few_digits_are_told(tmp_path: Path, text: str, few: bool, clip: MotionClip) -> None:
    assert has_few_digits(text) == few
    clip.save(tmp_path / "b.bvh")
    changed = (tmp_path / "b.bvh").read_text().replace("Frame Time: 0.033333333333", f"Frame Time: {text}")
    told = rf"its frame time of {text} s has few digits and is read as {rate_of(text):.6g} frames a second; write"
    assert read(tmp_path, changed, told if few else "").frame_rate_hz == rate_of(text)


@pytest.mark.parametrize("text", ["0", "-0.1", "nan", "Infinity", "fast", "1e-400x", "1e-400"])
def test_times_of_frames_that_are_none(tmp_path: Path, text: str, clip: MotionClip) -> None:
    clip.save(tmp_path / "b.bvh")
    changed = (tmp_path / "b.bvh").read_text().replace("Frame Time: 0.033333333333", f"Frame Time: {text}")
    with pytest.raises(ValueError, match=rf"a\.bvh must be .*its frame time must be positive, got {text}"):
        read(tmp_path, changed)


@pytest.mark.parametrize(
    "rate", [23.976, 24000 / 1001, 29.97, 30000 / 1001, 30.0, 27.123, 1 / 0.033, 59.94, 119.88, 25.0]
)
def test_rates_survive_a_file(tmp_path: Path, clip: MotionClip, rate: float) -> None:
    replace(clip, frame_rate_hz=rate).save(tmp_path / "a.bvh")
    assert MotionClip.load(tmp_path / "a.bvh").frame_rate_hz == pytest.approx(rate, rel=1e-9)


@pytest.mark.parametrize("announced", [FRAMES - 1, FRAMES + 1, 0, 1, 2 * FRAMES, 100, 10**6, -1])
def test_whole_rows_count(tmp_path: Path, text: str, clip: MotionClip, announced: int) -> None:
    changed = text.replace(f"Frames: {FRAMES}", f"Frames: {announced}")
    found = read(tmp_path, changed, rf"announces {announced} frames, but it holds {FRAMES} whole ones$")
    assert away(found, clip) < 1e-5


@pytest.mark.parametrize("announced", [FRAMES, 100])
def test_a_file_that_was_cut_is_read_up_to_there(tmp_path: Path, text: str, clip: MotionClip, announced: int) -> None:
    """Of 100 frames that were announced as of 24: the rows that are there count, and the difference is told."""
    lines = text.replace(f"Frames: {FRAMES}", f"Frames: {announced}").splitlines(keepends=True)
    told = rf"its header announces {announced} frames, but it holds 5 whole ones"
    assert away(read(tmp_path, "".join(lines[: 5 - FRAMES]), rf"{told}$"), clip.cut(0, 5)) < 1e-5
    ended = "".join(lines[: 5 - FRAMES]).rstrip("\n")[:-3]  # inside of the last number, which is another one then
    found = read(tmp_path, ended, rf"{told}, the last of which may be cut off, for no line end is behind it$")
    assert away(found.cut(0, 4), clip.cut(0, 4)) < 1e-5
    with pytest.raises(ValueError, match=rf"{announced} frames of 51 numbers were announced, but 0 came.*; export it"):
        read(tmp_path, "".join(lines[:-FRAMES]))


def test_a_row_that_is_cut_off_is_dropped(tmp_path: Path, text: str, clip: MotionClip) -> None:
    changed = " ".join(text.rstrip().split(" ")[:-7])
    found = read(tmp_path, changed, rf"it holds {FRAMES - 1} whole ones before a row that is cut off")
    assert away(found, clip.cut(0, FRAMES - 1)) < 1e-5


@pytest.mark.parametrize("words", ["END", "# made by hand", "\x1a", "End of Motion"])
def test_words_behind_the_last_row_are_no_row(tmp_path: Path, text: str, clip: MotionClip, words: str) -> None:
    told = (
        rf"holds {FRAMES} whole ones before what is no row of numbers \({re.escape(repr(words))}\), which is left out$"
    )
    assert away(read(tmp_path, f"{text}{words}\n", told), clip) < 1e-5


@pytest.mark.parametrize(
    ("place", "number", "reason"),
    [
        (5, 1e40, r"an angle of its frame 7 is 1e\+40 degrees"),
        (0, 1e9, r"its root is 1e\+07 m away in frame 7"),
        (9, math.nan, "Zrotation of Neck in frame 7 must be a finite number, got 'nan'"),
        (1, -math.inf, "Yposition of Hips in frame 7 must be a finite number, got '-inf'"),
    ],
)
def test_an_absurd_number_is_refused_by_its_frame(
    tmp_path: Path, text: str, place: int, number: float, reason: str
) -> None:
    frames = iter(range(1, FRAMES + 1))

    def spoiled(numbers: list[float]) -> list[float]:
        return [*numbers[:place], number, *numbers[place + 1 :]] if next(frames) == 7 else numbers

    with pytest.raises(ValueError, match=rf"a\.bvh must be a whole BVH file, but cannot be read \({reason}\)"):
        read(tmp_path, rows(text, spoiled))


@pytest.mark.parametrize("word", ["1_000", "abc", "1e999", "NaN", "0x1", "12.5.3"])
def test_what_is_no_number_is_refused_by_its_frame_and_channel(tmp_path: Path, text: str, word: str) -> None:
    lines = text.splitlines()
    numbers = lines[8 - 1 - FRAMES].split()
    lines[8 - 1 - FRAMES] = " ".join([*numbers[:50], word])
    name = re.findall(r"JOINT (\S+)", text)[-1]
    with pytest.raises(
        ValueError, match=rf"Yrotation of {name} in frame 8 must be a finite number, got '{word}'\); ex"
    ):
        read(tmp_path, "\n".join(lines) + "\n")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (r"(JOINT Neck\s*\{\s*OFFSET) \S+", r"\1 one", "OFFSET 'one .*' of joint 'Neck' must be three finite numbers"),
        (r"(JOINT Neck\s*\{\s*OFFSET) \S+", r"\1 inf", "OFFSET 'inf .*' of joint 'Neck' must be three finite numbers"),
        (r"(JOINT Neck\s*\{\s*OFFSET) \S+", r"\1", "OFFSET '.*' of joint 'Neck' must be three finite numbers"),
        ("CHANNELS 6", "CHANNELS six", "channels 'six .*' are not their number and the standard ones"),
        ("CHANNELS 6", "CHANNELS 5", "channels '5 .*' are not their number and the standard ones"),
        ("CHANNELS 6 Xposition Y", "CHANNELS 6 Yposition Y", "joint 'Hips' has a channel twice"),
        ("CHANNELS .*\n", "\n", "none of its joints has CHANNELS, so there is no motion in it"),
        ("HIERARCHY", "HIERARCHY\nOFFSET 0 0 0", "its line 'OFFSET 0 0 0' belongs to no joint"),
    ],
)
def test_a_wrong_hierarchy_says_where(tmp_path: Path, text: str, old: str, new: str, told: str) -> None:
    with pytest.raises(ValueError, match=rf"a\.bvh must be a whole BVH file.*{told}.*; export it again"):
        read(tmp_path, re.sub(old, new, text))


def test_radians_are_told(tmp_path: Path, text: str) -> None:
    changed = rows(text, lambda numbers: [*numbers[:3], *map(math.radians, numbers[3:])])
    told = r"none of its angles is larger than 0\.\d+, which is little for degrees; if they are radians"
    clip = read(tmp_path, changed, told)
    assert float(clip.rotations[..., 1:].norm(dim=-1).max()) < math.sin(math.radians(180) / 180)  # taken for degrees


@pytest.mark.parametrize(("step", "rate"), [("33.3333", "0.03"), ("30", "0.0333")])
def test_times_that_are_no_seconds_are_told(tmp_path: Path, text: str, step: str, rate: str) -> None:
    changed = re.sub(r"Frame Time: \S+", f"Frame Time: {step}", text)
    clip = read(tmp_path, changed, rf"its frame time of {step} is {rate} frames a second; write it in seconds")
    assert clip.frame_rate_hz == pytest.approx(1 / float(step), rel=1e-3)


def test_rows_of_long_files_are_read_in_the_memory_of_some(tmp_path: Path, text: str) -> None:
    """Rows are read one by one: as words, the numbers would take more than ten times as much as they do."""
    head, motion = text.split("MOTION\n")
    lines = motion.splitlines()
    (tmp_path / "a.bvh").write_text("\n".join([f"{head}MOTION", "Frames: 24000", lines[1], *lines[2:] * 1000]))
    with (tmp_path / "a.bvh").open() as file:
        next(line for line in file if line == "MOTION\n")
        tracemalloc.start()
        rows = bvh_frames.Rows(file, [""] * 51, [])
        first, shapes = None, []
        for table in rows:
            first = table[:24].clone() if first is None else first
            shapes.append(table.shape)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert (sum(frames for frames, _ in shapes), rows.rate, rows.announced) == (24000, 30.0, 24000)
    assert {width for _, width in shapes} == {51} and max(frames for frames, _ in shapes) == bvh_frames.AT_ONCE
    assert torch.equal(first, table[-24:]) and peak < 4 * 8 * 51 * bvh_frames.AT_ONCE


@pytest.mark.parametrize(
    ("frames", "step"),
    [("Frames :", "Frame Time :"), ("FRAMES:", "FrameTime:"), ("Frames", "Frame Time"), ("Frames:\t", "Frame  time:")],
)
def test_spellings_of_the_frames(tmp_path: Path, text: str, clip: MotionClip, frames: str, step: str) -> None:
    found = read(tmp_path, text.replace("Frames:", frames).replace("Frame Time:", step))
    assert (len(found), found.frame_rate_hz) == (FRAMES, 30.0)
    assert apart(found, clip) < 1e-4


@pytest.mark.parametrize(("longer", "shorter"), [(4, 5), (5, 4), (4, None), (None, 4)])
def test_rows_of_a_wrong_length_are_refused_by_their_number(
    tmp_path: Path, text: str, longer: int | None, shorter: int | None
) -> None:
    head, motion = text.split("MOTION\n")
    first, second, *lines = motion.splitlines()
    width = len(lines[0].split())
    if longer is not None:
        lines[longer] += " 1.0"
    if shorter is not None:
        lines[shorter] = lines[shorter].rsplit(" ", 1)[0]
    held = width + 1 if longer == 4 else width - 1
    with pytest.raises(ValueError, match=rf"a\.bvh must be .*its row 5 has {held} numbers instead of {width}"):
        read(tmp_path, "\n".join([head + "MOTION", first, second, *lines]) + "\n")


def test_rows_that_go_on_in_the_next_line_are_read(tmp_path: Path, text: str, clip: MotionClip) -> None:
    head, motion = text.split("MOTION\n")
    first, second, *lines = motion.splitlines()
    halves = [" ".join(part) for line in lines for part in (line.split()[:20], line.split()[20:])]
    assert apart(read(tmp_path, "\n".join([head + "MOTION", first, second, *halves]) + "\n"), clip) < 1e-4


def test_commas_for_points(tmp_path: Path, text: str, clip: MotionClip) -> None:
    """In offsets, frame times and rows; a comma in a name stays."""
    last = max(place for place, kind in enumerate(clip.skeleton.kinds) if kind != "fixed")
    name = clip.skeleton.names[last]
    named = text.replace(f"JOINT {name}\n", f"JOINT {name}1,5\n")
    commas = "\n".join(line.replace(".", ",") for line in named.splitlines())
    found = read(tmp_path, commas, "its numbers have commas, which are read as points")
    plain = read(tmp_path, named)
    assert f"{name}1,5" in found.skeleton.names and found == plain


@pytest.mark.parametrize("turned", [0.0, 90.0])
def test_hips_that_move_below_a_joint_on_the_floor_are_where_they_are(
    tmp_path: Path, text: str, clip: MotionClip, turned: float
) -> None:
    """As MotionBuilder and Rokoko write bodies; a turn of that joint by 90 degrees about y brings x to -z."""
    head, motion = text.split("MOTION\n")
    above = "HIERARCHY\nROOT reference\n{\nOFFSET 0 0 0\nCHANNELS 4 Xposition Yposition Zposition Yrotation\n"
    head = head.replace("HIERARCHY\nROOT", f"{above}JOINT") + "}\n"
    head = re.sub(r"(JOINT Hips\s*{\s*OFFSET) \S+ \S+ \S+", r"\1 3 90 0", head)
    first, second, *lines = motion.splitlines()
    moved = [f"50.0 0.0 0.0 {turned} {line}" for line in lines]
    told = "its joint Hips is moved below reference, so the path of Hips is taken for that of the root"
    found = read(tmp_path, "\n".join([head + "MOTION", first, second, *moved]) + "\n", told)
    x, y, z = clip.joint_positions().unbind(-1)
    wanted = torch.stack([z, y, -x] if turned else [x, y, z], -1) + torch.tensor([0.5, 0.0, 0.0])
    order = [found.skeleton.names.index(name) for name in clip.skeleton.names]
    assert float((found.joint_positions()[:, order] - wanted).norm(dim=-1).max()) < 1e-4


def test_hips_that_stay_where_they_are_below_a_joint_keep_their_offset(tmp_path: Path, text: str) -> None:
    head, motion = text.split("MOTION\n")
    above = "HIERARCHY\nROOT reference\n{\nOFFSET 0 0 0\nCHANNELS 3 Xposition Yposition Zposition\n"
    head = head.replace("HIERARCHY\nROOT", f"{above}JOINT") + "}\n"
    first, second, *lines = motion.splitlines()
    moved = [" ".join(["7 0 1", "0 90 0", *line.split()[3:]]) for line in lines]
    found = read(tmp_path, "\n".join([head + "MOTION", first, second, *moved]) + "\n", "", units_per_metre=100.0)
    assert found.root_positions[0].tolist() == pytest.approx([0.07, 0.0, 0.01])
    assert found.skeleton.offsets[1] == pytest.approx((0.0, 0.9, 0.0))

"""Skeletons and clips: kinematics, resampling, mirrors, and files that come back."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image as pillow
from torch import Tensor

import tokenmask
from tokenmask.modalities.motion import (
    MotionClip,
    Skeleton,
    from_matrix,
    load_bvh,
    load_deepmimic,
    load_urdf_skeleton,
    multiply,
    save_bvh,
    slerp,
    to_matrix,
    turn,
    turn_angle,
)

DATA = Path(tokenmask.__file__).parent / "data" / "motion"
NONE = (0.0, 0.0, 0.0)


@pytest.fixture(scope="module")
def humanoid() -> Skeleton:
    return load_urdf_skeleton(DATA / "humanoid.urdf")


@pytest.fixture(scope="module")
def clips(humanoid: Skeleton) -> dict[str, MotionClip]:
    return {path.stem: load_deepmimic(path, humanoid) for path in sorted(DATA.glob("*.txt"))}


def random_rotations(*shape: int, seed: int = 0) -> Tensor:
    draw = torch.Generator().manual_seed(seed)
    return torch.nn.functional.normalize(torch.randn(*shape, 4, generator=draw, dtype=torch.float64), dim=-1)


# Rotations ------------------------------------------------------------------------------------------------------------


def test_products_matrices_and_quaternions_agree() -> None:
    a, b = random_rotations(500, seed=1), random_rotations(500, seed=2)
    assert torch.allclose(to_matrix(multiply(a, b)), to_matrix(a) @ to_matrix(b))
    again = from_matrix(to_matrix(a))
    assert torch.allclose((again * a).sum(-1).abs(), torch.ones(500, dtype=torch.float64))
    half = torch.tensor([[0.0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [1, 0, 0, 0]], dtype=torch.float64)
    assert torch.equal(from_matrix(to_matrix(half)), half)


def test_turns() -> None:
    quarter = turn((0.0, 1.0, 0.0), torch.tensor(math.pi / 2))
    assert torch.allclose(to_matrix(quarter) @ torch.tensor([0.0, 0, 1]), torch.tensor([1.0, 0, 0]), atol=1e-6)
    angles = torch.linspace(-3.1, 3.1, 50, dtype=torch.float64)
    for axis in ((0.0, 0.0, 1.0), (0.6, 0.0, 0.8)):
        assert torch.allclose(turn_angle(turn(axis, angles), axis), angles)
        assert torch.allclose(turn_angle(-turn(axis, angles), axis), angles)


def test_slerp_goes_the_short_way_at_even_speed() -> None:
    axis = (0.0, 0.6, 0.8)
    start, end = turn(axis, torch.tensor(0.2)), -turn(axis, torch.tensor(1.4))
    for share in (0.0, 0.25, 0.5, 1.0):
        between = slerp(start, end, torch.tensor([share]))
        assert float(turn_angle(between, axis)) == pytest.approx(0.2 + 1.2 * share, abs=1e-5)
    assert torch.allclose(slerp(start, start, torch.tensor([0.5])), start)


# The humanoid ---------------------------------------------------------------------------------------------------------


def test_the_humanoid_has_the_size_of_a_man(humanoid: Skeleton) -> None:
    assert humanoid.kinds.count("hinge") == 4
    assert humanoid.kinds.count("ball") == 9  # the root among them
    still = torch.zeros(1, len(humanoid), 4)
    still[..., 0] = 1
    points = MotionClip(torch.zeros(1, 3), still, 30.0, humanoid).joint_positions()[0]
    place = dict(zip(humanoid.names, points.tolist(), strict=True))
    assert place["neck_end"][1] - place["right_ankle"][1] == pytest.approx(1.467, abs=1e-3)
    assert place["right_wrist"][2] == pytest.approx(-place["left_wrist"][2])
    assert place["right_ankle_end"][0] > 0.1  # toes point along x
    assert humanoid.lateral_axis() == 2


def test_order_of_numbers_in_the_clips(clips: dict[str, MotionClip]) -> None:
    """Feet of a walk are on the ground and knees bend backwards; swapped quaternions or joints break both."""
    assert len(clips) == 20
    assert sum(len(clip) / clip.frame_rate_hz for clip in clips.values()) == pytest.approx(40, abs=1)
    for name in ("humanoid3d_walk", "humanoid3d_run", "walker_0walk_forward", "walker_turn_left0"):
        clip = clips[name]
        points = clip.joint_positions()
        tips = points[:, [clip.skeleton.names.index(f"{side}_ankle_end") for side in ("left", "right")]]
        assert tips[..., 1].min(1).values.abs().median() < 0.1
        assert points[:, clip.skeleton.names.index("neck"), 1].min() > 1.1
        assert clip.rotations[:, clip.skeleton.names.index("left_knee"), 3].max() < 0
    assert clips["humanoid3d_walk"].frame_rate_hz == 30
    assert clips["humanoid3d_spin"].frame_rate_hz == 24


def test_bones_keep_their_length(clips: dict[str, MotionClip]) -> None:
    clip = clips["humanoid3d_cartwheel"]
    points = clip.joint_positions()
    parents = torch.tensor(clip.skeleton.parents[1:])
    lengths = torch.tensor(clip.skeleton.offsets[1:]).norm(dim=-1)
    assert torch.allclose((points[:, 1:] - points[:, parents]).norm(dim=-1), lengths.expand(len(clip), -1), atol=1e-5)


def test_resampling(clips: dict[str, MotionClip]) -> None:
    clip = clips["humanoid3d_spinkick"]
    slow = clip.resample(30)
    assert (len(slow), slow.frame_rate_hz) == (39, 30)
    assert torch.allclose(slow.joint_positions(), clip.joint_positions()[::2][:39], atol=1e-5)
    back = slow.resample(60)
    assert (back.joint_positions() - clip.joint_positions()[: len(back)]).norm(dim=-1).mean() < 0.01
    assert clip.resample(60) == clip
    with pytest.raises(ValueError, match="must be positive, got 0"):
        clip.resample(0)


def test_a_mirror_shows_the_other_side(clips: dict[str, MotionClip], humanoid: Skeleton) -> None:
    clip = clips["humanoid3d_kick"]
    mirrored = clip.mirrored()
    flipped = clip.joint_positions()[:, list(humanoid.swapped())] * torch.tensor([1.0, 1.0, -1.0])
    assert torch.allclose(mirrored.joint_positions(), flipped, atol=1e-5)
    assert mirrored.mirrored() == clip
    lame = replace(humanoid, offsets=(*humanoid.offsets[:-1], (0.5, 0.5, 0.5)))
    with pytest.raises(ValueError, match="symmetric rest pose"):
        replace(clip, skeleton=lame).mirrored()
    with pytest.raises(ValueError, match="'right_hip' needs a partner 'left_hip'"):
        replace(humanoid, names=tuple(name.replace("left", "first") for name in humanoid.names)).swapped()


# Files ----------------------------------------------------------------------------------------------------------------


def test_bvh_comes_back_to_a_millimetre(tmp_path: Path, clips: dict[str, MotionClip], humanoid: Skeleton) -> None:
    for name, clip in clips.items():
        path = tmp_path / f"{name}.bvh"
        clip.save(path)
        again = MotionClip.load(path)
        assert again.frame_rate_hz == clip.frame_rate_hz
        assert again.skeleton != humanoid  # depth first, and tips are named after their joints
        assert (again.on(humanoid).joint_positions() - clip.joint_positions()).abs().max() < 1e-3
    save_bvh(clips["humanoid3d_walk"], tmp_path / "metres.bvh", units_per_metre=1)
    again = load_bvh(tmp_path / "metres.bvh", units_per_metre=1).on(humanoid)
    assert (again.joint_positions() - clips["humanoid3d_walk"].joint_positions()).abs().max() < 1e-3


def test_bvh_has_the_usual_words(tmp_path: Path, clips: dict[str, MotionClip]) -> None:
    clips["humanoid3d_walk"].save(tmp_path / "a.bvh")
    lines = [line.strip() for line in (tmp_path / "a.bvh").read_text().splitlines()]
    assert lines[:2] == ["HIERARCHY", "ROOT root"]
    assert "CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation" in lines
    assert lines.count("CHANNELS 3 Zrotation Xrotation Yrotation") == 8
    assert lines.count("CHANNELS 1 Zrotation") == 4
    assert lines.count("End Site") == 5
    motion = lines.index("MOTION")
    assert lines[motion + 1 : motion + 3] == ["Frames: 39", "Frame Time: 0.033333333333"]
    assert len(lines) == motion + 3 + 39
    assert len(lines[-1].split()) == 6 + 8 * 3 + 4


OTHER = """HIERARCHY
ROOT Hips {
  OFFSET 0 0 0
  CHANNELS 6 Yrotation Xrotation Zrotation Zposition Yposition Xposition
  JOINT a_very_long_name_of_a_joint_that_some_formats_would_have_cut_off_at_thirty_two_letters
  {
    OFFSET 0 10 0
    CHANNELS 3 Xrotation Yrotation Zrotation
    End Site
    { OFFSET 0 20 0
    }
  }
}
MOTION
Frames:\t2
Frame Time:\t.008333
90 0 0 3 2 1 90 0 0
0 0 0 0 0 0 0 0 90
"""


def test_other_orders_of_channels(tmp_path: Path) -> None:
    (tmp_path / "b.bvh").write_text(OTHER)
    clip = MotionClip.load(tmp_path / "b.bvh")
    assert clip.frame_rate_hz == 120
    assert clip.skeleton.names[1].endswith("thirty_two_letters")
    assert clip.skeleton.kinds == ("ball", "ball", "fixed")
    assert torch.allclose(clip.root_positions[0], torch.tensor([0.01, 0.02, 0.03]))
    points = clip.joint_positions()
    # The joint turns its tip to z, the root then turns z to x; in the second frame the tip goes to -x.
    assert torch.allclose(points[0, 2] - points[0, 1], torch.tensor([0.2, 0, 0]), atol=1e-6)
    assert torch.allclose(points[1, 2] - points[1, 1], torch.tensor([-0.2, 0, 0]), atol=1e-6)
    clip.save(tmp_path / "c.bvh")
    again = MotionClip.load(tmp_path / "c.bvh")
    assert again.skeleton == clip.skeleton
    assert (again.joint_positions() - points).abs().max() < 1e-5


def test_looking_straight_along_the_middle_axis(tmp_path: Path) -> None:
    """Gimbal lock: x at 90 degrees."""
    stick = Skeleton(("a", "b"), (-1, 0), (NONE, (0.0, 0.3, 0.4)), ("ball", "fixed"), (NONE, NONE))
    spins = [turn((0.0, 0.0, 1.0), torch.tensor(a)) for a in (0.3, -2.0, 3.0)]
    rotations = torch.stack([multiply(spin, turn((1.0, 0.0, 0.0), torch.tensor(math.pi / 2))) for spin in spins])
    clip = MotionClip(torch.zeros(3, 3), rotations[:, None].expand(3, 2, 4).contiguous(), 30.0, stick)
    clip.save(tmp_path / "a.bvh")
    assert (MotionClip.load(tmp_path / "a.bvh").joint_positions() - clip.joint_positions()).abs().max() < 1e-3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda text: text[: len(text) // 2], "must be a whole BVH file"),
        (lambda text: text.replace("2 1 90 0 0", "2 1 90 0"), "2 frames of 9 numbers were announced"),
        (lambda text: text[: text.index("90 0 0 3") + 9], "2 frames of 9 numbers were announced"),
        (lambda text: text.replace("Frames:", "Count:"), "must begin with Frames:"),
        (lambda text: text.replace("Xposition", "Wposition"), "not their number and the standard ones"),
        (lambda text: text.replace("OFFSET 0 10 0", "OFFSET 0 10"), "must be three finite numbers"),
        (lambda text: text.replace("OFFSET 0 10 0", "COLOUR 1"), "'COLOUR' is not of the format"),
        (lambda text: text.replace(".008333", "0"), "frame time must be positive"),
        (lambda text: "", "is nothing, it has no bytes"),
    ],
)
def test_damaged_bvh_is_one_sentence(tmp_path: Path, change: Callable[[str], str], message: str) -> None:
    (tmp_path / "a.bvh").write_text(change(OTHER))
    with pytest.raises(ValueError, match=message) as caught:
        MotionClip.load(tmp_path / "a.bvh")
    assert "\n" not in str(caught.value)


def test_exact_files(tmp_path: Path, clips: dict[str, MotionClip]) -> None:
    for clip in (clips["humanoid3d_backflip"], clips["humanoid3d_spin"].mirrored()):
        clip.save(tmp_path / "a.safetensors")
        assert MotionClip.load(tmp_path / "a.safetensors") == clip
    for name in ("a.npz", "a"):
        with pytest.raises(ValueError, match=r"must end in \.bvh or \.safetensors"):
            clip.save(tmp_path / name)
        with pytest.raises(ValueError, match=r"must end in \.bvh or \.safetensors"):
            MotionClip.load(tmp_path / name)
    with pytest.raises(ValueError, match="is none; check the path"):
        MotionClip.load(tmp_path / "absent.bvh")


def test_deepmimic_files_are_checked(tmp_path: Path, humanoid: Skeleton) -> None:
    path = tmp_path / "a.txt"
    with pytest.raises(ValueError, match="is none; check the path"):
        load_deepmimic(path, humanoid)
    for text in ("{", '{"Loop": "wrap"}', '{"Frames": [[1], [2, 3]]}'):
        path.write_text(text)
        with pytest.raises(ValueError, match="must be a DeepMimic motion"):
            load_deepmimic(path, humanoid)
    path.write_text('{"Frames": [[0.1, 2], [0.1, 2]]}')
    with pytest.raises(ValueError, match=r"frames of 44 numbers, got \[2, 2\]"):
        load_deepmimic(path, humanoid)
    with pytest.raises(ValueError, match="must be a URDF of a skeleton"):
        load_urdf_skeleton(path)


def test_frames_of_unequal_duration_are_evened(tmp_path: Path) -> None:
    stick = Skeleton(("a",), (-1,), (NONE,), ("ball",), (NONE,))
    rows = [[0.1, x, 0, 0, 1, 0, 0, 0] for x in (0, 1, 2, 4)]
    rows[2][0] = 0.2
    (tmp_path / "a.txt").write_text(f'{{"Frames": {rows}}}')
    clip = load_deepmimic(tmp_path / "a.txt", stick)
    assert clip.frame_rate_hz == 10
    assert clip.root_positions[:, 0].tolist() == pytest.approx([0, 1, 2, 3, 4])


def test_drawings(tmp_path: Path, clips: dict[str, MotionClip]) -> None:
    clip = clips["humanoid3d_backflip"]
    clip.draw(tmp_path / "a.png", figures=5, height=64)
    strip = pillow.open(tmp_path / "a.png").convert("RGB")
    assert strip.size == (320, 64)
    for figure in range(5):
        colours = {colour for _, colour in strip.crop((64 * figure, 0, 64 * figure + 64, 64)).getcolors()}
        assert {(200, 40, 40), (40, 80, 200), (30, 30, 30)} <= colours
    clip.draw(tmp_path / "a.gif", height=48)
    film = pillow.open(tmp_path / "a.gif")
    assert (film.size, film.n_frames) == ((48, 48), 29)
    with pytest.raises(ValueError, match=r"a path in \.gif or \.png"):
        clip.draw(tmp_path / "a.svg")


# Validation -----------------------------------------------------------------------------------------------------------


def test_clips_are_checked(clips: dict[str, MotionClip]) -> None:
    clip = clips["humanoid3d_walk"]
    for change, message in (
        ({"root_positions": clip.root_positions.double()}, r"must be float32 \[39, 3\] .* got float64"),
        ({"rotations": clip.rotations[:, 1:]}, r"must be float32 \[39, 18, 4\] .* \[39, 17, 4\]"),
        ({"rotations": clip.rotations * 2}, "must have length one"),
        ({"root_positions": clip.root_positions * math.nan}, "must be finite"),
        ({"frame_rate_hz": 0.0}, "must be positive, got 0"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(clip, **change)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"must hold a frame of the 39, got 3 to 3"):
        clip.cut(3, 3)
    assert clip != replace(clip, frame_rate_hz=31.0)
    assert clip.__eq__(3) is NotImplemented


def test_skeletons_are_checked(humanoid: Skeleton) -> None:
    for change, message in (
        ({"names": ("root",) * len(humanoid)}, "need different names"),
        ({"names": humanoid.names[1:]}, "a name, parent, offset, kind and axis per joint"),
        ({"parents": (*humanoid.parents[:-1], 99)}, "parents must come before children"),
        ({"kinds": ("slide", *humanoid.kinds[1:])}, "must be out of"),
        ({"axes": (NONE,) * len(humanoid)}, "a hinge needs an axis"),
        ({"offsets": ((0.0, math.inf, 0.0), *humanoid.offsets[1:])}, "three finite numbers"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(humanoid, **change)  # type: ignore[arg-type]
    assert Skeleton.from_json(humanoid.to_json()) == humanoid
    assert humanoid.order_of(humanoid) == tuple(range(len(humanoid)))
    longer = replace(humanoid, offsets=(*humanoid.offsets[:2], (0.0, 0.3, 0.0), *humanoid.offsets[3:]))
    assert humanoid.order_of(longer) is None
    placed = replace(humanoid, offsets=((1.0, 0.9, 2.0), *humanoid.offsets[1:]))
    assert humanoid.order_of(placed) == tuple(range(len(humanoid)))


@pytest.mark.parametrize(
    ("duration", "reason"),
    [
        (math.inf, "must have frames of finite durations from 0 on, got inf s"),
        (-1.0, r"must have frames of finite durations from 0 on, got -1\.0 s"),
        (math.nan, "must have frames of finite durations from 0 on, got nan s"),
        (1e9, r"must last at most 4194304 frames of 0\.05 s, got 1e\+09 s in all; a duration is wrong"),
    ],
)
def test_durations_of_deepmimic_that_cannot_be(
    tmp_path: Path, humanoid: Skeleton, duration: float, reason: str
) -> None:
    width = 4 + sum({"ball": 4, "hinge": 1, "fixed": 0}[kind] for kind in humanoid.kinds)
    frames = [[0.05, 0, 1, 0, *([1.0] * (width - 4))] for _ in range(6)]
    frames[2][0] = duration
    (tmp_path / "a.txt").write_text(json.dumps({"Frames": frames}))
    with pytest.raises(ValueError, match=reason):
        load_deepmimic(tmp_path / "a.txt", humanoid)

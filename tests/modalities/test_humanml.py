"""Motions of HumanML3D: joints and features become clips whose joints lie where they lay."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch

from tokenmask.modalities.motion import MotionClip, Skeleton
from tokenmask.modalities.motion.humanml import NAMES, PARENTS, clip_of, load_npy
from tokenmask.modalities.motion.joint_names import NEEDED, standard_parts

PLACES = {  # of one side and the middle, centimetres from the parent; a body about as SMPL's
    "left_hip": (6, -9, -1),
    "spine1": (0, 11, -3),
    "left_knee": (0, -38, 0),
    "spine2": (0, 13, 0),
    "left_ankle": (0, -40, 0),
    "spine3": (0, 6, 0),
    "left_foot": (0, 0, 14),
    "neck": (0, 21, -2),
    "left_collar": (8, 12, -2),
    "head": (0, 9, 0),
    "left_shoulder": (11, 0, 0),
    "left_elbow": (0, -25, 0),
    "left_wrist": (0, -25, 0),
}


def body() -> Skeleton:
    places = [(0.0, 0.0, 0.0)]
    for name in NAMES[1:]:
        x, y, z = PLACES[name.replace("right_", "left_")]
        places.append(((-x if name.startswith("right_") else x) / 100, y / 100, z / 100))
    kinds = tuple("ball" if joint in PARENTS else "fixed" for joint in range(22))
    return Skeleton(NAMES, PARENTS, tuple(places), kinds, ((0.0, 0.0, 0.0),) * 22)


def walk(frames: int = 40) -> MotionClip:
    """Each joint swings about its own axis; the root goes in a circle and turns with it."""
    draw = torch.Generator().manual_seed(0)
    time = torch.arange(frames, dtype=torch.float64)[:, None] / 20
    swing = 0.4 * torch.sin(5 * time + 6 * torch.rand(22, generator=draw, dtype=torch.float64))
    swing[:, 0] = 0.9 * time[:, 0]
    axes = torch.nn.functional.normalize(torch.randn(22, 3, generator=draw, dtype=torch.float64), dim=1)
    axes[0] = torch.tensor([0.0, 1.0, 0.0])
    turns = torch.cat([(swing / 2).cos()[..., None], (swing / 2).sin()[..., None] * axes], -1)
    turns[:, [joint not in PARENTS for joint in range(22)]] = torch.tensor([1.0, 0, 0, 0], dtype=torch.float64)
    place = torch.cat([time.sin(), 0.92 + 0.02 * (9 * time).sin(), 1 - time.cos()], 1)
    return MotionClip(place.float(), turns.float(), 20.0, body())


def error_of(clip: MotionClip, points: torch.Tensor) -> torch.Tensor:
    """Distances [frames, 22], metres, of the clip's joints from those that it was made of."""
    return (clip.joint_positions().double() - points).norm(dim=-1)


def features(points: np.ndarray) -> np.ndarray:
    """As the published code computes them: half angles of the way faced, steps and joints in its frame."""
    across = points[:, 1] - points[:, 2]
    faced = np.unwrap(np.arctan2(across[:, 2], across[:, 0]))  # the angle about y that brings left to x
    half = (faced - faced[0]) / 2
    cos, sin, zero, one = np.cos(2 * half), np.sin(2 * half), np.zeros(len(half)), np.ones(len(half))
    to_face = np.stack([cos, zero, sin, zero, one, zero, -sin, zero, cos], 1).reshape(-1, 3, 3)
    result = np.zeros((len(points), 263))
    result[:-1, 0] = np.diff(half)
    result[:-1, 1:3] = np.einsum("tij,tj->ti", to_face[1:], np.diff(points[:, 0], axis=0))[:, [0, 2]]
    result[:, 3] = points[:, 0, 1]
    flat = points[:, 0] * np.array([1, 0, 1])
    result[:, 4:67] = np.einsum("tij,tkj->tki", to_face, points[:, 1:] - flat[:, None]).reshape(len(points), 63)
    return result


def test_joints_lie_where_they_lay(tmp_path: Path) -> None:
    points = walk().joint_positions()
    np.save(tmp_path / "a.npy", points.numpy())
    clip = load_npy(tmp_path / "a.npy")
    assert clip == MotionClip.load(tmp_path / "a.npy") and clip.frame_rate_hz == 20 and clip.skeleton.names == NAMES
    assert float(error_of(clip, points.double()).max()) < 1e-5
    rest = torch.tensor(clip.skeleton.offsets)
    assert torch.allclose(rest[1:].norm(dim=1), torch.tensor(body().offsets)[1:].norm(dim=1), atol=1e-5)
    assert clip.skeleton.lateral_axis() == 0
    parts = standard_parts(clip.skeleton)
    assert all(f"{side}_{part}" in parts for side in ("left", "right") for part in NEEDED)


def test_features_are_the_same_joints(tmp_path: Path) -> None:
    points = walk().joint_positions().double()
    np.save(tmp_path / "a.npy", features(points.numpy()).astype(np.float32))
    clip = load_npy(tmp_path / "a.npy")
    start = points[0, 0] * torch.tensor([1.0, 0, 1.0])  # features begin at the origin, whatever way is faced
    angle = math.atan2(*(points[0, 1] - points[0, 2])[[2, 0]].tolist())
    assert abs(angle) < 1e-6 and float(error_of(clip, points - start).max()) < 1e-4


def test_bones_that_change_their_length_have_their_mean(tmp_path: Path) -> None:
    noise = torch.randn(40, 22, 3, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    points = walk().joint_positions().double() + 0.002 * noise
    clip = clip_of(points)
    assert float(error_of(clip, points).mean()) < 0.008


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (np.zeros((4, 22, 2), np.float32), r"got float32 \[4, 22, 2\]"),
        (np.zeros((0, 263), np.float32), r"got float32 \[0, 263\]"),
        (np.zeros((4, 263), np.int64), "got int64"),
        (np.full((4, 263), np.nan, np.float32), "must hold finite numbers"),
        (np.array([{}], object), "cannot be read"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, values: np.ndarray, said: str) -> None:
    np.save(tmp_path / "a.npy", values, allow_pickle=True)
    with pytest.raises(ValueError, match=rf"a\.npy .*{said}"):
        MotionClip.load(tmp_path / "a.npy")


def test_a_damaged_header_is_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "a.npy", walk(3).joint_positions().numpy())
    whole = (tmp_path / "a.npy").read_bytes()
    for damaged in (whole[:40], whole[:9], whole.replace(b"}", b"{"), whole.replace(b"22", b"99"), b""):
        (tmp_path / "b.npy").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"b\.npy must"):
            MotionClip.load(tmp_path / "b.npy")


@pytest.mark.parametrize("factor", [1000.0, 0.01])
def test_a_body_of_no_size_is_told(tmp_path: Path, factor: float) -> None:
    """Millimetres, and what was brought to a mean of 0 and a variance of 1, are read as they are, and said."""
    points = factor * walk().joint_positions().double()
    np.save(tmp_path / "a.npy", points.numpy())
    with pytest.warns(
        UserWarning, match=r"a\.npy: its body is [\d.e+]+ m tall, as nobody is; its numbers must be metres"
    ):
        clip = MotionClip.load(tmp_path / "a.npy")
    assert float(error_of(clip, points).max()) < 1e-5 * factor
    clip.save(tmp_path / "a.safetensors")
    with pytest.warns(UserWarning, match=r"a\.safetensors: its body is "):
        assert MotionClip.load(tmp_path / "a.safetensors") == clip


def test_what_has_no_number_is_said_by_its_frame(tmp_path: Path) -> None:
    points = walk().joint_positions().numpy()
    points[6, 3, 1] = math.nan
    np.save(tmp_path / "a.npy", points)
    with pytest.raises(ValueError, match=r"a\.npy must hold finite numbers, but frame 7 does not; drop those frames"):
        MotionClip.load(tmp_path / "a.npy")


@pytest.mark.parametrize("name", ["a.fbx", "a.npz", "a.c3d"])
def test_other_formats_are_exported_not_renamed(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ValueError, match=rf"\.safetensors, got '{name}'; export it as BVH \(Blender does so"):
        MotionClip.load(tmp_path / name)


@pytest.mark.parametrize(("order", "signs", "axis"), [([0, 2, 1], [1, -1, 1], "z"), ([0, 1, 2], [-1, -1, 1], "-y")])
def test_a_body_whose_y_is_not_up_is_told(tmp_path: Path, order: list[int], signs: list[int], axis: str) -> None:
    points = walk().joint_positions().double().numpy()
    np.save(tmp_path / "a.npy", points[..., order] * np.array(signs))
    with pytest.warns(UserWarning, match=rf"a\.npy: its body (stands|lies) along {axis}\b.*, but y must be up"):
        load_npy(tmp_path / "a.npy")


@pytest.mark.parametrize("kind", ["joints", "features"])
@pytest.mark.filterwarnings("error")
def test_frames_that_fill_an_array_up_are_counted(tmp_path: Path, kind: str) -> None:
    points = walk().joint_positions().double().numpy()
    np.save(tmp_path / "a.npy", values := points if kind == "joints" else features(points))
    load_npy(tmp_path / "a.npy")
    np.save(tmp_path / "a.npy", np.concatenate([values, np.zeros((3, *values.shape[1:]))]))
    with pytest.warns(UserWarning, match=r"a\.npy: in 3 of its 43 frames all joints are in one place: cut off"):
        load_npy(tmp_path / "a.npy")

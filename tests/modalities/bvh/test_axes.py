"""BVH files whose up is not y: bodies that stand, rest, crawl or lie along another axis."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.modalities.bvh.bodies import FRAMES, TURNS, WEIGHTS, X, Y, apart, away, laid, matrices, read, rows, with_z_up
from tokenmask.modalities.motion import MotionClip, load_bvh
from tokenmask.modalities.motion.rotations import multiply, turn
from tokenmask.tokenizer import load_tokenizer


def test_a_plain_file_comes_back(tmp_path: Path, text: str, clip: MotionClip) -> None:
    found = read(tmp_path, text)
    assert away(found, clip) < 1e-5
    assert found.frame_rate_hz == 30


def test_bodies_that_stand_along_z_are_turned_up(tmp_path: Path, text: str, clip: MotionClip) -> None:
    found = read(
        tmp_path, with_z_up(text), r"its body stands along z, which was turned up; if that is wrong, give --up=y, or "
    )
    assert away(found, clip) < 1e-5
    assert found.skeleton.offsets[found.skeleton.names.index("Spine")] == pytest.approx((0, 0.2, 0), abs=1e-6)
    assert away(read(tmp_path, with_z_up(text), up="z"), clip) < 1e-5
    lying = read(tmp_path, with_z_up(text), up="y").joint_positions()
    assert abs(float(lying[0, 0, 2]) - 0.85) < 0.05
    tokenizer = load_tokenizer(WEIGHTS / "motion")
    made = tokenizer.decode(tokenizer.encode(found))
    points, names = made.joint_positions(), made.skeleton.names
    assert float((points[:, names.index("neck")] - points[:, 0])[:, 1].mean()) > 0.3
    with pytest.raises(ValueError, match="up must be one of x, y, z, -x, -y, -z or None, got 'w'"):
        read(tmp_path, text, up="w")


def test_a_body_that_only_rests_along_z_stays(tmp_path: Path, text: str, clip: MotionClip) -> None:
    """Programs with z up that write for y up leave the rest pose and turn the root in every frame."""
    file = read(tmp_path, with_z_up(text), up="y")
    up = turn((1.0, 0.0, 0.0), torch.tensor(-math.pi / 2))
    rotations = file.rotations.clone()
    rotations[:, 0] = multiply(up.expand(FRAMES, 4), rotations[:, 0])
    root = file.root_positions[:, [0, 2, 1]] * torch.tensor([1.0, 1.0, -1.0])
    replace(file, rotations=rotations, root_positions=root).save(tmp_path / "b.bvh")
    assert away(load_bvh(tmp_path / "b.bvh"), clip) < 1e-4


@pytest.mark.parametrize("up", TURNS)
def test_a_rest_pose_along_y_that_moves_along_another_axis_is_turned_up(
    tmp_path: Path, clip: MotionClip, up: str
) -> None:
    laid(clip, *TURNS[up]).save(tmp_path / "b.bvh")
    found = read(tmp_path, (tmp_path / "b.bvh").read_text(), f"its body stands along {up}, which was turned up")
    assert apart(found, clip) < 1e-4
    assert apart(load_bvh(tmp_path / "b.bvh", up=up), clip) < 1e-4
    assert apart(load_bvh(tmp_path / "b.bvh", up="y"), laid(clip, *TURNS[up])) < 1e-4
    load_bvh(tmp_path / "b.bvh", up="y").save(tmp_path / "kept.safetensors")  # what the warning advises
    assert apart(MotionClip.load(tmp_path / "kept.safetensors"), laid(clip, *TURNS[up])) < 1e-4


@pytest.mark.parametrize("order", ["XYZ", "ZYX", "YZX", "XZY"])
def test_z_up_in_any_order_of_channels(tmp_path: Path, clip: MotionClip, order: str) -> None:
    """Angles of every order are worked out here, from the matrix of each rotation."""
    still = replace(clip, rotations=clip.rotations.clone())
    still.rotations[:, 1:] = torch.tensor([1.0, 0, 0, 0])
    standing = laid(still, *TURNS["z"])
    standing.save(tmp_path / "b.bvh")
    text = (
        (tmp_path / "b.bvh")
        .read_text()
        .replace("Zrotation Xrotation Yrotation", " ".join(f"{a}rotation" for a in order))
    )
    m = matrices(standing.rotations[:, 0].double())
    i, j, k = ("XYZ".index(a) for a in order)
    sign = 1.0 if (j - i) % 3 == 1 else -1.0
    middle = torch.asin((sign * m[:, i, k]).clamp(-1, 1))
    first, last = torch.atan2(-sign * m[:, j, k], m[:, k, k]), torch.atan2(-sign * m[:, i, j], m[:, i, i])
    angles = torch.stack([first, middle, last], -1).rad2deg().tolist()
    frame = iter(angles)
    text = rows(text, lambda numbers: [*numbers[:3], *next(frame), *numbers[6:]])
    assert apart(read(tmp_path, text, "its body stands along z, which was turned up"), still) < 1e-4


def crawling(clip: MotionClip) -> MotionClip:
    """On its belly, a hand above the floor, with bones that do not move."""
    down = replace(clip, root_positions=clip.root_positions * torch.tensor([1.0, 0, 1]) + torch.tensor([0, 0.2, 2.0]))
    down.rotations[:, 1:] = torch.tensor([1.0, 0, 0, 0])
    down.rotations[:, 0] = multiply(turn(Y, torch.tensor(0.785)), turn(X, torch.tensor(math.pi / 2))).float()
    return down


def test_a_body_that_crawls_with_z_up_is_turned_up(tmp_path: Path, clip: MotionClip) -> None:
    """It never stands: the rest pose tells the axis, and the floor beneath it that the motion has the same."""
    crawl = crawling(replace(clip, rotations=clip.rotations.clone()))
    crawl.save(tmp_path / "b.bvh")
    plain = (tmp_path / "b.bvh").read_text()
    assert apart(load_bvh(tmp_path / "b.bvh"), crawl) < 1e-4
    assert apart(read(tmp_path, with_z_up(plain), "its body stands along z, which was turned up"), crawl) < 1e-4


def test_a_body_that_lies_down_is_not_turned(tmp_path: Path, clip: MotionClip) -> None:
    """Some way above the floor it is told, as nothing shows which way is up; on the floor it lies."""
    high = laid(clip, X, 90, [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]])
    high.save(tmp_path / "b.bvh")
    told = r"its body lies along z throughout; if z is up, give --up=z, or load_bvh\(FILE, up='z'\)"
    assert apart(read(tmp_path, (tmp_path / "b.bvh").read_text(), told), high) < 1e-4
    low = replace(high, root_positions=high.root_positions - torch.tensor([0.0, 0.75, -3.0]))
    low.rotations[:, 1:] = torch.tensor([1.0, 0, 0, 0])
    low.rotations[:, 0] = turn(X, torch.tensor(math.pi / 2)).float()
    low.save(tmp_path / "b.bvh")
    assert apart(load_bvh(tmp_path / "b.bvh"), low) < 1e-4

"""A body in BVH files as other programs write them, and how far its joints are from where they should be."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from tokenmask.modalities.motion import MotionClip, load_bvh
from tokenmask.modalities.motion.rotations import multiply, turn

WEIGHTS = Path(__file__).parents[3] / "tokenmask" / "weights" / "tokenizers"
JOINTS = {  # name -> (parent, place in its parent's frame in metres, y up)
    "Hips": (-1, (0.0, 0.0, 0.0)),
    "Spine": (0, (0.0, 0.2, 0.0)),
    "Neck": (1, (0.0, 0.3, 0.02)),
    "Head": (2, (0.0, 0.15, 0.0)),
}
for side, sign in (("Left", 1), ("Right", -1)):
    above = {"UpLeg": "Hips", "Leg": "LeftUpLeg", "Foot": "LeftLeg"}
    above |= {"Arm": "Spine", "ForeArm": "LeftArm", "Hand": "LeftForeArm"}
    places = {"UpLeg": (0.1, 0, 0), "Leg": (0, -0.42, 0), "Foot": (0, -0.4, 0.01), "Arm": (0.18, 0.25, 0)}
    places |= {"ForeArm": (0.28, 0.0, 0.0), "Hand": (0.25, 0.0, 0.0)}
    for part, upper in above.items():
        x, y, z = places[part]
        JOINTS[f"{side}{part}"] = (list(JOINTS).index(upper.replace("Left", side)), (sign * x, y, z))
FRAMES = 24


def rows(text: str, change: Callable[[list[float]], list[float]]) -> str:
    """The text with each row of numbers changed."""
    head, motion = text.split("MOTION\n")
    first, second, *lines = motion.splitlines()
    made = [" ".join(f"{number:.6f}" for number in change([float(word) for word in line.split()])) for line in lines]
    return "\n".join([head + "MOTION", first, second, *made]) + "\n"


def away(found: MotionClip, clip: MotionClip) -> float:
    """Largest distance of a joint of the same name from where it was, in metres."""
    order = [found.skeleton.names.index(name) for name in clip.skeleton.names]
    return float((found.joint_positions()[:, order] - clip.joint_positions()).norm(dim=-1).max())


def read(tmp_path: Path, text: str, word: str = "", **options: Any) -> MotionClip:
    (tmp_path / "a.bvh").write_text(text)
    if not word:
        return load_bvh(tmp_path / "a.bvh", **options)
    with pytest.warns(UserWarning, match=rf"a\.bvh: .*{word}"):
        return load_bvh(tmp_path / "a.bvh", **options)


def with_z_up(text: str) -> str:
    """The same motion seen from axes of which z is up: y is z then, and z is -y; so are turns about them."""
    text = re.sub(r"OFFSET (\S+) (\S+) (\S+)", lambda m: f"OFFSET {m[1]} {-float(m[3]):.6f} {float(m[2]):.6f}", text)
    text = text.replace("Zrotation Xrotation Yrotation", "Yrotation Xrotation Zrotation")

    def flipped(numbers: list[float]) -> list[float]:
        x, y, z, *turns = numbers
        made = [x, -z, y]
        for place in range(0, len(turns), 3):
            made += [-turns[place], turns[place + 1], turns[place + 2]]
        return made

    return rows(text, flipped)


def laid(clip: MotionClip, axis: tuple[float, float, float], degrees: float, root: list[list[float]]) -> MotionClip:
    """The clip turned about an axis of the world, its root's path by a matrix of its own."""
    turned = turn(axis, torch.tensor(math.radians(degrees)))
    rotations = clip.rotations.clone()
    rotations[:, 0] = multiply(turned.expand(FRAMES, 4), rotations[:, 0].double()).float()
    return replace(clip, rotations=rotations, root_positions=clip.root_positions @ torch.tensor(root).T)


X, Y, Z = (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
Z_UP = [[1.0, 0, 0], [0, 0, -1], [0, 1, 0]]  # as a turn about x by 90 degrees moves points
X_UP = [[0, 1.0, 0], [-1, 0, 0], [0, 0, 1]]
TURNS = {
    "z": (X, 90, Z_UP),
    "-z": (X, -90, [[1.0, 0, 0], [0, 0, 1], [0, -1, 0]]),
    "x": (Z, -90, X_UP),
    "-x": (Z, 90, [[0, -1.0, 0], [1, 0, 0], [0, 0, 1]]),
    "-y": (X, 180, [[1.0, 0, 0], [0, -1, 0], [0, 0, -1]]),
}


def matrices(turns: torch.Tensor) -> torch.Tensor:
    """Quaternions float64 [..., 4] -> [..., 3, 3], as textbooks have it."""
    w, x, y, z = turns.unbind(-1)
    rows = [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)]
    rows += [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)]
    rows += [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)]
    return torch.stack(rows, -1).view(*w.shape, 3, 3)


def apart(found: MotionClip, clip: MotionClip) -> float:
    """Largest distance of a joint from where it was, told by matrices of this test alone."""

    def places(one: MotionClip) -> torch.Tensor:
        local = matrices(one.rotations.double())
        spots, turned = [one.root_positions.double()], [local[:, 0]]
        for joint, parent in enumerate(one.skeleton.parents[1:], 1):
            bone = torch.tensor(one.skeleton.offsets[joint], dtype=torch.float64)
            spots.append(spots[parent] + turned[parent] @ bone)
            turned.append(turned[parent] @ local[:, joint])
        return torch.stack(spots, 1)

    order = [found.skeleton.names.index(name) for name in clip.skeleton.names]
    return float((places(found)[:, order] - places(clip)).norm(dim=-1).max())

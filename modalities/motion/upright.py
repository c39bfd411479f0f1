"""How tall a body is and which way it stands: what BVH files do not say, told by the names of joints.

Does not know: files, codes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tokenmask.modalities.motion.joint_names import standard_parts
from tokenmask.modalities.motion.joints import Skeleton, joint_frames, joint_positions
from tokenmask.modalities.motion.rotations import multiply

UNITS = {"centimetres": 100.0, "metres": 1.0, "inches": 1 / 0.0254, "millimetres": 1000.0, "feet": 1 / 0.3048}
"""Units of a metre, the usual ones of BVH files first."""
TALL_METRES = (0.5, 2.5)
"""From the sole to the top of the trunk, of people and of what is animated like them."""

_QUARTER = (math.sqrt(0.5), -math.sqrt(0.5), 0.0, 0.0)  # about x, from z up to y up
_UPRIGHT = 0.8  # cosine of the angle to an axis from which on a body stands along it


def height(skeleton: Skeleton) -> float | None:
    """Length of the bones of a leg and the trunk, in the unit of the skeleton; None if names do not tell them."""
    found = _ends(skeleton)
    if found is None:
        return None
    total = 0.0
    for joint in found:
        while joint > 0:
            total += math.hypot(*skeleton.offsets[joint])
            joint = skeleton.parents[joint]
    return total


def unit_of(tall: float | None) -> str:
    """The first of ``UNITS`` in which a body so tall is as tall as people are; centimetres if there is none."""
    low, high = TALL_METRES
    likely = [name for name, units in UNITS.items() if tall is not None and low <= tall / units <= high]
    return likely[0] if likely else "centimetres"


def stands_along_z(rotations: Tensor, skeleton: Skeleton) -> bool:
    """Whether z is up: the body stands along z at rest, and not along y while it moves.

    Programs with z up may turn the root so that it moves with y up.

    Args:
        rotations: float [frames, joints, 3, 3], each in its parent's frame.
        skeleton: the joints.
    """
    found = _ends(skeleton)
    if found is None:
        return False
    still = torch.eye(3, dtype=torch.float64).expand(len(skeleton), 3, 3)
    foot, top = found
    rest = joint_positions(still, skeleton)
    line = rest[top] - rest[foot]
    if float(line[2]) < _UPRIGHT * float(line.norm()) or not float(line.norm()):
        return False
    places = joint_frames(rotations, skeleton)[1]
    lines = torch.nn.functional.normalize(places[:, top] - places[:, foot], dim=-1)
    along_y, along_z = (float((lines[:, axis] > _UPRIGHT).double().mean()) for axis in (1, 2))
    return along_z >= along_y


def turned_upright(root: Tensor, rotations: Tensor, skeleton: Skeleton) -> tuple[Tensor, Tensor, Skeleton]:
    """A motion with z up as one with y up: x stays, z becomes y, y becomes -z, in the rest pose too.

    Args:
        root: float [frames, 3].
        rotations: float [frames, joints, 4], quaternions.
        skeleton: the joints.
    """
    turn = torch.tensor(_QUARTER, dtype=rotations.dtype)
    back = turn * torch.tensor([1.0, -1.0, -1.0, -1.0], dtype=rotations.dtype)
    turned = multiply(multiply(turn.expand_as(rotations), rotations), back.expand_as(rotations))
    flat = torch.stack([root[:, 0], root[:, 2], -root[:, 1]], -1)
    flipped = replace(skeleton, offsets=_turned(skeleton.offsets), axes=_turned(skeleton.axes))
    return flat, turned, flipped


def _turned(points: Sequence[tuple[float, float, float]]) -> tuple[tuple[float, float, float], ...]:
    return tuple((x, z, 0.0 - y) for x, y, z in points)


def _ends(skeleton: Skeleton) -> tuple[int, int] | None:
    """The left foot and the upper end of the trunk."""
    parts = standard_parts(skeleton)
    top = parts.get("head", parts.get("neck"))
    if top is None and "left_upper_arm" in parts:
        top = skeleton.parents[parts["left_upper_arm"]]
    foot = parts.get("left_foot")
    return None if foot is None or not top else (foot, top)

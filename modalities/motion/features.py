"""What the motion tokenizer sees of a pose: height, speed, and rotations in the heading frame, body part by body part.

Arrow: MotionClip --to_features--> float32 [frames, features] --to_clip--> MotionClip. Does not know: codes, networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from tokenmask.modalities.motion.joints import Skeleton, from_parents, side_of
from tokenmask.modalities.motion.media import MotionClip
from tokenmask.modalities.motion.rotations import matmul3, to_matrix, turn, turn_angle
from tokenmask.streams import TokenStream

PARTS = ("root", "spine", "right_leg", "right_arm", "left_leg", "left_arm")
UP = (0.0, 1.0, 0.0)
_ROOT = 4  # height, two velocities and the yaw rate come first, then the root's rotation


def body_parts(skeleton: Skeleton) -> tuple[tuple[int, ...], ...]:
    """Numbers of the moving joints of each of ``PARTS``: a limb is what is named left or right and hangs together.

    Raises:
        ValueError: a part without joints.
    """
    found: dict[str, list[int]] = {name: [] for name in PARTS}
    where: dict[int, str] = {}
    for joint, (name, parent) in enumerate(zip(skeleton.names, skeleton.parents, strict=True)):
        side = side_of(name)
        above = where.get(parent, "")
        if parent < 0:
            part = "root"
        elif above and above not in ("root", "spine"):
            part = above
        elif side:
            part = f"{side}_leg" if parent == 0 else f"{side}_arm"
        else:
            part = "spine"
        where[joint] = part
        if skeleton.kinds[joint] != "fixed":
            found[part].append(joint)
    empty = [name for name in PARTS if not found[name]]
    if empty:
        raise ValueError(f"a body needs joints named left and right in legs and arms, got none for {empty}; rename")
    return tuple(tuple(found[name]) for name in PARTS)


def part_columns(skeleton: Skeleton) -> list[tuple[int, int]]:
    """First and one past the last feature of each part."""
    columns, start = [], 0
    for part in body_parts(skeleton):
        size = sum(6 if skeleton.kinds[joint] == "ball" else 2 for joint in part) + (_ROOT if not start else 0)
        columns.append((start, start + size))
        start += size
    return columns


def heading(root: Tensor, lateral: int) -> Tensor:
    """Angle about the vertical, radians, of the root's sideways axis (0 for x, 2 for z); matrices [..., 3, 3].

    Flips with the body at the moment when that axis is vertical; somersaults keep their heading.
    """
    axis = root[..., :, lateral]
    return torch.atan2(axis[..., 0], axis[..., 2]) if lateral == 2 else torch.atan2(-axis[..., 2], axis[..., 0])


def to_features(clip: MotionClip, lateral: int) -> Tensor:
    """What the network sees of a clip.

    Rotations are taken in the heading frame, not in the parent's: joint positions are then sums of bones, and an error
    of one part does not swing those that hang on it.

    Args:
        clip: any number of frames.
        lateral: 0 or 2, the axis from side to side, see :meth:`Skeleton.lateral_axis`.

    Returns:
        float32 [frames, features]: root height (m), velocity in the heading frame along x and z (m/s) and yaw rate
        (rad/s) to the next frame, the root's rotation in six numbers, and, part by part, each ball's rotation in the
        heading frame in six numbers and each hinge's angle as cosine and sine.

    Source: six numbers are the first two columns of the matrix, arXiv:1812.07035.
    """
    skeleton = clip.skeleton
    local = to_matrix(clip.rotations.double())
    angle = heading(local[:, 0], lateral)
    back = to_matrix(turn(UP, -angle))
    position = clip.root_positions.double()
    velocity = _rates(position.diff(dim=0), clip.frame_rate_hz)
    velocity = (back * velocity[:, None]).sum(-1)
    yaw = _rates(torch.remainder(angle.diff() + math.pi, 2 * math.pi) - math.pi, clip.frame_rate_hz)
    whole: list[Tensor] = []
    for joint, parent in enumerate(skeleton.parents):
        whole.append(matmul3(whole[parent] if parent >= 0 else back, local[:, joint]))
    columns = [position[:, 1:2], velocity[:, :1], velocity[:, 2:], yaw[:, None]]
    for joint in (joint for part in body_parts(skeleton) for joint in part):
        if skeleton.kinds[joint] == "ball":
            columns += [whole[joint][..., 0], whole[joint][..., 1]]
        else:
            turned = turn_angle(clip.rotations[:, joint].double(), skeleton.axes[joint])
            columns.append(torch.stack([turned.cos(), turned.sin()], -1))
    return torch.cat(columns, 1).float()


def _rates(steps: Tensor, frame_rate_hz: float) -> Tensor:
    """Differences to the next frame as rates; the last frame has that of the one before, a lone one none."""
    return torch.cat([steps, steps[-1:] if len(steps) else steps.new_zeros(1, *steps.shape[1:])]) * frame_rate_hz


def to_rotations(features: Tensor, skeleton: Skeleton) -> list[Tensor]:
    """Rotations of features, brought to orthogonal matrices (Gram-Schmidt); gradients pass through.

    Args:
        features: float [..., features], see :func:`to_features`.
        skeleton: the joints.

    Returns:
        For each joint float [..., 3, 3], its rotation in the heading frame.
    """
    starts, start = {}, _ROOT
    for joint in (joint for part in body_parts(skeleton) for joint in part):
        starts[joint] = start
        start += 6 if skeleton.kinds[joint] == "ball" else 2
    whole: list[Tensor] = []
    for joint, (parent, kind) in enumerate(zip(skeleton.parents, skeleton.kinds, strict=True)):
        if kind == "fixed":
            whole.append(whole[parent])
            continue
        own = features[..., starts[joint] : starts[joint] + 6]
        if kind == "ball":
            whole.append(_orthogonal(own[..., :3], own[..., 3:]))
        else:
            pair = nn.functional.normalize(own[..., :2], dim=-1)
            whole.append(matmul3(whole[parent], _about(skeleton.axes[joint], pair)))
    return whole


def _orthogonal(first: Tensor, second: Tensor) -> Tensor:
    x = nn.functional.normalize(first, dim=-1)
    y = nn.functional.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1)


def _about(axis: Sequence[float], pair: Tensor) -> Tensor:
    """Rotation about an axis from the cosine and sine of its angle, [..., 2] -> [..., 3, 3] (Rodrigues)."""
    x, y, z = axis
    cross = torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], dtype=pair.dtype, device=pair.device)
    eye = torch.eye(3, dtype=pair.dtype, device=pair.device)
    cos, sin = pair[..., :1, None], pair[..., 1:, None]
    return eye + sin * cross + (1 - cos) * (cross @ cross)


def positions(features: Tensor, skeleton: Skeleton) -> Tensor:
    """Joint positions in the heading frame, the root fixed in the plane: [..., features] -> [..., joints, 3], m."""
    whole = to_rotations(features, skeleton)
    offsets = torch.tensor(skeleton.offsets, dtype=features.dtype, device=features.device)
    zero = torch.zeros_like(features[..., 0])
    points = [torch.stack([zero, features[..., 0], zero], -1)]
    for joint, parent in enumerate(skeleton.parents[1:], 1):
        points.append(points[parent] + (whole[parent] * offsets[joint]).sum(-1))
    return torch.stack(points, -2)


def to_clip(
    features: Tensor, skeleton: Skeleton, frame_rate_hz: float, stream: TokenStream | None = None
) -> MotionClip:
    """The motion of features, from the origin on, heading along zero; the reverse of :func:`to_features`.

    Args:
        features: float [frames, features].
        skeleton: the joints.
        frame_rate_hz: frames a second.
        stream: the codes that they were decoded from.
    """
    root, rotations, _ = led(features, skeleton, frame_rate_hz, Way())
    return MotionClip(root, rotations, frame_rate_hz, skeleton, stream)


class Way(NamedTuple):
    """Where a motion has come to: radians about the vertical, and metres float64 [3]."""

    angle: Tensor = torch.zeros(1, dtype=torch.float64)
    place: Tensor = torch.zeros(3, dtype=torch.float64)


def led(features: Tensor, skeleton: Skeleton, frame_rate_hz: float, way: Way) -> tuple[Tensor, Tensor, Way]:
    """Root float32 [frames, 3] and rotations float32 [frames, joints, 4] of features that begin at ``way``, and where
    they end: pieces are led as the whole is, bit for bit."""
    features, rate = features.double(), frame_rate_hz
    whole = to_rotations(features, skeleton)
    yaw = features[:, 3] / rate
    angles = torch.cat([way.angle, yaw]).cumsum(0)[1:]
    angle = angles - yaw  # rates lead to the next frame
    ahead = to_matrix(turn(UP, angle))
    flat = torch.stack([features[:, 1], torch.zeros_like(yaw), features[:, 2]], -1) / rate
    steps = (ahead * flat[:, None]).sum(-1)
    sums = torch.cat([way.place[None], steps]).cumsum(0)[1:]
    places = sums - steps
    places[:, 1] = features[:, 0]
    rotations = from_parents(whole, skeleton.parents, ahead)
    return places.float(), rotations.float(), Way(angles[-1:], sums[-1])

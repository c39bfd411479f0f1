"""Which way is up in a motion: what BVH files do not say, told by how the body stands at rest and while it moves.

Does not know: files, units, codes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tokenmask.modalities.motion.joints import Skeleton, joint_frames, joint_positions
from tokenmask.modalities.motion.rotations import to_matrix
from tokenmask.modalities.motion.units import ends, height

AXES = {"x": (0, 1), "y": (1, 1), "z": (2, 1), "-x": (0, -1), "-y": (1, -1), "-z": (2, -1)}
"""Number and sign of each axis that can point up."""

_TURNED = {  # where the new x, y and z come from: a turn that brings the axis up
    "x": ((1, -1), (0, 1), (2, 1)),
    "y": ((0, 1), (1, 1), (2, 1)),
    "z": ((0, 1), (2, 1), (1, -1)),
    "-x": ((1, 1), (0, -1), (2, 1)),
    "-y": ((0, 1), (1, -1), (2, -1)),
    "-z": ((0, 1), (2, -1), (1, 1)),
}
_ALONG = 0.8  # cosine of the angle to an axis from which on a body stands along it
_MOSTLY, _RARELY = 0.8, 0.05  # of the frames
_FRAMES = 2000  # that are looked at, evenly spaced
_FLOOR = 0.2  # of a body's height: how far from zero the lowest place of the feet may be


def step_of(frames: int) -> int:
    """Every how manieth frame :func:`up_axis` looks at, of so many."""
    return max(1, -(-frames // _FRAMES))


def up_axis(root: Tensor, rotations: Tensor, skeleton: Skeleton, notes: list[str]) -> str:
    """The axis that points up, one of ``AXES``; what was guessed is noted.

    y, unless the body stands along z (or -z, -y) at rest and, as often as along y, while it moves; or along any other
    in nearly all frames, with its feet on a floor at zero and not just above one at y = 0, as of a body that lies.

    Args:
        root: float64 [frames, 3], in the unit of the skeleton.
        rotations: float [frames, joints, 4], quaternions, each in its parent's frame.
        skeleton: the joints.
        notes: gets what was guessed.
    """
    found, tall = ends(skeleton), height(skeleton)
    if found is None or not tall:
        return "y"
    foot, top = found
    still = torch.eye(3, dtype=torch.float64).expand(1, len(skeleton), 3, 3)
    rest = _shares(joint_positions(still, skeleton), foot, top)
    some = slice(None, None, step_of(len(root)))
    places = joint_frames(to_matrix(rotations[some]), skeleton)[1]
    moving = _shares(places, foot, top)
    lying = max(AXES, key=lambda axis: moving[axis])
    # Along x bodies of some programs rest that never stand there: each of their bones lies along an x axis of its own.
    stands = next((axis for axis in ("z", "-z", "-y") if rest[axis]), "")
    spots = places + root[some, None]
    lies = _lies_on_floor(spots, "y", tall)
    if stands and moving[stands] >= moving["y"]:
        often = moving[stands] >= (_MOSTLY if lies else _RARELY)
        if often or (not lies and _lies_on_floor(spots, stands, tall)):  # or it crawls over a floor across that axis
            notes.append(_turned_note(stands))
            return stands
    if lying == "y" or moving[lying] < _MOSTLY or moving["y"] > _RARELY:
        return "y"
    index, sign = AXES[lying]
    floor = abs(float((sign * spots[:, foot, index]).min())) <= _FLOOR * tall
    if floor and not lies:
        notes.append(_turned_note(lying))
        return lying
    if not lies or (floor and lying[-1] != "x"):  # hardly a file has x up, and many bodies crawl along it
        notes.append(f"its body lies along {lying} throughout; if {lying} is up, {_cure(lying)}")
    return "y"


def turned_upright(root: Tensor, rotations: Tensor, skeleton: Skeleton, up: str) -> tuple[Tensor, Tensor, Skeleton]:
    """A motion with another axis up as one with y up, in the rest pose too: of z, x stays, z becomes y, y becomes -z.

    Args:
        root: float [frames, 3].
        rotations: float [frames, joints, 4], quaternions.
        skeleton: the joints.
        up: one of ``AXES``.
    """
    order, signs = ([pair[which] for pair in _TURNED[up]] for which in (0, 1))
    factors = torch.tensor(signs, dtype=root.dtype)
    # A turn of all axes turns the axis of every rotation, and leaves its angle.
    turned = torch.cat([rotations[..., :1], rotations[..., 1:][..., order] * factors.to(rotations.dtype)], -1)

    def moved(points: Sequence[tuple[float, float, float]]) -> tuple[tuple[float, float, float], ...]:
        return tuple(tuple(0.0 + sign * point[index] for index, sign in _TURNED[up]) for point in points)  # type: ignore[misc]

    flipped = replace(skeleton, offsets=moved(skeleton.offsets), axes=moved(skeleton.axes))
    return root[:, order] * factors, turned, flipped


def _shares(places: Tensor, foot: int, top: int) -> dict[str, float]:
    """The share of frames in which the body stands along each axis."""
    lines = torch.nn.functional.normalize((places[:, top] - places[:, foot]).double(), dim=-1)
    return {axis: float((sign * lines[:, at] > _ALONG).double().mean()) for axis, (at, sign) in AXES.items()}


def _lies_on_floor(points: Tensor, up: str, tall: float) -> bool:
    """Whether all joints stay just above a floor at zero of an axis, as those of a body that lies or crawls."""
    index, sign = AXES[up]
    heights = sign * points[..., index]
    return float(heights.min()) >= -0.1 * tall and float(heights.max()) <= 0.6 * tall


def _turned_note(axis: str) -> str:
    return f"its body stands along {axis}, which was turned up; if that is wrong, {_cure('y')}"


def _cure(axis: str) -> str:
    return f"give --up={axis}, or load_bvh(FILE, up='{axis}')"

"""Features of HumanML3D: what text-to-motion networks see of 22 joints.

Arrow: joints [frames, 22, 3] --**features_of**--> [frames - 1, 263]; back: :func:`humanml.joints_of`. Does not know:
codes, networks, files.

Of each step: how far the root turns and moves, its height; joints seen from the root, facing along z; turns of bones
(two columns of a matrix each); velocities of joints; which feet stand. Source: Guo et al., Generating Diverse and
Natural 3D Human Motions from Text (CVPR 2022), section 5; published code, ``process_file``, as it is: it exchanges the
sides of the hips where it looks for the front that bones are turned from. Bodies keep their own bones; HumanML3D gives
all of them one body first.
"""

from __future__ import annotations

import itertools

import torch
import torch.nn.functional as F
from torch import Tensor

from tokenmask.modalities.motion.rotations import multiply, to_matrix

STILL = 0.002  # squared metres a frame, below which a foot stands
_SIGMA, _REACH = 20.0, 80  # frames over which the front is smoothed
_CHAINS = ((0, 2, 5, 8, 11), (0, 1, 4, 7, 10), (0, 3, 6, 9, 12, 15), (9, 14, 17, 19, 21), (9, 13, 16, 18, 20))
_LEFT, _RIGHT, _UP, _DOWN, _AHEAD = (1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1)
_RAW = (  # where the bone to each joint points at rest; that to the head ahead, as published
    *((0, 0, 0), _LEFT, _RIGHT, _UP, _DOWN, _DOWN, _UP, _DOWN, _DOWN, _UP, _AHEAD, _AHEAD, _UP, _LEFT, _RIGHT, _AHEAD),
    *(_DOWN,) * 6,
)
_HIPS, _SHOULDERS = (1, 2), (16, 17)  # left, right


def features_of(points: Tensor) -> Tensor:
    """Joints float64 [frames, 22, 3], metres, y up, in the order of ``humanml.NAMES`` -> float64 [frames - 1, 263].

    Raises:
        ValueError: fewer than two frames.
    """
    if len(points) < 2:
        raise ValueError(f"features of a motion are of its steps, so it needs two frames or more, got {len(points)}")
    points = points - points.new_tensor([0, 1, 0]) * points[..., 1].min()
    points = points - points[:1, :1] * points.new_tensor([1, 0, 1])
    across = _across(points[:1], _HIPS) + _across(points[:1], _SHOULDERS)
    points = _turned(_between(_front(across), points.new_tensor(_AHEAD)), points)
    turns = _bone_turns(points)
    root = turns[:, 0]
    steps = points[1:] - points[:-1]
    way = _turned(root[1:], steps[:, 0])
    seen = _turned(root, points - points[:, :1] * points.new_tensor([1, 0, 1]))
    angle = multiply(root[1:], _inverse(root[:-1]))[:, 2:3].clamp(-1, 1).arcsin()
    columns = to_matrix(turns[:-1, 1:])[..., :2].transpose(-1, -2)
    stands = (steps.square().sum(-1) < STILL).to(points.dtype)
    parts = (
        *(angle, way[:, [0, 2]], seen[:-1, 0, 1:2], seen[:-1, 1:].flatten(1), columns.flatten(1)),
        *(_turned(root[:-1], steps).flatten(1), stands[:, [7, 10]], stands[:, [8, 11]]),
    )
    return torch.cat(parts, 1)


def _bone_turns(points: Tensor) -> Tensor:
    """Quaternions [frames, 22, 4]: the smoothed front, and of each other joint the turn of the bone that ends there."""
    hips, shoulders = _across(points, _HIPS), _across(points, _SHOULDERS)
    front = _smoothed(_front(shoulders - hips))
    root = _between(F.normalize(front, dim=-1), points.new_tensor(_AHEAD))
    root[0] = root.new_tensor([1, 0, 0, 0])
    turns = root.new_zeros(*points.shape[:2], 4)
    turns[:, 0] = root
    for chain in _CHAINS:
        above = root  # also of the chains of the arms, which begin at the spine
        for start, end in itertools.pairwise(chain):
            bone = _between(points.new_tensor(_RAW[end]), F.normalize(points[:, end] - points[:, start], dim=-1))
            turns[:, end] = multiply(_inverse(above), bone)
            above = bone
    return turns


def _across(points: Tensor, sides: tuple[int, int]) -> Tensor:
    """From left to right, [frames, 3]."""
    return points[:, sides[1]] - points[:, sides[0]]


def _front(across: Tensor) -> Tensor:
    across = F.normalize(across, dim=-1)
    front: Tensor = torch.linalg.cross(across.new_tensor(_UP).expand_as(across), across)
    return front


def _smoothed(front: Tensor) -> Tensor:
    """A Gaussian over frames, [frames, 3]; beyond the ends stand the ends."""
    weights = torch.exp(-0.5 * (torch.arange(-_REACH, _REACH + 1, dtype=front.dtype) / _SIGMA).square())
    places = torch.arange(-_REACH, len(front) + _REACH).clamp(0, len(front) - 1)
    smooth: Tensor = (front[places].unfold(0, 2 * _REACH + 1, 1) * (weights / weights.sum())).sum(-1)
    return smooth


def _between(one: Tensor, other: Tensor) -> Tensor:
    """Quaternions w x y z that turn ``one`` into ``other``, [..., 3] each."""
    one, other = one + torch.zeros_like(other), other + torch.zeros_like(one)  # both of one shape
    real = (one.square().sum(-1) * other.square().sum(-1)).sqrt() + (one * other).sum(-1)
    return F.normalize(torch.cat([real[..., None], torch.linalg.cross(one, other)], -1), dim=-1)


def _inverse(turn: Tensor) -> Tensor:
    return turn * turn.new_tensor([1, -1, -1, -1])


def _turned(turn: Tensor, points: Tensor) -> Tensor:
    """Points [frames, ..., 3] by a quaternion each frame."""
    matrix = to_matrix(turn)
    matrix = matrix.reshape(-1, *(1,) * (points.dim() - 2), 3, 3)
    return (matrix * points[..., None, :]).sum(-1)

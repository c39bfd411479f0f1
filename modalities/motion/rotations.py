"""Rotations as quaternions w x y z and as matrices.

Does not know: skeletons, motion. Works on plain tensors of any leading shape.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor


def multiply(a: Tensor, b: Tensor) -> Tensor:
    """Quaternions w x y z, float [..., 4] twice -> float [..., 4]: first b, then a."""
    aw, ax, ay, az = a.unbind(-1)
    bw, bx, by, bz = b.unbind(-1)
    return torch.stack(
        [
            aw * bw - ax * bx - ay * by - az * bz,
            aw * bx + ax * bw + ay * bz - az * by,
            aw * by - ax * bz + ay * bw + az * bx,
            aw * bz + ax * by - ay * bx + az * bw,
        ],
        -1,
    )


def to_matrix(quaternions: Tensor) -> Tensor:
    """float [..., 4], of length one -> rotation matrices float [..., 3, 3]."""
    w, x, y, z = quaternions.unbind(-1)
    rows = [
        torch.stack([1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)], -1),
        torch.stack([2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)], -1),
        torch.stack([2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)], -1),
    ]
    return torch.stack(rows, -2)


def from_matrix(matrices: Tensor) -> Tensor:
    """Rotation matrices float [..., 3, 3] -> quaternions float [..., 4] with the largest number positive.

    Each of the four numbers gives the other three; the largest is taken, so nothing is divided by little.
    """
    m = matrices
    xx, yy, zz = m[..., 0, 0], m[..., 1, 1], m[..., 2, 2]
    squares = torch.stack([1 + xx + yy + zz, 1 + xx - yy - zz, 1 - xx + yy - zz, 1 - xx - yy + zz], -1)
    wx, wy, wz = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xy, xz, yz = m[..., 0, 1] + m[..., 1, 0], m[..., 0, 2] + m[..., 2, 0], m[..., 1, 2] + m[..., 2, 1]
    candidates = torch.stack(
        [
            torch.stack([squares[..., 0], wx, wy, wz], -1),
            torch.stack([wx, squares[..., 1], xy, xz], -1),
            torch.stack([wy, xy, squares[..., 2], yz], -1),
            torch.stack([wz, xz, yz, squares[..., 3]], -1),
        ],
        -2,
    )
    best = squares.argmax(-1)[..., None, None].expand(*squares.shape[:-1], 1, 4)
    return torch.nn.functional.normalize(candidates.gather(-2, best).squeeze(-2), dim=-1)


def turn(axis: Sequence[float] | Tensor, angles: Tensor) -> Tensor:
    """Quaternions that turn about an axis (of length one) by angles in radians, [...] -> [..., 4]."""
    along = torch.as_tensor(axis, dtype=angles.dtype)
    return torch.cat([(angles / 2).cos()[..., None], (angles / 2).sin()[..., None] * along], -1)


def turn_angle(quaternions: Tensor, axis: Sequence[float]) -> Tensor:
    """The angle of the part of a rotation that turns about an axis, -pi .. pi; float [..., 4] -> [...]."""
    along = (quaternions[..., 1:] * torch.tensor(axis, dtype=quaternions.dtype)).sum(-1)
    angle = 2 * torch.atan2(along, quaternions[..., 0])
    return torch.remainder(angle + math.pi, 2 * math.pi) - math.pi


def slerp(a: Tensor, b: Tensor, share: Tensor) -> Tensor:
    """The rotation on the short way from a to b, float [..., 4] twice and share [..., 1] in 0..1 -> [..., 4]."""
    dot = (a * b).sum(-1, keepdim=True)
    b, dot = torch.where(dot < 0, -b, b), dot.abs().clamp(max=1)
    angle = dot.acos()
    small = angle < 1e-3
    over = torch.where(small, torch.ones_like(angle), angle.sin())
    first = torch.where(small, 1 - share, ((1 - share) * angle).sin() / over)
    second = torch.where(small, share, (share * angle).sin() / over)
    return torch.nn.functional.normalize(first * a + second * b, dim=-1)


def matmul3(a: Tensor, b: Tensor) -> Tensor:
    """Products of 3 x 3 matrices, float [..., 3, 3] twice, summed in one order whatever the batch."""
    return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)

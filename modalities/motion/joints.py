"""A body's joints: their tree, their mirror image, and where they are when they turn.

Arrow: joint rotations --joint_positions--> points in metres. Does not know: motion, files, codes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import torch
from torch import Tensor

from tokenmask.arguments import is_a
from tokenmask.modalities.motion.rotations import from_matrix, matmul3

KINDS = ("ball", "hinge", "fixed")
_PAIRS = (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"))
_LETTER = re.compile(r"(?:^|(?<=[:_. ]))(?:[LR](?=[A-Z_. ]|$)|[lr](?=[_. ]|$))")
_FLIPPED = str.maketrans("LRlr", "RLrl")


@dataclass(frozen=True)
class Skeleton:
    """A tree of joints, parents before children.

    Args:
        names: of the joints; the first is the root.
        parents: number of each joint's parent, -1 for the root.
        offsets: where each joint is in its parent's frame at rest, metres (x, y, z); y is up.
        kinds: "ball", "hinge" or "fixed" for each joint; a fixed one never turns, such as the tip of a hand.
        axes: direction (of length one) that each hinge turns about; (0, 0, 0) for other joints.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: tuple[tuple[float, float, float], ...]
    kinds: tuple[str, ...]
    axes: tuple[tuple[float, float, float], ...]

    def __post_init__(self) -> None:
        for name in ("names", "parents", "offsets", "kinds", "axes"):
            if not isinstance(held := getattr(self, name), list):
                is_a(f"{name} of a Skeleton", held, tuple)
        count = len(self.names)
        lengths = {len(self.names), len(self.parents), len(self.offsets), len(self.kinds), len(self.axes)}
        if not count or lengths != {count}:
            raise ValueError(
                f"a skeleton needs a name, parent, offset, kind and axis per joint, got {sorted(lengths)}; add some"
            )
        if len(set(self.names)) != count or not all(self.names):
            raise ValueError(f"joints of a skeleton need different names, got {self.names}; rename the doubles")
        if self.parents[0] != -1 or any(not 0 <= p < i for i, p in enumerate(self.parents[1:], 1)):
            raise ValueError(f"parents must come before children and the root first, got {self.parents}; sort joints")
        if not set(self.kinds) <= set(KINDS):
            raise ValueError(f"kinds of joints must be out of {KINDS}, got {self.kinds}; write one of these")
        for point in (*self.offsets, *self.axes):
            if not isinstance(point, list):
                is_a("each offset and axis of a Skeleton", point, tuple)
        numbers = [number for point in (*self.offsets, *self.axes) for number in point]
        if any(len(point) != 3 for point in (*self.offsets, *self.axes)) or not all(map(math.isfinite, numbers)):
            raise ValueError("offsets and axes of a skeleton must be three finite numbers per joint; check the file")
        for name, kind, axis in zip(self.names, self.kinds, self.axes, strict=True):
            if abs(math.hypot(*axis) - (kind == "hinge")) > 1e-3:
                raise ValueError(
                    f"a hinge needs an axis of length one and other joints none, got {axis} for {name}; scale it"
                )

    def __len__(self) -> int:
        return len(self.names)

    def to_json(self) -> dict[str, Any]:
        """A dict of JSON values; :meth:`from_json` is the exact inverse."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Self:
        """Rebuilds a skeleton from :meth:`to_json`."""
        return cls(
            tuple(values["names"]),
            tuple(values["parents"]),
            tuple(map(tuple, values["offsets"])),
            tuple(values["kinds"]),
            tuple(map(tuple, values["axes"])),
        )

    def order_of(self, other: Skeleton) -> tuple[int, ...] | None:
        """Number in ``self`` of each joint of ``other``: the same tree in another order, tips perhaps named apart.

        Where the root lies at rest does not count: a motion says where it is.

        Returns:
            None where joints are other ones, or bones differ by a millimetre or more.
        """
        order: list[int] = []
        for joint, (name, kind, parent) in enumerate(zip(other.names, other.kinds, other.parents, strict=True)):
            above = order[parent] if parent >= 0 else -1
            found = [
                own
                for own in range(len(self))
                if self.kinds[own] == kind
                and self.parents[own] == above
                and own not in order
                and (self.names[own] == name or kind == "fixed")
                and (not joint or math.dist(self.offsets[own], other.offsets[joint]) < 1e-3)
                and math.dist(self.axes[own], other.axes[joint]) < 1e-3
            ]
            if not found or len(self) != len(other):
                return None
            order.append(min(found, key=lambda own: self.names[own] != name))
        return tuple(order)

    def swapped(self) -> tuple[int, ...]:
        """Number of the joint on the other side for each joint, itself in the middle.

        Raises:
            ValueError: a joint named left without one named right, or the reverse.
        """
        return tuple(self._numbered(_other_side(name), name) for name in self.names)

    def _numbered(self, name: str, asked: str) -> int:
        if name not in self.names:
            raise ValueError(f"joint {asked!r} needs a partner {name!r} on the other side; rename the joints")
        return self.names.index(name)

    def lateral_axis(self) -> int:
        """0, 1 or 2: the axis from side to side, along which the rest pose is its own mirror image.

        Raises:
            ValueError: the rest pose is not symmetric to a centimetre, or no joints are named left and right.
        """
        other = self.swapped()
        rest = torch.tensor(self.offsets, dtype=torch.float64)
        if other == tuple(range(len(self))):
            raise ValueError("mirroring needs joints named left and right, got none; rename the joints")
        axis = int((rest - rest[list(other)]).abs().sum(0).argmax())
        flipped = rest[list(other)]
        flipped[:, axis] *= -1
        if bool(((flipped - rest).abs() > 0.01).any()):
            raise ValueError("mirroring needs a symmetric rest pose, but both sides differ by more than 1 cm")
        return axis


def side_of(name: str) -> str:
    """ "left", "right" or "" for the name of a joint: the word in it, or a letter apart (LHipJoint, thigh.L, l_hip)."""
    lower = name.lower()
    for side in ("right", "left"):
        if side in lower:
            return side
    letter = _LETTER.search(name)
    return {"l": "left", "r": "right"}[letter[0].lower()] if letter else ""


def without_side(name: str) -> str:
    """The name of a joint without what :func:`side_of` finds in it."""
    side = side_of(name)
    if side and side in name.lower():
        place = name.lower().index(side)
        return f"{name[:place]} {name[place + len(side) :]}"
    letter = _LETTER.search(name)
    return f"{name[: letter.start()]} {name[letter.end() :]}" if letter else name


def _other_side(name: str) -> str:
    for one, two in _PAIRS:
        for old, new in ((one, two), (two, one)):
            if old in name:
                return name.replace(old, new)
    letter = _LETTER.search(name)
    return name[: letter.start()] + letter[0].translate(_FLIPPED) + name[letter.end() :] if letter else name


def joint_positions(rotations: Tensor, skeleton: Skeleton) -> Tensor:
    """Forward kinematics with the root at the origin; gradients pass through.

    Args:
        rotations: float [..., joints, 3, 3], of each joint in its parent's frame.
        skeleton: the joints.

    Returns:
        float [..., joints, 3], metres, relative to the root.
    """
    return joint_frames(rotations, skeleton)[1]


def joint_frames(rotations: Tensor, skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    """Rotations in the world, float [..., joints, 3, 3], and what :func:`joint_positions` gives; its arguments."""
    turned: list[Tensor] = []
    points: list[Tensor] = []
    offsets = torch.tensor(skeleton.offsets, dtype=rotations.dtype, device=rotations.device)
    for joint, parent in enumerate(skeleton.parents):
        local = rotations[..., joint, :, :]
        if parent < 0:
            turned.append(local)
            points.append(torch.zeros_like(local[..., 0]))
            continue
        points.append(points[parent] + (turned[parent] * offsets[joint]).sum(-1))
        fixed = skeleton.kinds[joint] == "fixed"
        turned.append(turned[parent] if fixed else matmul3(turned[parent], local))
    return torch.stack(turned, -3), torch.stack(points, -2)


def from_parents(whole: Sequence[Tensor], parents: Sequence[int], frame: Tensor | None = None) -> Tensor:
    """Rotations of joints as quaternions [..., joints, 4], each in the frame of its parent.

    Args:
        whole: of each joint, [..., 3, 3], all in one frame.
        parents: of each joint; the first one is the root.
        frame: that frame in the world, in which the root stays; None for the world itself.
    """
    local = [whole[0] if frame is None else matmul3(frame, whole[0])]
    for joint, parent in enumerate(parents[1:], 1):
        local.append(matmul3(whole[parent].transpose(-1, -2), whole[joint]))
    return from_matrix(torch.stack(local, -3))

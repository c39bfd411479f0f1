"""Retargeting: the same motion on another body, by the names of joints.

Arrow: MotionClip on one skeleton --**retargeted**--> MotionClip on another. Does not know: files, codes.

What is kept is where bones point in the world, not rotations: at rest some bodies stand with arms stretched out, some
with arms down, and of some every bone lies along its own x axis (LaFAN).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tokenmask.modalities.motion.joint_names import NEEDED, standard_parts
from tokenmask.modalities.motion.joints import Skeleton, from_parents, joint_frames
from tokenmask.modalities.motion.media import MotionClip
from tokenmask.modalities.motion.rotations import matmul3, to_matrix, turn

_STRAIGHT = 0.05  # sine of the angle at a knee below which its axis is taken from the body, not from the bones
_AT_ONCE = 4096  # frames, so that an hour needs no more memory than its result
_NOTHING = 1e-6  # metres; a shorter bone points nowhere
_NEXT = {
    "hip_joint": "upper_leg",
    "upper_leg": "lower_leg",
    "lower_leg": "foot",
    "foot": "toe",
    "clavicle": "upper_arm",
    "upper_arm": "lower_arm",
    "lower_arm": "hand",
}


def retargeted(clip: MotionClip, skeleton: Skeleton) -> MotionClip:
    """The motion on another skeleton: its bones point where those of the same name did.

    Bones of balls point there exactly, those of hinges as far as their axis lets them; a ball above a hinge turns so
    that the hinge can. What a bone's turn about itself is, follows the body's left and front at rest. The root's path
    is scaled by the length of the legs. Joints that the clip's skeleton lacks (fingers, toes) stay as at rest; those
    that ``skeleton`` lacks are left out.

    Raises:
        ValueError: joints that the names of LaFAN, CMU, Mixamo and the like do not tell, listed; legs without length.
    """
    source, target = _Body.of(clip.skeleton), _Body.of(skeleton)
    missing = [f"{side}_{part}" for side in ("left", "right") for part in NEEDED]
    for body in (source, target):
        lacks = [part for part in missing if part not in body.parts]
        if lacks:
            others = set(range(len(body.skeleton))) - set(body.parts.values())
            names = [body.skeleton.names[joint] for joint in sorted(others) if body.skeleton.kinds[joint] != "fixed"]
            raise ValueError(
                f"a motion is retargeted by the names of joints, but none is called what {', '.join(lacks)} are, got "
                f"{', '.join(names) or 'no other joints'}; rename them as in LaFAN, CMU or Mixamo (LeftUpLeg, LeftLeg, "
                "LeftFoot, LeftArm, LeftForeArm)"
            )
    if min(source.leg, target.leg) < _NOTHING:
        raise ValueError(
            "a motion is retargeted by the length of its legs, but all their joints are in one place; export it with "
            "the offsets of its joints"
        )
    bones = [_Bone.between(source, target, joint) for joint in range(len(skeleton))]
    rotations = torch.empty(len(clip), len(skeleton), 4)
    for begin in range(0, len(clip), _AT_ONCE):
        part = clip.rotations[begin : begin + _AT_ONCE]
        rotations[begin : begin + len(part)] = _followed(part, source, target, bones)
    path = clip.root_positions.double() * (target.leg / source.leg)
    return MotionClip(path.float(), rotations, clip.frame_rate_hz, skeleton)


def _followed(rotations: Tensor, source: _Body, target: _Body, bones: Sequence[_Bone | None]) -> Tensor:
    """Rotations float32 [frames, joints, 4] of one body -> of the other, frame by frame."""
    skeleton = target.skeleton
    turned, points = joint_frames(to_matrix(rotations.double()), source.skeleton)
    axes = matmul3(turned, source.axes.expand_as(turned))  # where left, up and front of each joint point
    world: list[Tensor] = [matmul3(axes[:, 0], target.axes.T)]
    for joint, parent in enumerate(skeleton.parents[1:], 1):
        bone, kind = bones[joint], skeleton.kinds[joint]
        if bone is None or kind == "fixed":
            world.append(world[parent])
        elif kind == "hinge":
            world.append(_hinge(bone, skeleton.axes[joint], world[parent], points))
        else:
            made = _ball(bone, target, axes[:, bone.source], points)
            below = None if bone.end is None else bones[bone.end]
            if below is not None and skeleton.kinds[below.joint] == "hinge" and skeleton.parents[below.joint] == joint:
                made = _turned_for(bone, below, skeleton.axes[below.joint], made, points)
            world.append(made)
    return from_parents(world, skeleton.parents).float()


@dataclass(frozen=True, eq=False)
class _Body:
    """A skeleton at rest.

    Args:
        skeleton: the joints.
        parts: see :func:`standard_parts`.
        rest: float64 [joints, 3], where joints are.
        axes: float64 [3, 3], columns that point to the body's left, up and front.
        leg: how far below the root a foot is when the leg is stretched.
    """

    skeleton: Skeleton
    parts: dict[str, int]
    rest: Tensor
    axes: Tensor = field(default_factory=lambda: torch.eye(3, dtype=torch.float64))
    leg: float = 1.0

    @classmethod
    def of(cls, skeleton: Skeleton) -> _Body:
        """A body without legs or arms keeps the standard axes; it is refused."""
        parts = standard_parts(skeleton)
        still = torch.eye(3, dtype=torch.float64).expand(len(skeleton), 3, 3)
        rest = joint_frames(still, skeleton)[1]
        if not {"left_upper_leg", "right_upper_leg", "left_lower_leg", "left_foot", "left_upper_arm"} <= set(parts):
            return cls(skeleton, parts, rest)
        left = _unit(rest[parts["left_upper_leg"]] - rest[parts["right_upper_leg"]])
        top = parts.get("neck", parts.get("head", skeleton.parents[parts["left_upper_arm"]]))
        up = _unit(_across(rest[top], left))
        hip, knee, foot = (rest[parts[f"left_{part}"]] for part in ("upper_leg", "lower_leg", "foot"))
        leg = float((knee - hip).norm() + (foot - knee).norm() - (hip * up).sum())
        return cls(skeleton, parts, rest, torch.stack([left, up, torch.linalg.cross(left, up)], -1), leg)

    def tip(self, joint: int) -> int | None:
        """The first joint that hangs on another one at a distance."""
        hanging = (other for other, parent in enumerate(self.skeleton.parents) if parent == joint)
        return next((other for other in hanging if math.hypot(*self.skeleton.offsets[other]) > _NOTHING), None)

    def end(self, part: str) -> int | None:
        """The joint that the bone of a part leads to."""
        side, _, limb = part.partition("_")
        trunk = ["root", *(f"spine{number}" for number in range(self.spine)), "neck", "head"]
        after = [f"{side}_{_NEXT[limb]}"] if limb in _NEXT else trunk[trunk.index(part) + 1 :] if part in trunk else []
        return next((self.parts[one] for one in after if one in self.parts), self.tip(self.parts[part]))

    def part_of(self, joint: int | None) -> str | None:
        """The part that begins at a joint."""
        return next((part for part, own in self.parts.items() if own == joint), None)

    @property
    def spine(self) -> int:
        """How many joints the trunk has between root and neck."""
        return sum(part.startswith("spine") for part in self.parts)


@dataclass(frozen=True, eq=False)
class _Bone:
    """What one joint of the new body follows.

    Args:
        joint: of the new body.
        end: the joint of the new body that its bone leads to, if any.
        along: the bone at rest, float64 [3] of length one; None if nothing of the old body tells where it points.
        source, towards: joints of the old body whose line it follows.
        beside: the axis of the body (left, up, front) that tells the turn about the bone.
    """

    joint: int
    end: int | None
    along: Tensor | None
    source: int
    towards: int
    beside: int = 0

    @classmethod
    def between(cls, source: _Body, target: _Body, joint: int) -> _Bone | None:
        """The bone of a joint; None where no joint of the old body stands for it."""
        part = target.part_of(joint)
        start = None if part is None else _counterpart(part, source, target)
        if part is None or start is None:
            return None
        end = target.end(part)
        after = target.part_of(end)
        towards = None if after is None else _counterpart(after, source, target)
        if towards is None or towards == start:  # tips, and trunks of fewer joints
            own = source.part_of(start)
            towards = source.tip(start) if own is None else source.end(own)
        if end is None or towards is None:
            return cls(joint, end, None, start, start)
        along, line = target.rest[end] - target.rest[joint], source.rest[towards] - source.rest[start]
        if min(float(along.norm()), float(line.norm())) < _NOTHING:
            return cls(joint, end, None, start, start)
        along, line = _unit(along), _unit(line)
        # The body's left, or its front for arms, which lie along the left in many rest poses; never along either bone.
        order = (2, 0, 1) if any(word in part for word in ("arm", "hand", "clavicle")) else (0, 2, 1)
        near = torch.maximum((along @ target.axes).abs(), (line @ source.axes).abs())
        return cls(joint, end, along, start, towards, next(axis for axis in order if float(near[axis]) < 0.8))

    def line(self, points: Tensor) -> Tensor:
        """Where it has to point, float64 [frames, 3] of length one, by the old body's joints [frames, joints, 3]."""
        return _unit(points[:, self.towards] - points[:, self.source])


def _counterpart(part: str, source: _Body, target: _Body) -> int | None:
    """The joint of the old body that stands for a part of the new one."""
    if part.startswith("spine"):  # trunks of different numbers of joints follow each other by share
        share = int(part.removeprefix("spine")) * source.spine // target.spine
        return source.parts.get(f"spine{share}", 0)
    if part in source.parts:
        return source.parts[part]
    if part.endswith("hip_joint"):
        return 0
    if part.endswith("clavicle"):  # from where the arms begin
        return source.skeleton.parents[source.parts[part.replace("clavicle", "upper_arm")]]
    return None


def _ball(bone: _Bone, target: _Body, axes: Tensor, points: Tensor) -> Tensor:
    """Rotations in the world, float64 [frames, 3, 3], of a joint that turns in any way.

    Args:
        bone: which one.
        target: its body.
        axes: float64 [frames, 3, 3], left, up and front of the joint that it follows.
        points: float64 [frames, joints, 3] of the old body.
    """
    if bone.along is None:
        return matmul3(axes, target.axes.T)
    turned = _basis(bone.line(points), axes[:, :, bone.beside])
    return matmul3(turned, _basis(bone.along, target.axes[:, bone.beside]).T)


def _turned_for(bone: _Bone, below: _Bone, axis: tuple[float, float, float], made: Tensor, points: Tensor) -> Tensor:
    """Rotations of a ball, turned about its bone so that the hinge at its end can point where it has to.

    The hinge's axis then stands across both bones, on the side where it would be without this turn. Of a straight limb
    the bones do not tell it, so it gradually stays where it was.
    """
    if bone.along is None or below.along is None:
        return made
    hinge = torch.tensor(axis, dtype=torch.float64)
    if abs(float(hinge @ bone.along)) > 0.8:
        return made
    ahead, before = bone.line(points), (made * hinge).sum(-1)
    across = torch.linalg.cross(ahead, below.line(points))
    across = torch.where((across * before).sum(-1, keepdim=True) < 0, -across, across)
    wanted = across + (_STRAIGHT - across.norm(dim=-1, keepdim=True)).clamp(min=0) * before
    return matmul3(_basis(ahead, wanted), _basis(bone.along, hinge).T)


def _hinge(bone: _Bone, axis: tuple[float, float, float], above: Tensor, points: Tensor) -> Tensor:
    """Rotations in the world, float64 [frames, 3, 3], of a joint that turns about one axis of the joint above it."""
    if bone.along is None:
        return above
    hinge = torch.tensor(axis, dtype=torch.float64)
    wanted = (above.transpose(1, 2) * bone.line(points)[:, None]).sum(-1)
    beside = _across(bone.along, hinge)
    angle = torch.atan2(wanted @ torch.linalg.cross(hinge, beside), wanted @ beside)
    return matmul3(above, to_matrix(turn(axis, angle)))


def _basis(along: Tensor, beside: Tensor) -> Tensor:
    """Orthogonal axes [..., 3, 3]: the first ``along``, of length one, the second as near to ``beside`` as can be."""
    second = _unit(_across(beside, along))
    return torch.stack([along, second, torch.linalg.cross(along, second)], -1)


def _across(vector: Tensor, along: Tensor) -> Tensor:
    """What is left of a vector across a direction of length one."""
    return vector - (vector * along).sum(-1, keepdim=True) * along


def _unit(vector: Tensor) -> Tensor:
    return torch.nn.functional.normalize(vector, dim=-1)

"""Motions of HumanML3D: arrays of joints or of its features, without a skeleton.

Arrow: .npy --**load_npy**--> MotionClip on the 22 joints of SMPL. Does not know: codes, networks, captions.
Source: Guo et al., Generating Diverse and Natural 3D Human Motions from Text (CVPR 2022); code, ``recover_from_ric``.
"""

from __future__ import annotations

import math
import re
from pathlib import Path
from tokenize import TokenError

import numpy as np
import torch
from torch import Tensor

from tokenmask.modalities.motion.joints import Skeleton
from tokenmask.modalities.motion.media import MotionClip
from tokenmask.modalities.motion.rotations import from_matrix, to_matrix, turn
from tokenmask.modalities.motion.upright import up_axis
from tokenmask.modalities.riddles import ARRAYS, in_our_words
from tokenmask.telling import tell

RATE_HZ, FEATURES = 20.0, 263
_POINT = 1e-3  # of a body's size: what is smaller in a frame is none
_UNREADABLE = (  # what NumPy raises over a damaged header
    *(OSError, ValueError, TypeError, KeyError, EOFError, SyntaxError, OverflowError, MemoryError, RecursionError),
    TokenError,
)
NAMES = (
    *("pelvis", "left_hip", "right_hip", "spine1", "left_knee", "right_knee", "spine2", "left_ankle", "right_ankle"),
    *("spine3", "left_foot", "right_foot", "neck", "left_collar", "right_collar", "head", "left_shoulder"),
    *("right_shoulder", "left_elbow", "right_elbow", "left_wrist", "right_wrist"),
)
PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19)
_DOWN, _UP, _AHEAD = (0.0, -1.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)
_REST = {4: _DOWN, 5: _DOWN, 7: _DOWN, 8: _DOWN, 10: _AHEAD, 11: _AHEAD, 6: _UP, 9: _UP, 15: _UP} | dict.fromkeys(
    (18, 19, 20, 21), _DOWN
)  # directions of bones at rest, with arms down; those of the shoulders point sideways
_SIDEWAYS = {16: (1.0, 0.0, 0.0), 17: (-1.0, 0.0, 0.0)}


def load_npy(path: str | Path) -> MotionClip:
    """A clip at 20 Hz of joints [frames, 22, 3], metres, y up, or of features [frames, 263].

    Bones have their mean length, and both sides the same; turns about a bone's own length, which points do not tell,
    are left out.

    Raises:
        ValueError: no such file, or another array.
    """
    if not Path(path).is_file():
        raise ValueError(f"a motion is read from a file, but {path} is none; check the path")
    try:
        values = np.load(path, allow_pickle=False)
    except _UNREADABLE as error:
        reason = in_our_words(error, ARRAYS, "it is damaged, or cut short")
        raise ValueError(f"{path} must be an array of NumPy, but cannot be read ({reason}); save it again") from error
    features = values.ndim == 2 and values.shape[1] == FEATURES
    if not len(values) or not (features or values.shape[1:] == (len(NAMES), 3)) or values.dtype.kind != "f":
        raise ValueError(
            f"{path} must hold float [frames, 22, 3] (joints) or [frames, 263] (features), got {values.dtype} "
            f"{list(values.shape)}; save one of these"
        )
    points = torch.from_numpy(values.astype(np.float64))
    if not bool(points.isfinite().all()):
        frame = int((~points.isfinite()).flatten(1).any(1).nonzero()[0])
        raise ValueError(f"{path} must hold finite numbers, but frame {frame + 1} does not; drop those frames")
    points = joints_of(points) if features else points
    clip = clip_of(points)
    for doubt in _doubts(points, clip):
        tell(f"{path}: {doubt}")
    return clip


def _doubts(points: Tensor, clip: MotionClip) -> list[str]:
    """What is told of frames [frames, 22, 3] that hold no body, and of a body whose y is not up."""
    found: list[str] = []
    size = (points - points[:, :1]).abs().flatten(1).amax(1)
    empty = int((size <= _POINT * size.max()).sum())
    if 0 < empty < len(points):
        found.append(f"in {empty} of its {len(points)} frames all joints are in one place: cut off what fills it up")
    seen: list[str] = []
    up_axis(clip.root_positions.double(), clip.rotations, clip.skeleton, seen)
    for one in seen:  # a cure for files of another kind stands behind
        found.append(f"{re.split('[,;]', one)[0]}, but y must be up: turn its axes if that is wrong")
    return found


def joints_of(features: Tensor) -> Tensor:
    """Features float64 [frames, 263] -> joints [frames, 22, 3]: the paths of the root are sums of steps."""
    start = torch.zeros(1, dtype=features.dtype)
    angles = torch.cat([start, features[:-1, 0].cumsum(0)])
    back = to_matrix(turn(_UP, -2 * angles))  # its quaternions hold whole angles where half ones belong
    steps = torch.zeros(len(features), 3, dtype=features.dtype)
    steps[1:, 0], steps[1:, 2] = features[:-1, 1], features[:-1, 2]
    root = (back * steps[:, None]).sum(-1).cumsum(0)
    others = (back[:, None] * features[:, 4:67].view(-1, 21, 1, 3)).sum(-1)
    others[..., 0] += root[:, None, 0]
    others[..., 2] += root[:, None, 2]
    root[:, 1] = features[:, 3]
    return torch.cat([root[:, None], others], 1)


def clip_of(points: Tensor) -> MotionClip:
    """Joints float64 [frames, 22, 3] -> a clip with the same joints, where bones keep their length."""
    offsets = _rest(points)
    children = {joint: [one for one, parent in enumerate(PARENTS) if parent == joint] for joint in range(len(NAMES))}
    whole: list[Tensor] = []
    local: list[Tensor] = []
    eye = torch.eye(3, dtype=points.dtype).expand(len(points), 3, 3)
    for joint, parent in enumerate(PARENTS):
        above = whole[parent] if parent >= 0 else eye
        own = eye
        if children[joint]:
            bones = points[:, children[joint]] - points[:, joint, None]
            seen = (above.transpose(1, 2)[:, None] * bones[:, :, None]).sum(-1)  # in the parent's frame
            own = _turned(offsets[children[joint]], seen)
        local.append(own)
        whole.append(above @ own)
    kinds = tuple("ball" if children[joint] else "fixed" for joint in range(len(NAMES)))
    places = tuple((float(x), float(y), float(z)) for x, y, z in offsets.tolist())
    skeleton = Skeleton(NAMES, PARENTS, places, kinds, ((0.0, 0.0, 0.0),) * len(NAMES))
    return MotionClip(points[:, 0].float(), from_matrix(torch.stack(local, 1)).float(), RATE_HZ, skeleton)


def _turned(rest: Tensor, seen: Tensor) -> Tensor:
    """The rotations [frames, 3, 3] that bring rest [bones, 3] nearest to seen [frames, bones, 3].

    One bone goes the shortest way; of several it is the best fit (Kabsch, 1976).
    """
    if len(rest) > 1:
        left, _, right = torch.linalg.svd(seen.transpose(1, 2) @ rest)
        sign = torch.linalg.det(left @ right)
        left = torch.cat([left[..., :2], left[..., 2:] * sign[:, None, None]], -1)
        fit: Tensor = left @ right
        return fit
    one = torch.nn.functional.normalize(rest[0], dim=0)
    other = torch.nn.functional.normalize(seen[:, 0], dim=1)
    cosine = (other * one).sum(-1)
    side = torch.linalg.cross(one.expand_as(other), other)
    aside = torch.linalg.cross(one, torch.eye(3, dtype=rest.dtype)[int(one.abs().argmin())])
    opposite = cosine < -1 + 1e-9  # any way round is as short
    side = torch.where(opposite[:, None], aside / aside.norm(), side)
    angle = torch.where(opposite, torch.full_like(cosine, math.pi), torch.atan2(side.norm(dim=1), cosine))
    axis = torch.nn.functional.normalize(side, dim=1)
    return to_matrix(torch.cat([(angle / 2).cos()[:, None], (angle / 2).sin()[:, None] * axis], 1))


def _rest(points: Tensor) -> Tensor:
    """Offsets [22, 3] of a body that stands, looks along z and has its left at x: bones of their mean length."""
    offsets = torch.zeros(len(NAMES), 3, dtype=points.dtype)
    lengths = (points - points[:, [max(parent, 0) for parent in PARENTS]]).norm(dim=-1).mean(0)
    for joint, direction in (_REST | _SIDEWAYS).items():
        offsets[joint] = lengths[joint] * torch.tensor(direction, dtype=points.dtype)
    for joint, left, right, up in ((0, 1, 2, 3), (9, 13, 14, 12)):  # several bones: as they stand to each other
        across = torch.nn.functional.normalize(points[:, left] - points[:, right], dim=1)
        upward = points[:, up] - points[:, joint]
        upward = torch.nn.functional.normalize(upward - (upward * across).sum(1, keepdim=True) * across, dim=1)
        frame = torch.stack([across, upward, torch.linalg.cross(across, upward)], 1)
        for child in (left, right, up):
            offsets[child] = (frame * (points[:, child] - points[:, joint])[:, None]).sum(-1).mean(0)
    mirror = torch.tensor([-1.0, 1.0, 1.0], dtype=points.dtype)
    for joint, name in enumerate(NAMES):
        if name.startswith("left_"):
            other = NAMES.index(name.replace("left_", "right_"))
            offsets[joint] = (offsets[joint] + offsets[other] * mirror) / 2
            offsets[other] = offsets[joint] * mirror
        elif not name.startswith("right_"):
            offsets[joint, 0] = 0
    return offsets

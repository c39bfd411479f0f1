"""Where a motion goes, and how decoded frames are led from one kept frame to the next.

Does not know: codes, networks.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tokenmask.modalities.keeping import check_keep, length_of, places_of, places_taken
from tokenmask.modalities.motion.features import UP, body_parts, heading
from tokenmask.modalities.motion.joints import Skeleton
from tokenmask.modalities.motion.media import MotionClip, frames_at
from tokenmask.modalities.motion.rotations import multiply, to_matrix, turn
from tokenmask.modalities.seams import bridged

_BENT_FRAMES = 6.0  # over which what is made bends to what is kept beside it


def headings(clip: MotionClip, lateral: int) -> Tensor:
    """float64 [frames], radians."""
    return heading(to_matrix(clip.rotations[:, 0].double()), lateral)


def turned_about(points: Tensor, angle: Tensor) -> Tensor:
    """float64 points [..., 3] about the vertical."""
    return (to_matrix(turn(UP, angle)) * points[..., None, :]).sum(-1)


def travelled(clip: MotionClip, lateral: int, frames: int) -> tuple[Tensor, float]:
    """Where frame ``frames`` - 1 is, seen from the first one, along the ground; and by how much the heading turned."""
    angles = headings(clip, lateral)
    way = (clip.root_positions[frames - 1] - clip.root_positions[0]).double()
    return turned_about(way, -angles[0])[[0, 2]], float(angles[frames - 1] - angles[0])


def _signed(poses: Tensor, start: Tensor) -> Tensor:
    """Poses with the signs of quaternions chosen so that each is near the one before it, the first near ``start``.

    Args:
        poses: float64 [frames, 3 + joints * 4].
        start: float [joints, 4].
    """
    fixed, last = poses.clone(), start.double()
    for frame in fixed:
        turns = frame[3:].view(-1, 4)
        turns *= torch.where((turns * last).sum(-1, keepdim=True) < 0, -1.0, 1.0)
        last = turns
    return fixed


def _bent(path: Tensor, turned: Tensor, source: MotionClip, first: int, stop: int) -> tuple[Tensor, Tensor]:
    """What is made of frames ``first`` to ``stop``, float64 [n, 3] and float32 [n, joints, 4], bent to what is kept."""
    middle = _signed(torch.cat([path, turned.flatten(1).double()], 1), turned[0])
    around = [torch.arange(max(first - 2, 0), first), torch.arange(stop, min(stop + 2, len(source)))]
    poses = [torch.cat([source.root_positions[at], source.rotations[at].flatten(1)], 1).double() for at in around]
    nearest = middle[[0, -1], 3:].reshape(2, -1, 4)
    before, after = (_signed(pose, start) for pose, start in zip(poses, nearest, strict=True))
    bent = bridged(middle, before, after, _BENT_FRAMES)
    return bent[:, :3], torch.nn.functional.normalize(bent[:, 3:].reshape(len(bent), -1, 4), dim=-1).float()


def kept_of_parts(keep: Tensor, groups: Sequence[Sequence[int]]) -> Tensor:
    """bool [time, parts], the body parts that are kept: of codes bool [time, levels] those of which every code is."""
    return torch.stack([keep[:, list(group)].all(1) for group in groups], 1)


def still_joints(parts: Tensor, skeleton: Skeleton) -> Tensor:
    """bool [frames, joints] of a body, which stay as they are: of bool [frames, parts] all but those of parts made."""
    still = torch.ones(len(parts), len(skeleton.names), dtype=torch.bool)
    for part, joints in enumerate(body_parts(skeleton)):
        still[:, list(joints)] = parts[:, part, None]
    return still


def into(made: MotionClip, given: MotionClip, keep: Tensor) -> MotionClip:
    """:func:`joined` on the body and at the rate of what is given.

    Args:
        made: with its stream; retargeted and resampled.
        given: a clip of any rate, on any body whose joints have the usual names. Where the stream goes on behind its
            end, so does the result.
        keep: bool [time], places of the stream, bool [frames of the result], or bool [time, levels], codes of the
            stream: in a frame in which not all are kept stay the body parts of which all are.

    Returns:
        on the body and at the rate of ``given``, with the stream of ``made``; of its length too, or longer.

    Raises:
        ValueError: a keep of another shape, or a body that nothing is retargeted to.
    """
    assert made.stream is not None and made.stream.spec.rate_hz is not None  # it was decoded
    places, rate, rate_hz = made.stream.grid[0], given.frame_rate_hz, made.stream.spec.rate_hz
    coded = frames_at(made.frame_rate_hz, len(given), rate)
    size = length_of(len(given), rate, coded, len(made), made.frame_rate_hz, rate_hz)
    check_keep(keep, (size,), (places,), tuple(made.stream.codes.shape))
    parts = kept_of_parts(keep, made.stream.spec.level_groups) if keep.dim() == 2 else keep[:, None]
    if len(keep) != size or keep.dim() == 2:
        taken = places_taken(coded, made.frame_rate_hz, rate_hz)
        parts = parts[places_of(size, rate, rate_hz, places, own=len(given), taken=taken)]
    parts = parts.clone()
    parts[len(given) :] = False
    anew = made.on(given.skeleton)
    if rate != made.frame_rate_hz or size != len(made):
        anew = anew.at(torch.arange(size, dtype=torch.float64) * (made.frame_rate_hz / rate), rate)
    frames = torch.arange(size).clamp(max=len(given) - 1)
    source = MotionClip(given.root_positions[frames], given.rotations[frames], rate, given.skeleton)
    still = still_joints(parts, source.skeleton) if parts.shape[1] > 1 else None
    return replace(joined(anew, source, parts.all(1), source.skeleton.lateral_axis(), still), stream=made.stream)


def joined(made: MotionClip, source: MotionClip, keep: Tensor, lateral: int, still: Tensor | None = None) -> MotionClip:
    """Kept frames of ``source``; runs between them from ``made``, led from one kept frame to the next.

    Places and headings are led along the whole run; then all is bent so that no pose and no velocity jumps. Joints that
    are ``still``, bool [frames, joints], turn as in ``source`` in the runs, too; with the first stays the body's place.
    """
    place, rotation = source.root_positions.clone(), source.rotations.clone()
    wanted, own = headings(source, lateral), headings(made, lateral)
    edges = torch.nn.functional.pad(keep.int(), (1, 1), value=1).diff()
    for first, stop in zip((edges < 0).nonzero()[:, 0].tolist(), (edges > 0).nonzero()[:, 0].tolist(), strict=True):
        anchors = [frame for frame in (first - 1, stop) if 0 <= frame < len(keep)]
        run = torch.arange(first, stop)
        path, turned = made.root_positions[run].double(), made.rotations[run].clone()
        if anchors:
            begin = anchors[0]
            angle = wanted[begin] - own[begin]
            path = turned_about(path - made.root_positions[begin].double(), angle)
            path = path + source.root_positions[begin].double() * torch.tensor([1.0, 0.0, 1.0])
            path[:, 1] = made.root_positions[run, 1].double()
            angles = angle.expand(len(run))
            if len(anchors) == 2:
                share = (1 - torch.cos(math.pi * (run - begin).double() / (stop - begin))) / 2  # at rest at both ends
                rest = torch.remainder(wanted[stop] - own[stop] - angle + math.pi, 2 * math.pi) - math.pi
                angles = angle + share * rest
                end = turned_about((made.root_positions[stop] - made.root_positions[begin]).double(), angle)
                missing = (source.root_positions[stop] - source.root_positions[begin]).double() - end
                path = path + share[:, None] * missing * torch.tensor([1.0, 0.0, 1.0])
            turned[:, 0] = multiply(turn(UP, angles), turned[:, 0].double()).float()
        if anchors:
            path, turned = _bent(path, turned, source, first, stop)
        if still is not None:
            turned = torch.where(still[run, :, None], rotation[run], turned)
            path = torch.where(still[run, :1], place[run].double(), path)
        place[run], rotation[run] = path.float(), turned
    return MotionClip(place, rotation, made.frame_rate_hz, made.skeleton, made.stream)

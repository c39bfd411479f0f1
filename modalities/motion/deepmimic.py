"""Motion captures of DeepMimic and the skeleton they belong to.

Arrow: URDF --load_urdf_skeleton--> Skeleton; JSON --load_deepmimic--> MotionClip. Does not know: codes, features.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from tokenmask.modalities.motion.joints import Skeleton
from tokenmask.modalities.motion.media import MotionClip, whole_rate
from tokenmask.modalities.motion.rotations import turn

_MOST_FRAMES = 1 << 22  # of a motion, some days of it
_URDF_SCALE = 0.25  # DeepMimic's humanoid is written four times its size


def load_urdf_skeleton(path: str | Path, scale: float = _URDF_SCALE) -> Skeleton:
    """The joints of a URDF file, in its order, plus the tips of what ends in a moving joint (head, toes).

    Args:
        path: a URDF whose joints are spherical, revolute or fixed and not turned at rest. Its first joint is the root.
        scale: metres in a unit of the file; DeepMimic's humanoid is written four times its size.

    Raises:
        ValueError: no such file, or no such URDF.
    """
    from xml.etree import ElementTree

    def numbers(element: Any, name: str) -> tuple[float, float, float]:
        x, y, z = (float(part) for part in element.get(name).split())
        return x, y, z

    if not Path(path).is_file():
        raise ValueError(f"a skeleton is read from a URDF file, but {path} is none; check the path")
    try:
        tree = ElementTree.fromstring(Path(path).read_bytes().rstrip(b"\0"))
        joints = tree.findall("joint")
        links = [joint.find("child").get("link") for joint in joints]  # type: ignore[union-attr]
        kinds = ["ball"] + [
            {"spherical": "ball", "revolute": "hinge", "fixed": "fixed"}[joint.get("type", "")] for joint in joints[1:]
        ]
        parents = [-1] + [links.index(joint.find("parent").get("link")) for joint in joints[1:]]  # type: ignore[union-attr]
        names, own = [], {-1: -1}
        rows: list[tuple[int, tuple[float, float, float], str, tuple[float, float, float]]] = []

        def add(name: str, parent: int, offset: Sequence[float], kind: str, axis: tuple[float, float, float]) -> None:
            names.append(name)
            x, y, z = (scale * part for part in offset)
            rows.append((parent, (x, y, z), kind, axis))

        for place, joint in enumerate(joints):
            axis = numbers(joint.find("axis"), "xyz") if kinds[place] == "hinge" else (0.0, 0.0, 0.0)
            own[place] = len(names)
            add(joint.get("name", ""), own[parents[place]], numbers(joint.find("origin"), "xyz"), kinds[place], axis)
            shape = tree.find(f"link[@name='{links[place]}']/collision")
            if place in parents or kinds[place] == "fixed" or shape is None:
                continue
            tip = list(numbers(shape.find("origin"), "xyz"))
            box = shape.find("geometry/box")
            if box is not None:  # a foot: its front, not its middle
                size = numbers(box, "size")
                longest = size.index(max(size))
                tip[longest] += size[longest] / 2
            add(f"{names[-1]}_end", own[place], tip, "fixed", (0.0, 0.0, 0.0))
        parents_of, offsets, kinds_of, axes = zip(*rows, strict=True)
        return Skeleton(tuple(names), parents_of, offsets, kinds_of, axes)
    except (ElementTree.ParseError, AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"{path} must be a URDF of a skeleton, but cannot be read ({error}); check it") from error


def load_deepmimic(path: str | Path, urdf: str | Path | Skeleton) -> MotionClip:
    """A DeepMimic reference motion.

    Args:
        path: JSON with "Frames": duration in seconds, root position, then a quaternion w x y z for each ball and an
            angle in radians for each hinge, in the skeleton's order.
        urdf: the skeleton, or the file for :func:`load_urdf_skeleton`.

    Returns:
        A clip at the file's own rate; frames of unequal duration are brought to the most common one.

    Raises:
        ValueError: no such file, or not that format.

    Source: DeepMimic, arXiv:1804.02717.
    """
    skeleton = urdf if isinstance(urdf, Skeleton) else load_urdf_skeleton(urdf)
    if not Path(path).is_file():
        raise ValueError(f"a motion is read from a file, but {path} is none; check the path")
    try:
        frames = torch.tensor(json.loads(Path(path).read_text(encoding="utf-8"))["Frames"], dtype=torch.float64)
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} must be a DeepMimic motion, but cannot be read ({error}); export it again") from error
    wanted = 4 + sum({"ball": 4, "hinge": 1, "fixed": 0}[kind] for kind in skeleton.kinds)
    if frames.dim() != 2 or len(frames) < 2 or frames.shape[1] != wanted:
        raise ValueError(f"{path} must hold frames of {wanted} numbers, got {list(frames.shape)}; check the skeleton")
    durations = frames[:-1, 0]
    if not bool(durations.isfinite().all() and (durations >= 0).all()):
        wrong = next(float(one) for one in durations if not 0 <= float(one) < math.inf)
        raise ValueError(f"{path} must have frames of finite durations from 0 on, got {wrong} s; export it again")
    step = float(durations.median())
    if step <= 0:
        raise ValueError(f"{path} must have frames that last, got {step} s for one; export it again")
    if float(durations.sum()) > _MOST_FRAMES * step:
        raise ValueError(
            f"{path} must last at most {_MOST_FRAMES} frames of {step:g} s, got {float(durations.sum()):g} s in all; a "
            "duration is wrong"
        )
    rotations = torch.zeros(len(frames), len(skeleton), 4, dtype=torch.float64)
    rotations[..., 0] = 1
    place = 4
    for joint, kind in enumerate(skeleton.kinds):
        if kind == "ball":
            rotations[:, joint] = torch.nn.functional.normalize(frames[:, place : place + 4], dim=-1)
            place += 4
        elif kind == "hinge":
            rotations[:, joint] = turn(skeleton.axes[joint], frames[:, place])
            place += 1
    clip = MotionClip(frames[:, 1:4].float(), rotations.float(), whole_rate(step), skeleton)
    if bool(((durations - step).abs() < 1e-4).all()):
        return clip
    ends = torch.cat([torch.zeros(1, dtype=torch.float64), durations.cumsum(0)])
    times = torch.arange(math.floor(float(ends[-1]) / step + 1e-4) + 1, dtype=torch.float64) * step
    before = (torch.searchsorted(ends, times, right=True) - 1).clamp(max=len(frames) - 2)
    return clip.at(before + (times - ends[before]) / durations[before].clamp(min=1e-9), whole_rate(step))

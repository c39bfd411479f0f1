"""BVH files (Biovision hierarchy), which animation programs read and write.

Arrow: .bvh --load_bvh--> MotionClip --save_bvh--> .bvh. Does not know: codes, features.
"""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from tokenmask.files import write_text_atomic
from tokenmask.modalities.motion.bvh_frames import rows
from tokenmask.modalities.motion.joints import Skeleton
from tokenmask.modalities.motion.media import MotionClip
from tokenmask.modalities.motion.rotations import multiply, to_matrix, turn, turn_angle
from tokenmask.modalities.motion.units import units_of
from tokenmask.modalities.motion.upright import AXES, turned_upright, up_axis

MAX_JOINTS = 4096
_CENTIMETRES = 100.0  # what a unit of a BVH file is to most programs
_STRETCH = 0.02  # of a bone's length, from which on a change of it is told
_AXES = {"X": (1.0, 0.0, 0.0), "Y": (0.0, 1.0, 0.0), "Z": (0.0, 0.0, 1.0)}


def save_bvh(clip: MotionClip, path: str | Path, units_per_metre: float = _CENTIMETRES) -> None:
    """Writes a BVH file: one hierarchy, degrees, rotations z, x, y; hinges about z, x or y have one number.

    Fixed joints without children become end sites, which have no names in this format.

    Args:
        clip: the motion.
        path: of the file.
        units_per_metre: length units of the file; 100, the default, is centimetres.
    """
    skeleton = clip.skeleton
    children: list[list[int]] = [[] for _ in skeleton.names]
    for joint, parent in enumerate(skeleton.parents[1:], 1):
        children[parent].append(joint)
    lines, order = ["HIERARCHY"], []

    def offset(joint: int) -> str:
        # Programs differ in whether a root's positions are added to its offset, so it has none.
        return "OFFSET " + " ".join(f"{units_per_metre * x if joint else 0.0:.6f}" for x in skeleton.offsets[joint])

    def channels(joint: int) -> str:
        hinge = _hinge_letter(skeleton, joint)
        turns = [f"{hinge}rotation"] if hinge else ["Zrotation", "Xrotation", "Yrotation"]
        moves = [] if joint else ["Xposition", "Yposition", "Zposition"]
        return f"CHANNELS {len(moves + turns)} {' '.join(moves + turns)}"

    def write(joint: int, depth: int) -> None:
        pad = "\t" * depth
        if joint and skeleton.kinds[joint] == "fixed" and not children[joint]:
            lines.extend([f"{pad}End Site", f"{pad}{{", f"{pad}\t{offset(joint)}", f"{pad}}}"])
            return
        order.append(joint)
        word = "JOINT" if joint else "ROOT"
        lines.extend([f"{pad}{word} {'_'.join(skeleton.names[joint].split())}", f"{pad}{{"])
        lines.extend([f"{pad}\t{offset(joint)}", f"{pad}\t{channels(joint)}"])
        for child in children[joint]:
            write(child, depth + 1)
        if not children[joint]:  # programs expect every branch to end in a site
            lines.extend([f"{pad}\tEnd Site", f"{pad}\t{{", f"{pad}\t\tOFFSET 0.0 0.0 0.0", f"{pad}\t}}"])
        lines.append(f"{pad}}}")

    write(0, 0)
    columns = [clip.root_positions.double() * units_per_metre]
    for joint in order:
        turns = clip.rotations[:, joint].double()
        hinge = _hinge_letter(skeleton, joint)
        if hinge:
            columns.append(turn_angle(turns, _AXES[hinge])[:, None].rad2deg())
        else:
            columns.append(_zxy_degrees(to_matrix(torch.nn.functional.normalize(turns, dim=-1))))
    rows = torch.cat(columns, 1).tolist()
    lines += ["MOTION", f"Frames: {len(clip)}", f"Frame Time: {1 / clip.frame_rate_hz:.12f}"]
    lines += [" ".join(f"{number:.6f}" for number in row) for row in rows]
    write_text_atomic(path, "\n".join(lines) + "\n")


def _hinge_letter(skeleton: Skeleton, joint: int) -> str:
    """X, Y or Z for a hinge about that axis, "" for other joints."""
    for letter, axis in _AXES.items():
        if joint and skeleton.kinds[joint] == "hinge" and math.dist(axis, skeleton.axes[joint]) < 1e-3:
            return letter
    return ""


def _zxy_degrees(m: Tensor) -> Tensor:
    """float64 [..., 3, 3] = Rz Rx Ry -> angles [..., 3] of z, x and y."""
    x = m[..., 2, 1].clamp(-1, 1).asin()
    level = m[..., 2, 1].abs() > 1 - 1e-9  # looking straight along: only the sum of z and y is defined
    z = torch.where(level, torch.atan2(m[..., 1, 0], m[..., 0, 0]), torch.atan2(-m[..., 0, 1], m[..., 1, 1]))
    y = torch.where(level, torch.zeros_like(z), torch.atan2(-m[..., 2, 0], m[..., 2, 2]))
    return torch.stack([z, x, y], -1).rad2deg()


def load_bvh(path: str | Path, units_per_metre: float | None = None, up: str | None = None) -> MotionClip:
    """Reads a BVH file with any order of the standard channels.

    A joint with one rotation is a hinge, one without is fixed, and so is an end site, named after its joint with
    "_end". Positions count for the root, in place of its offset, which many programs fill with its place in the first
    frame; those of other joints replace their offsets too, where they are not zero throughout, by their median over
    time: bones keep their length. Whole rows count, unless they are less than half of the frames that were announced.
    A file does not say its unit nor which way is up; both are told by the body, if the names of its joints tell legs
    and trunk. What had to be guessed or left out is a warning with the name of the file.

    Args:
        path: the file.
        units_per_metre: length units of the file. None takes centimetres, 100, if the body is then 0.5 to 2.5 m tall,
            else the unit (see ``UNITS``) in which it is nearest to a grown-up one.
        up: "x", "y" or "z", or one of them with "-" before it, the axis that points up; y is up in the clip. None
            takes the axis along which the body stands, see :func:`up_axis`.

    Raises:
        ValueError: no such file, or not that format.
    """
    if not Path(path).is_file():
        raise ValueError(f"a motion is read from a file, but {path} is none; check the path")
    if up is not None and up not in AXES:
        raise ValueError(f"up must be one of {', '.join(AXES)} or None, got {up!r}")
    notes: list[str] = []
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
        head, *motion = re.split(r"(?m)^[ \t]*MOTION[ \t]*$", text.replace("\ufeff", ""), maxsplit=1)
        names, parents, offsets, channels = _hierarchy(head)
        table, rate = rows(motion[0] if motion else "", sum(map(len, channels)), notes)
        root, rotations, skeleton = _motion(table, names, parents, offsets, channels, notes)
        units = units_per_metre or units_of(skeleton, notes)
        points = tuple((x / units, y / units, z / units) for x, y, z in skeleton.offsets)
        root, skeleton = root / units, replace(skeleton, offsets=points)
        axis = up or up_axis(root, rotations, skeleton, notes)
        root, rotations, skeleton = turned_upright(root, rotations, skeleton, axis)
        clip = MotionClip(root.float(), rotations.float(), rate, skeleton)
    except (ValueError, ArithmeticError, IndexError, StopIteration) as error:
        reason = " ".join(str(error).split()) or "it ends too early"
        raise ValueError(f"{path} must be a whole BVH file, but cannot be read ({reason}); export it again") from error
    if notes:
        warnings.warn(f"{path}: {'; '.join(notes)}", stacklevel=2)
    return clip


def _motion(
    table: Tensor,
    names: Sequence[str],
    parents: Sequence[int],
    offsets: Sequence[tuple[float, ...]],
    channels: Sequence[Sequence[str]],
    notes: list[str],
) -> tuple[Tensor, Tensor, Skeleton]:
    """Root float64 [frames, 3], rotations float64 [frames, joints, 4] and skeleton, in the unit of the file."""
    rest = torch.tensor(offsets, dtype=torch.float64)
    root = rest[0].repeat(len(table), 1)
    rest[0] = 0
    rotations = torch.zeros(len(table), len(names), 4, dtype=torch.float64)
    rotations[..., 0] = 1
    kinds, axes, place = [], [], 0
    stretched: list[str] = []
    for joint, own in enumerate(channels):
        turns = [name[0] for name in own if name.endswith("rotation")]
        kinds.append("ball" if not joint or len(turns) > 1 else "hinge" if turns else "fixed")
        axes.append(_AXES[turns[0]] if kinds[-1] == "hinge" else (0.0, 0.0, 0.0))
        moved = {}
        for name in own:
            column = table[:, place]
            place += 1
            if name.endswith("rotation"):
                rotations[:, joint] = multiply(rotations[:, joint], turn(_AXES[name[0]], column.deg2rad()))
            else:
                moved["XYZ".index(name[0])] = column
        for axis, column in moved.items():
            if not joint:
                root[:, axis] = column
            elif any(bool(one.any()) for one in moved.values()):  # zeros throughout say nothing
                rest[joint, axis] = column.median()
        lengths = torch.stack(list(moved.values())).norm(dim=0) if joint and moved else torch.zeros(1)
        if float(lengths.max() - lengths.min()) > _STRETCH * float(lengths.max()):
            stretched.append(names[joint])
    if stretched:
        shown = ", ".join(stretched[:5]) + (", ..." if len(stretched) > 5 else "")
        notes.append(f"bones that change their length keep their median one ({shown})")
    points = [(x, y, z) for x, y, z in rest.tolist()]
    skeleton = Skeleton(tuple(names), tuple(parents), tuple(points), tuple(kinds), tuple(axes))
    return root, rotations, skeleton


def _hierarchy(text: str) -> tuple[list[str], list[int], list[tuple[float, ...]], list[list[str]]]:
    """Names, parents, offsets and channels of the joints of a BVH file's first part, parents first."""
    names: list[str] = []
    taken: dict[str, int] = {}
    parents: list[int] = []
    offsets: list[tuple[float, ...]] = []
    channels: list[list[str]] = []
    open_joints: list[int] = []
    known = {f"{axis}{what}".lower(): f"{axis}{what}" for axis in "XYZ" for what in ("position", "rotation")}
    lines = iter([line.strip() for line in text.replace("{", "\n{\n").replace("}", "\n}\n").splitlines()])
    for line in lines:
        word, _, rest = line.partition(" ") if "\t" not in line else line.replace("\t", " ").partition(" ")
        word = word.upper()
        if word in ("ROOT", "JOINT", "END"):
            if word == "ROOT" and names:
                raise ValueError("it holds several skeletons; split it")
            if word != "ROOT" and not open_joints:
                raise ValueError(f"its joint {rest!r} has no parent")
            if len(names) == MAX_JOINTS:
                raise ValueError(f"it holds more than {MAX_JOINTS} joints")
            parent = open_joints[-1] if open_joints else -1
            name = rest.strip() if word != "END" else f"{names[parent]}_end"
            given = name
            while name in taken:
                name = given + "_" * taken[given]
                taken[given] += 1
            taken[name] = 1
            names.append(name)
            parents.append(parent)
            offsets.append((0.0, 0.0, 0.0))
            channels.append([])
            open_joints.append(len(names) - 1)
        elif word == "OFFSET":
            offsets[open_joints[-1]] = tuple(float(part) for part in rest.split())
            if len(offsets[open_joints[-1]]) != 3:
                raise ValueError(f"its OFFSET {rest!r} must be three numbers")
        elif word == "CHANNELS":
            own = [known.get(word.lower(), word) for word in rest.split()[1:]]
            if not set(own) <= set(known.values()) or len(own) != int(rest.split()[0]):
                raise ValueError(f"its channels {rest!r} are not the standard ones")
            channels[open_joints[-1]] = own
        elif word == "}":
            open_joints.pop()
        elif word not in ("", "{", "HIERARCHY"):
            raise ValueError(f"its word {word!r} is not of the format")
    if not names or open_joints:
        raise ValueError("its hierarchy does not end")
    return names, parents, offsets, channels

"""BVH files (Biovision hierarchy), which animation programs read and write.

Arrow: .bvh --load_bvh--> MotionClip --save_bvh--> .bvh. Does not know: codes, features.
"""

from __future__ import annotations

import codecs
import itertools
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from tokenmask.files import write_text_atomic
from tokenmask.modalities.motion.bvh_frames import rows
from tokenmask.modalities.motion.bvh_hierarchy import hierarchy
from tokenmask.modalities.motion.joints import Skeleton
from tokenmask.modalities.motion.media import MotionClip
from tokenmask.modalities.motion.rotations import multiply, to_matrix, turn, turn_angle
from tokenmask.modalities.motion.units import units_of
from tokenmask.modalities.motion.upright import AXES, turned_upright, up_axis

_CENTIMETRES = 100.0  # what a unit of a BVH file is to most programs
_MOST_DEGREES = 1e5  # of an angle: hundreds of turns one way
_LEAST_RADIANS = 0.1  # what is below is a body that stands still in any unit
_FARTHEST = 1e4  # metres between a root and the middle of its path
_STRETCH = 0.02  # of a bone's length, from which on a change of it is told
_COMMA, _NAMED = re.compile(r"(?<=\d),(?=\d)"), re.compile(r"\s*(?:ROOT|JOINT|END)\b", re.IGNORECASE)
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
        with Path(path).open(encoding=_coding(Path(path))) as file:
            lines = _with_points(file, notes)
            names, parents, offsets, channels = hierarchy(_head(lines), notes)
            table, rate = rows(lines, sum(map(len, channels)), notes)
        root, rotations, skeleton = _motion(table, names, parents, offsets, channels, notes)
        units = units_per_metre or units_of(skeleton, notes)
        points = tuple((x / units, y / units, z / units) for x, y, z in skeleton.offsets)
        root, skeleton = root / units, replace(skeleton, offsets=points)
        _check_path(root)
        axis = up or up_axis(root, rotations, skeleton, notes)
        if axis != "y":
            root, rotations, skeleton = turned_upright(root, rotations, skeleton, axis)
        clip = MotionClip(root.float(), rotations.float(), rate, skeleton)
    except (ValueError, ArithmeticError, IndexError, StopIteration) as error:
        reason = " ".join(str(error).split()) or "it ends too early"
        raise ValueError(f"{path} must be a whole BVH file, but cannot be read ({reason}); export it again") from error
    if notes:
        warnings.warn(f"{path}: {'; '.join(notes)}", stacklevel=2)
    return clip


def _coding(path: Path) -> str:
    """UTF-16 with its mark, else one that takes any byte: numbers are the same in all others."""
    with path.open("rb") as file:
        return "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "latin-1"


def _with_points(lines: Iterable[str], notes: list[str]) -> Iterator[str]:
    """Numbers with points where they have commas, as some programs write them in some countries; this is noted."""
    told = False
    for line in lines:
        if "," in line and "." not in line and (changed := _COMMA.sub(".", line)) != line and not _NAMED.match(line):
            if not told:
                notes.append("its numbers have commas, which are read as points")
            told, line = True, changed
        yield line


def _head(lines: Iterator[str]) -> str:
    """What stands before the word MOTION; its names are UTF-8 or Latin-1."""
    text = "".join(itertools.takewhile(lambda line: line.strip().upper() != "MOTION", lines))
    try:
        return text.encode("latin-1").decode("utf-8-sig")
    except UnicodeError:
        return text


def _motion(
    table: Tensor,
    names: Sequence[str],
    parents: Sequence[int],
    offsets: Sequence[tuple[float, ...]],
    channels: Sequence[Sequence[str]],
    notes: list[str],
) -> tuple[Tensor, Tensor, Skeleton]:
    """Root float64 [frames, 3], rotations float32 [frames, joints, 4] and skeleton, in the unit of the file."""
    rest = torch.tensor(offsets, dtype=torch.float64)
    root = rest[0].repeat(len(table), 1)
    rest[0] = 0
    rotations = torch.empty(len(table), len(names), 4)
    kinds, axes, place = [], [], 0
    stretched: list[str] = []
    largest = 0.0
    for joint, own in enumerate(channels):
        turns = [name[0] for name in own if name.endswith("rotation")]
        kinds.append("ball" if not joint or len(turns) > 1 else "hinge" if turns else "fixed")
        axes.append(_AXES[turns[0]] if kinds[-1] == "hinge" else (0.0, 0.0, 0.0))
        moved, turned = {}, torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64).repeat(len(table), 1)
        for name in own:
            column = table[:, place]
            place += 1
            if name.endswith("rotation"):
                _check_angles(column)
                largest = max(largest, float(column.abs().max()))
                turned = multiply(turned, turn(_AXES[name[0]], column.deg2rad()))
            else:
                moved["XYZ".index(name[0])] = column
        rotations[:, joint] = turned
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
    if _LEAST_RADIANS < largest <= 2 * math.pi:
        notes.append(
            f"none of its angles is larger than {largest:.3g}, which is little for degrees; if they are radians, "
            "export it in degrees"
        )
    points = [(x, y, z) for x, y, z in rest.tolist()]
    skeleton = Skeleton(tuple(names), tuple(parents), tuple(points), tuple(kinds), tuple(axes))
    return root, rotations, skeleton


def _check_angles(degrees: Tensor) -> None:
    """ValueError for an angle, float64 [frames], that no body has."""
    if float(degrees.abs().max()) > _MOST_DEGREES:
        frame = int((degrees.abs() > _MOST_DEGREES).nonzero()[0])
        raise ValueError(f"an angle of its frame {frame + 1} is {float(degrees[frame]):g} degrees")


def _check_path(root: Tensor) -> None:
    """ValueError for a root, float64 [frames, 3] in metres, that is further away in a frame than bodies get."""
    away = (root - root.median(0).values).abs().amax(1)
    if float(away.max()) > _FARTHEST:
        frame = int(away.argmax())
        raise ValueError(f"its root is {float(away[frame]):.3g} m away in frame {frame + 1}")

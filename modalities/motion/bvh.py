"""BVH files (Biovision hierarchy), which animation programs read and write.

Arrow: .bvh --load_bvh--> MotionClip --save_bvh--> .bvh. Does not know: codes, features.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from tokenmask.arguments import above_zero, path_of
from tokenmask.files import writing_atomically
from tokenmask.modalities.motion.bvh_read import AXES_OF_TURNS, OpenBvh
from tokenmask.modalities.motion.joints import Skeleton
from tokenmask.modalities.motion.media import MotionClip, check_units
from tokenmask.modalities.motion.rotations import to_matrix, turn_angle
from tokenmask.modalities.motion.upright import AXES
from tokenmask.telling import tell

_CENTIMETRES = 100.0  # what a unit of a BVH file is to most programs
_AT_ONCE = 2048  # frames that are in memory as text together


def save_bvh(clip: MotionClip, path: str | Path, units_per_metre: float = _CENTIMETRES) -> None:
    """Writes a BVH file: one hierarchy, degrees, rotations z, x, y; hinges about z, x or y have one number.

    Fixed joints without children become end sites, which have no names in this format.

    Args:
        clip: the motion.
        path: of the file.
        units_per_metre: length units of the file; 100, the default, is centimetres.
    """
    above_zero("units_per_metre", units_per_metre)
    cuts = range(0, len(clip), _AT_ONCE)
    pieces = (clip.cut(start, start + _AT_ONCE) for start in cuts)
    write_bvh(path, pieces, clip.skeleton, len(clip), clip.frame_rate_hz, units_per_metre)


def write_bvh(
    path: str | Path,
    pieces: Iterable[MotionClip],
    skeleton: Skeleton,
    frames: int,
    frame_rate_hz: float,
    units_per_metre: float = _CENTIMETRES,
) -> None:
    """Writes ``frames`` frames that come in pieces, as :func:`save_bvh` writes them."""
    lines, order = _hierarchy(skeleton, units_per_metre)
    lines += ["MOTION", f"Frames: {frames}", f"Frame Time: {1 / frame_rate_hz:.12f}"]
    with writing_atomically(path) as partial, partial.open("w", encoding="utf-8", newline="") as file:
        file.writelines(f"{line}\n" for line in lines)
        for piece in pieces:
            table = _rows(piece, order, units_per_metre)
            file.writelines(f"{' '.join(f'{number:.6f}' for number in row)}\n" for row in table)


def _rows(clip: MotionClip, order: list[int], units_per_metre: float) -> list[list[float]]:
    """The numbers of each frame, joints in the order of the file."""
    columns = [clip.root_positions.double() * units_per_metre]
    for joint in order:
        turns = clip.rotations[:, joint].double()
        hinge = _hinge_letter(clip.skeleton, joint)
        if hinge:
            columns.append(turn_angle(turns, AXES_OF_TURNS[hinge])[:, None].rad2deg())
        else:
            columns.append(_zxy_degrees(to_matrix(torch.nn.functional.normalize(turns, dim=-1))))
    return torch.cat(columns, 1).tolist()


def _hierarchy(skeleton: Skeleton, units_per_metre: float) -> tuple[list[str], list[int]]:
    """The lines before the word MOTION, and the order of the joints in them."""
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
    return lines, order


def _hinge_letter(skeleton: Skeleton, joint: int) -> str:
    """X, Y or Z for a hinge about that axis, "" for other joints."""
    for letter, axis in AXES_OF_TURNS.items():
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
        ValueError: no such file, not that format, or units that are no finite number above 0.
        TypeError: no path, or units that are no number.
    """
    check_units(units_per_metre)
    if not path_of("path of a motion", path).is_file():
        raise ValueError(f"a motion is read from a file, but {path} is none; check the path")
    if up is not None and up not in AXES:
        raise ValueError(f"up must be one of {', '.join(AXES)} or None, got {up!r}")
    try:
        file = OpenBvh(Path(path), units_per_metre, up, keep=True)
        parts = list(file.pieces())
        root, rotations = torch.cat([p.root_positions for p in parts]), torch.cat([p.rotations for p in parts])
        clip = MotionClip(root, rotations, file.frame_rate_hz, file.skeleton)
    except (ValueError, ArithmeticError, IndexError, StopIteration) as error:
        raise unreadable(path, error) from error
    if file.notes:
        tell(f"{path}: {'; '.join(file.notes)}")
    return clip


def unreadable(path: str | Path, error: Exception) -> ValueError:
    """What is said of a damaged file."""
    reason = " ".join(str(error).split()) or "it ends too early"
    return ValueError(f"{path} must be a whole BVH file, but cannot be read ({reason}); export it again")

"""BVH files read in pieces: what all frames say of the body comes first, then the frames, as often as asked for.

Arrow: .bvh --**OpenBvh**--> skeleton, rate, and MotionClips of some frames each. Does not know: codes, features.
"""

from __future__ import annotations

import codecs
import itertools
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from tokenmask.modalities.motion.bvh_frames import Rows
from tokenmask.modalities.motion.bvh_hierarchy import hierarchy
from tokenmask.modalities.motion.joints import Skeleton
from tokenmask.modalities.motion.media import MotionClip
from tokenmask.modalities.motion.rotations import multiply, to_matrix, turn
from tokenmask.modalities.motion.units import path_doubted, units_of
from tokenmask.modalities.motion.upright import step_of, turned_upright, up_axis

AXES_OF_TURNS = {"X": (1.0, 0.0, 0.0), "Y": (0.0, 1.0, 0.0), "Z": (0.0, 0.0, 1.0)}
_MOST_DEGREES = 1e5  # of an angle: hundreds of turns one way
_LEAST_RADIANS = 0.1  # what is below is a body that stands still in any unit
_FARTHEST = 1e4  # metres between a root and the middle of its path
_STRETCH = 0.02  # of a bone's length, from which on a change of it is told
_COMMA, _NAMED = re.compile(r"(?<=\d),(?=\d)"), re.compile(r"\s*(?:ROOT|JOINT|END)\b", re.IGNORECASE)


class OpenBvh:
    """A BVH file that has been looked through once.

    Args:
        path: of the file.
        units_per_metre, up: see :func:`tokenmask.modalities.motion.bvh.load_bvh`.
        keep: holds the rotations of all frames, so that :meth:`pieces` need not read them again.

    ``frames``, ``frame_rate_hz`` and ``skeleton`` are those of the whole clip; ``notes`` is what had to be guessed or
    was left out.

    Raises:
        ValueError, ArithmeticError, IndexError, StopIteration: it is not of that format.
    """

    def __init__(
        self, path: Path, units_per_metre: float | None = None, up: str | None = None, *, keep: bool = False
    ) -> None:
        self._path = path
        self.notes: list[str] = []
        self._body, rows = _opened(path, self.notes)
        self.frame_rate_hz = rows.rate
        self._kept: list[Tensor] | None = [] if keep else None
        some = _Some(step_of(rows.announced))
        for table in rows:
            self._body.see(table)
            some.see(table)
            if self._kept is not None:
                self._kept.append(self._body.rotations(table))
        self.frames, skeleton = self._body.frames, self._body.skeleton(self.notes)
        units = units_of(skeleton, self.notes) if units_per_metre is None else units_per_metre
        self._units = units
        self._still = replace(
            skeleton, offsets=tuple((x / units, y / units, z / units) for x, y, z in skeleton.offsets)
        )
        root = self._root(0, self.frames)
        _check_path(root)
        if some.step != (step := step_of(self.frames)):  # its header counts other frames than there are
            some = _Some(step)
            for table in _opened(path, [])[1]:
                some.see(table)
        turned = self._body.rotations(torch.cat(some.found))
        self.up = up or up_axis(root[::step], turned, self._still, self.notes)
        placed, turned, self.skeleton = turned_upright(root[::step], turned, self._still, self.up)
        if doubt := path_doubted(placed, turned, self.skeleton):
            self.notes.append(doubt)

    def pieces(self) -> Iterator[MotionClip]:
        """Its frames, some at a time."""
        done = 0
        for turned in self._turns():
            root = self._root(done, done + len(turned))
            done += len(turned)
            root, turned, _ = turned_upright(root, turned, self._still, self.up)
            yield MotionClip(root.float(), turned.float(), self.frame_rate_hz, self.skeleton, source=str(self._path))

    def _turns(self) -> Iterator[Tensor]:
        """Rotations as in the file, float32 [frames, joints, 4] in pieces."""
        if self._kept is not None:
            yield from self._kept
            return
        body, rows = _opened(self._path, [])
        yield from map(body.rotations, rows)

    def _root(self, start: int, stop: int) -> Tensor:
        """Metres, float64 [frames, 3], axes as in the file."""
        return self._body.root[start:stop] / self._units


def _opened(path: Path, notes: list[str]) -> tuple[_Body, Rows]:
    lines = _with_points(_lines(path), notes)
    body = _Body(*hierarchy(_head(lines), notes))
    if not body.columns:
        raise ValueError("none of its joints has CHANNELS, so there is no motion in it")
    return body, Rows(lines, body.columns, notes)


def _lines(path: Path) -> Iterator[str]:
    """UTF-16 with its mark, else a coding that takes any byte: numbers are the same in all others."""
    with path.open("rb") as file:
        coding = "utf-16" if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE) else "latin-1"
    with path.open(encoding=coding) as text:
        yield from text


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


class _Some:
    """Every ``step``-th of frames that come in pieces."""

    def __init__(self, step: int) -> None:
        self.step, self.found, self._next = step, list[Tensor](), 0

    def see(self, piece: Tensor) -> None:
        chosen = piece[self._next :: self.step].clone()
        self._next += len(chosen) * self.step - len(piece)
        self.found.append(chosen)


class _Body:
    """Joints, and what rows of numbers say of them, seen piece by piece, in the unit of the file.

    Args:
        names, parents, offsets, channels: see :func:`hierarchy`.
    """

    def __init__(
        self,
        names: Sequence[str],
        parents: Sequence[int],
        offsets: Sequence[tuple[float, ...]],
        channels: Sequence[Sequence[str]],
    ) -> None:
        self._names, self._parents, self._offsets = names, parents, offsets
        self.columns = [f"{name} of {joint}" for joint, own in zip(names, channels, strict=True) for name in own]
        self.frames = 0
        places = itertools.count()
        self._channels = [[(name, next(places)) for name in own] for own in channels]
        self._kinds, self._axes = [], []
        for joint, own in enumerate(channels):
            turns = [name[0] for name in own if name.endswith("rotation")]
            kind = "ball" if not joint or len(turns) > 1 else "hinge" if turns else "fixed"
            self._kinds.append(kind)
            self._axes.append(AXES_OF_TURNS[turns[0]] if kind == "hinge" else (0.0, 0.0, 0.0))
        self._roots: list[Tensor] = []
        self._largest = 0.0
        self._moved: dict[int, list[Tensor]] = {}  # of other joints that have positions: float64 [axes, frames]
        self._carrier = _first_fork(parents)
        if not any(self._positions(joint) for joint in range(1, self._carrier + 1)):
            self._carrier = 0
        self._carried: list[Tensor] = []  # where that joint is, as _roots

    def see(self, table: Tensor) -> None:
        """Takes note of rows float64 [frames, width]; ValueError for an angle that no body has."""
        root = torch.tensor(self._offsets[0], dtype=torch.float64).repeat(len(table), 1)
        for joint, own in enumerate(self._channels):
            for name, place in own:
                if name.endswith("rotation"):
                    _check_angles(table[:, place], self.frames)
                    self._largest = max(self._largest, float(table[:, place].abs().max()))
                elif not joint:
                    root[:, "XYZ".index(name[0])] = table[:, place]
            columns = list(self._positions(joint).values())
            if joint and columns:
                self._moved.setdefault(joint, []).append(table[:, columns].T.clone())
        self._roots.append(root)
        if self._carrier:
            self._carried.append(self._place_of(self._carrier, root, table))
        self.frames += len(table)

    def _place_of(self, joint: int, root: Tensor, table: Tensor) -> Tensor:
        """Where a joint is in rows float64 [frames, width], float64 [frames, 3]; those before it are those above it."""
        place, turned = root, self._turned(0, table)
        for one in range(1, joint + 1):
            step = torch.tensor(self._offsets[one], dtype=torch.float64).repeat(len(table), 1)
            for axis, column in self._positions(one).items():
                step[:, axis] = table[:, column]
            place = place + (to_matrix(turned) * step[:, None]).sum(-1)
            turned = multiply(turned, self._turned(one, table))
        return place

    def _positions(self, joint: int) -> dict[int, int]:
        """The column of each axis along which a joint is moved."""
        return {"XYZ".index(name[0]): place for name, place in self._channels[joint] if name.endswith("position")}

    @property
    def root(self) -> Tensor:
        """float64 [frames, 3] of all rows."""
        if len(self._roots) > 1:
            self._roots = [torch.cat(self._roots)]
        return self._roots[0]

    def rotations(self, table: Tensor) -> Tensor:
        """Of rows float64 [frames, width], float32 [frames, joints, 4]."""
        rotations = torch.empty(len(table), len(self._names), 4)
        for joint in range(len(self._names)):
            rotations[:, joint] = self._turned(joint, table)
        return rotations

    def _turned(self, joint: int, table: Tensor) -> Tensor:
        """Of one joint, float64 [frames, 4]."""
        turned = torch.tensor([1.0, 0.0, 0.0, 0.0], dtype=torch.float64).repeat(len(table), 1)
        for name, place in self._channels[joint]:
            if name.endswith("rotation"):
                turned = multiply(turned, turn(AXES_OF_TURNS[name[0]], table[:, place].deg2rad()))
        return turned

    def skeleton(self, notes: list[str]) -> Skeleton:
        """The joints, once all rows have been seen; what of them does not fit is noted."""
        rest = torch.tensor(self._offsets, dtype=torch.float64)
        rest[0] = 0
        stretched: list[str] = []
        moved = {joint: torch.cat(parts, 1) for joint, parts in self._moved.items()}
        if any(_varies(columns) for joint, columns in moved.items() if joint <= self._carrier):
            self._roots, fork = self._carried, self._names[self._carrier]
            rest[1 : self._carrier + 1] = 0
            notes.append(
                f"its joint {fork} is moved below {self._names[0]}, so the path of {fork} is taken for that of the root"
            )
            moved = {joint: columns for joint, columns in moved.items() if joint > self._carrier}
        for joint, columns in moved.items():
            if bool(columns.any()):  # zeros throughout say nothing
                for axis, column in zip(self._positions(joint), columns, strict=True):
                    rest[joint, axis] = column.median()
            lengths = columns.norm(dim=0)
            if float(lengths.max() - lengths.min()) > _STRETCH * float(lengths.max()):
                stretched.append(self._names[joint])
        if stretched:
            shown = ", ".join(stretched[:5]) + (", ..." if len(stretched) > 5 else "")
            notes.append(f"bones that change their length keep their median one ({shown})")
        if _LEAST_RADIANS < self._largest <= 2 * math.pi:
            notes.append(
                f"none of its angles is larger than {self._largest:.3g}, which is little for degrees; if they are "
                "radians, export it in degrees"
            )
        points = [(x, y, z) for x, y, z in rest.tolist()]
        return Skeleton(tuple(self._names), tuple(self._parents), tuple(points), tuple(self._kinds), tuple(self._axes))


def _first_fork(parents: Sequence[int]) -> int:
    """The first joint from the root on with several children, where a body begins; 0 if that is the root, or none."""
    joint = 0
    while parents.count(joint) == 1:
        joint = parents.index(joint)
    return joint if parents.count(joint) > 1 else 0


def _varies(columns: Tensor) -> bool:
    """Whether a joint with these places, float64 [axes, frames], is moved by more than bones are stretched."""
    return float((columns.amax(1) - columns.amin(1)).max()) > _STRETCH * float(columns.norm(dim=0).max())


def _check_angles(degrees: Tensor, before: int) -> None:
    """ValueError for an angle, float64 [frames] after ``before`` others, that no body has."""
    if float(degrees.abs().max()) > _MOST_DEGREES:
        frame = int((degrees.abs() > _MOST_DEGREES).nonzero()[0])
        raise ValueError(f"an angle of its frame {before + frame + 1} is {float(degrees[frame]):g} degrees")


def _check_path(root: Tensor) -> None:
    """ValueError for a root, float64 [frames, 3] in metres, that is further away in a frame than bodies get."""
    away = (root - root.median(0).values).abs().amax(1)
    if float(away.max()) > _FARTHEST:
        frame = int(away.argmax())
        raise ValueError(f"its root is {float(away[frame]):.3g} m away in frame {frame + 1}")

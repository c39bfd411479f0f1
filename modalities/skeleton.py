"""Motion of a skeleton: joints, forward kinematics, files and pictures.

Arrow: file --MotionClip.load--> root positions and joint rotations --joint_positions--> points in metres.
Does not know: codes, features, networks.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor

from tokenmask.fitting import load_tensors, save_tensors, write_text_atomic, writing_atomically
from tokenmask.streams import TokenStream

MAX_JOINTS = 4096
_SLOWEST_HZ, _FASTEST_HZ = 1e-3, 1e6  # of frames; what is beyond is a mistake in a file, not a motion
KINDS = ("ball", "hinge", "fixed")
_CENTIMETRES = 100.0  # what a unit of a BVH file is to most programs
_URDF_SCALE = 0.25  # DeepMimic's humanoid is written four times its size
_PAIRS = (("left", "right"), ("Left", "Right"), ("LEFT", "RIGHT"))
_LETTER = re.compile(r"(?:^|(?<=[:_. ]))(?:[LR](?=[A-Z_. ]|$)|[lr](?=[_. ]|$))")
_FLIPPED = str.maketrans("LRlr", "RLrl")


# Rotations ------------------------------------------------------------------------------------------------------------


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


# Skeleton -------------------------------------------------------------------------------------------------------------


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
        count = len(self.names)
        lengths = {len(self.names), len(self.parents), len(self.offsets), len(self.kinds), len(self.axes)}
        if not count or lengths != {count}:
            raise ValueError(f"a skeleton needs a name, parent, offset, kind and axis per joint, got {sorted(lengths)}")
        if len(set(self.names)) != count or not all(self.names):
            raise ValueError(f"joints of a skeleton need different names, got {self.names}; rename the doubles")
        if self.parents[0] != -1 or any(not 0 <= p < i for i, p in enumerate(self.parents[1:], 1)):
            raise ValueError(f"parents must come before children and the root first, got {self.parents}; sort joints")
        if not set(self.kinds) <= set(KINDS):
            raise ValueError(f"kinds of joints must be out of {KINDS}, got {self.kinds}")
        numbers = [number for point in (*self.offsets, *self.axes) for number in point]
        if any(len(point) != 3 for point in (*self.offsets, *self.axes)) or not all(map(math.isfinite, numbers)):
            raise ValueError("offsets and axes of a skeleton must be three finite numbers per joint; check the file")
        for name, kind, axis in zip(self.names, self.kinds, self.axes, strict=True):
            if abs(math.hypot(*axis) - (kind == "hinge")) > 1e-3:
                raise ValueError(f"a hinge needs an axis of length one and other joints none, got {axis} for {name}")

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

    def order_of(self, other: Skeleton) -> tuple[int, ...]:
        """Number in ``self`` of each joint of ``other``: the same tree in another order, tips perhaps named apart.

        Raises:
            ValueError: other joints, or bones that differ by a millimetre or more.
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
                and math.dist(self.offsets[own], other.offsets[joint]) < 1e-3
                and math.dist(self.axes[own], other.axes[joint]) < 1e-3
            ]
            if not found or len(self) != len(other):
                raise ValueError(
                    f"a motion must have the {len(other)} joints of this skeleton, but of its {len(self)} none matches "
                    f"{name!r} in name, kind, parent and offset; retarget it first"
                )
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


def _other_side(name: str) -> str:
    for one, two in _PAIRS:
        for old, new in ((one, two), (two, one)):
            if old in name:
                return name.replace(old, new)
    letter = _LETTER.search(name)
    return name[: letter.start()] + letter[0].translate(_FLIPPED) + name[letter.end() :] if letter else name


def matmul3(a: Tensor, b: Tensor) -> Tensor:
    """Products of 3 x 3 matrices, float [..., 3, 3] twice, summed in one order whatever the batch."""
    return (a[..., :, :, None] * b[..., None, :, :]).sum(-2)


def joint_positions(rotations: Tensor, skeleton: Skeleton) -> Tensor:
    """Forward kinematics with the root at the origin; gradients pass through.

    Args:
        rotations: float [..., joints, 3, 3], of each joint in its parent's frame.
        skeleton: the joints.

    Returns:
        float [..., joints, 3], metres, relative to the root.
    """
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
    return torch.stack(points, -2)


# Motion ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class MotionClip:
    """A motion of one skeleton.

    Args:
        root_positions: float32 [frames, 3], metres; y is up.
        rotations: float32 [frames, joints, 4], quaternions w x y z of length one, in the parent's frame; the root's
            in the world.
        frame_rate_hz: frames a second.
        skeleton: the joints.
        stream: the codes it was generated from, if it was; does not count in comparisons.
    """

    root_positions: Tensor
    rotations: Tensor
    frame_rate_hz: float
    skeleton: Skeleton
    stream: TokenStream | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        frames, joints = len(self.root_positions), len(self.skeleton)
        for name, value, wanted in (
            ("root_positions", self.root_positions, (frames, 3)),
            ("rotations", self.rotations, (frames, joints, 4)),
        ):
            if value.dtype != torch.float32 or tuple(value.shape) != wanted or not frames:
                raise ValueError(
                    f"{name} of a MotionClip must be float32 {list(wanted)} with a frame or more, got "
                    f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
                )
            if not bool(value.isfinite().all()):
                raise ValueError(f"{name} of a MotionClip must be finite, but some are not; drop those frames")
        if bool(((self.rotations.norm(dim=-1) - 1).abs() > 1e-3).any()):
            raise ValueError("rotations of a MotionClip must have length one, but some have not; normalise them")
        if not _SLOWEST_HZ <= self.frame_rate_hz <= _FASTEST_HZ:
            raise ValueError(
                f"frame_rate_hz must be positive, got {self.frame_rate_hz}; give {_SLOWEST_HZ:g} to {_FASTEST_HZ:g}"
            )

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, MotionClip):
            return NotImplemented
        return (
            self.frame_rate_hz == other.frame_rate_hz
            and self.skeleton == other.skeleton
            and torch.equal(self.root_positions, other.root_positions)
            and torch.equal(self.rotations, other.rotations)
        )

    __hash__ = None  # type: ignore[assignment]

    def __len__(self) -> int:
        return len(self.root_positions)

    def __repr__(self) -> str:
        return f"MotionClip({len(self)} frames at {self.frame_rate_hz:g} Hz, {len(self.skeleton)} joints)"

    def joint_positions(self) -> Tensor:
        """Forward kinematics: float32 [frames, joints, 3], metres, in the world."""
        return joint_positions(to_matrix(self.rotations), self.skeleton) + self.root_positions[:, None]

    def cut(self, start: int, stop: int) -> MotionClip:
        """Frames start .. stop - 1, copied."""
        return replace(
            self,
            root_positions=self.root_positions[start:stop].clone(),
            rotations=self.rotations[start:stop].clone(),
            stream=None,
        )

    def on(self, skeleton: Skeleton) -> MotionClip:
        """The same motion with the joints in the order of another skeleton; see :meth:`Skeleton.order_of`."""
        if skeleton == self.skeleton:
            return self
        order = list(self.skeleton.order_of(skeleton))
        return MotionClip(self.root_positions, self.rotations[:, order], self.frame_rate_hz, skeleton)

    def resample(self, rate_hz: float) -> MotionClip:
        """Another frame rate: straight lines between positions, great arcs between rotations (slerp)."""
        if not (rate_hz > 0 and math.isfinite(rate_hz)):
            raise ValueError(f"a frame rate must be positive, got {rate_hz}")
        if rate_hz == self.frame_rate_hz:
            return replace(self, stream=None)
        count = math.floor((len(self) - 1) * rate_hz / self.frame_rate_hz + 1e-4) + 1
        return self._at(torch.arange(count, dtype=torch.float64) * (self.frame_rate_hz / rate_hz), rate_hz)

    def _at(self, places: Tensor, rate_hz: float) -> MotionClip:
        """Frames at fractional frame numbers, float64 [frames]."""
        before = places.floor().long().clamp(0, len(self) - 1)
        after = (before + 1).clamp(max=len(self) - 1)
        share = (places - before).clamp(0, 1)[:, None]
        positions, rotations = self.root_positions.double(), self.rotations.double()
        return MotionClip(
            torch.lerp(positions[before], positions[after], share).float(),
            slerp(rotations[before], rotations[after], share[:, None]).float(),
            rate_hz,
            self.skeleton,
        )

    def mirrored(self) -> MotionClip:
        """Left and right swapped, as in a mirror; see :meth:`Skeleton.lateral_axis` for what that needs."""
        axis, other = self.skeleton.lateral_axis(), list(self.skeleton.swapped())
        points = torch.ones(3)
        points[axis] = -1
        # A mirror keeps the turn about its own normal and reverses the other two.
        turns = torch.cat([torch.ones(1), -points])
        return MotionClip(
            self.root_positions * points, self.rotations[:, other] * turns, self.frame_rate_hz, self.skeleton
        )

    # Files

    @classmethod
    def load(cls, path: str | Path) -> MotionClip:
        """Reads .safetensors (what :meth:`save` wrote) or .bvh (see :func:`load_bvh`).

        Raises:
            ValueError: no such file, another suffix, or a damaged one.
        """
        kind = Path(path).suffix.lower()
        if kind not in (".bvh", ".safetensors"):
            raise ValueError(f"a motion file must end in .bvh or .safetensors, got {Path(path).name!r}; rename it")
        if kind == ".bvh":
            return load_bvh(path)
        tensors, about = load_tensors(path)
        try:
            skeleton = Skeleton.from_json(about["skeleton"])
            return MotionClip(tensors["root_positions"], tensors["rotations"], about["frame_rate_hz"], skeleton)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} must hold a motion, but cannot be read ({error!r}); save it again") from error

    def save(self, path: str | Path) -> None:
        """Writes .safetensors, which loses nothing, or .bvh (see :func:`save_bvh`), atomically.

        Raises:
            ValueError: another suffix.
        """
        kind = Path(path).suffix.lower()
        if kind == ".bvh":
            save_bvh(self, path)
        elif kind == ".safetensors":
            tensors = {"root_positions": self.root_positions, "rotations": self.rotations}
            about = {"frame_rate_hz": self.frame_rate_hz, "skeleton": self.skeleton.to_json()}
            save_tensors(path, tensors, about)
        else:
            raise ValueError(f"a motion file must end in .bvh or .safetensors, got {Path(path).name!r}; rename it")

    def draw(self, path: str | Path, *, figures: int = 8, height: int = 240) -> None:
        """Stick figures seen from the side: .gif is a film of all frames, .png a strip of some.

        Args:
            path: of the picture.
            figures: in a strip, evenly spaced in time.
            height: of a figure in pixels.
        """
        kind = Path(path).suffix.lower()
        if kind not in (".gif", ".png") or figures < 1 or height < 16:
            raise ValueError(
                f"a drawing needs a path in .gif or .png, figures >= 1 and height >= 16, got {Path(path).name!r}, "
                f"{figures} and {height}"
            )
        film = self.resample(25) if kind == ".gif" and self.frame_rate_hz > 25 else self
        count = len(film) if kind == ".gif" else min(figures, len(film))
        chosen = torch.linspace(0, len(film) - 1, count).round().long()
        pictures = [_figure(points, self.skeleton, height) for points in film.joint_positions()[chosen]]
        with writing_atomically(path) as partial:
            if kind == ".gif":
                duration = round(1000 / film.frame_rate_hz)
                first, *rest = pictures
                first.save(partial, format="GIF", save_all=True, append_images=rest, duration=duration, loop=0)
                return
            strip = pictures[0].resize((height * count, height))
            for number, picture in enumerate(pictures):
                strip.paste(picture, (height * number, 0))
            strip.save(partial, format="PNG")


def _figure(points: Tensor, skeleton: Skeleton, height: int) -> Any:
    """One stick figure, the root in the middle; right limbs red, left limbs blue, on a line for the ground."""
    from PIL import Image as pillow
    from PIL import ImageDraw

    picture = pillow.new("RGB", (height, height), "white")
    pen = ImageDraw.Draw(picture)
    reach = max(sum(math.hypot(*offset) for offset in skeleton.offsets[1:]) * 0.45, 1e-3)
    unit = height / reach
    # Turned by 30 degrees, so that left and right do not cover each other.
    across = (points[:, 0] - points[0, 0]) * 0.87 + (points[:, 2] - points[0, 2]) * 0.5
    drawn = torch.stack([height / 2 + across * unit, height * 0.92 - points[:, 1] * unit], -1).tolist()
    pen.line([(0, height * 0.92), (height, height * 0.92)], fill=(190, 190, 190))
    for joint, parent in enumerate(skeleton.parents):
        name = skeleton.names[joint].lower()
        colour = (200, 40, 40) if "right" in name else (40, 80, 200) if "left" in name else (30, 30, 30)
        if parent >= 0:
            pen.line([tuple(drawn[parent]), tuple(drawn[joint])], fill=colour, width=max(2, height // 80))
    return picture


# DeepMimic ------------------------------------------------------------------------------------------------------------


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
    step = float(durations.median())
    if step <= 0:
        raise ValueError(f"{path} must have frames that last, got {step} s for one; export it again")
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
    clip = MotionClip(frames[:, 1:4].float(), rotations.float(), _rate(step), skeleton)
    if bool(((durations - step).abs() < 1e-4).all()):
        return clip
    ends = torch.cat([torch.zeros(1, dtype=torch.float64), durations.cumsum(0)])
    times = torch.arange(math.floor(float(ends[-1]) / step + 1e-4) + 1, dtype=torch.float64) * step
    before = (torch.searchsorted(ends, times, right=True) - 1).clamp(max=len(frames) - 2)
    return clip._at(before + (times - ends[before]) / durations[before].clamp(min=1e-9), _rate(step))


# BVH ------------------------------------------------------------------------------------------------------------------

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
        return "OFFSET " + " ".join(f"{units_per_metre * x:.6f}" for x in skeleton.offsets[joint])

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
    root = torch.tensor(skeleton.offsets[0], dtype=torch.float64)
    columns = [(clip.root_positions.double() - root) * units_per_metre]
    for joint in order:
        turns = clip.rotations[:, joint].double()
        hinge = _hinge_letter(skeleton, joint)
        if hinge:
            columns.append(turn_angle(turns, _AXES[hinge])[:, None].rad2deg())
        else:
            columns.append(_zxy_degrees(to_matrix(torch.nn.functional.normalize(turns, dim=-1))))
    rows = torch.cat(columns, 1).tolist()
    lines += ["MOTION", f"Frames: {len(clip)}", f"Frame Time: {1 / clip.frame_rate_hz:.9f}"]
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


def load_bvh(path: str | Path, units_per_metre: float = _CENTIMETRES) -> MotionClip:
    """Reads a BVH file with any order of the standard channels.

    A joint with one rotation is a hinge, one without is fixed, and so is an end site, named after its joint with
    "_end". Positions count for the root; those of other joints, constant bone lengths in nearly all files, do not.

    Args:
        path: the file.
        units_per_metre: length units of the file, which it does not say; 100, the default, is centimetres.

    Raises:
        ValueError: no such file, or not that format.
    """
    if not Path(path).is_file():
        raise ValueError(f"a motion is read from a file, but {path} is none; check the path")
    try:
        text = Path(path).read_text(encoding="utf-8", errors="replace")
        head, motion = text.replace("\ufeff", "").split("MOTION", 1)
        names, parents, offsets, channels = _hierarchy(head)
        words = motion.split()
        if words[0] != "Frames:" or words[2:4] != ["Frame", "Time:"]:
            raise ValueError("its MOTION part must begin with Frames: and Frame Time:")
        frames, step = int(words[1]), float(words[4])
        width = sum(map(len, channels))
        numbers = torch.tensor([float(word) for word in words[5:]], dtype=torch.float64)
        if not (step > 0 and math.isfinite(step)):
            raise ValueError(f"its frame time must be positive, got {step}")
        if frames < 1 or len(numbers) != frames * width:
            raise ValueError(f"{frames} frames of {width} numbers were announced, but {len(numbers)} came")
        table = numbers.view(frames, width)
        rest = torch.tensor(offsets, dtype=torch.float64) / units_per_metre
        root = rest[0].expand(frames, 3).clone()
        rotations = torch.zeros(frames, len(names), 4, dtype=torch.float64)
        rotations[..., 0] = 1
        kinds, axes, place = [], [], 0
        for joint, own in enumerate(channels):
            turns = [name[0] for name in own if name.endswith("rotation")]
            kinds.append("ball" if not joint or len(turns) > 1 else "hinge" if turns else "fixed")
            axes.append(_AXES[turns[0]] if kinds[-1] == "hinge" else (0.0, 0.0, 0.0))
            for name in own:
                column = table[:, place]
                place += 1
                if name.endswith("rotation"):
                    rotations[:, joint] = multiply(rotations[:, joint], turn(_AXES[name[0]], column.deg2rad()))
                elif not joint:
                    root[:, "XYZ".index(name[0])] += column / units_per_metre
        points = [(x, y, z) for x, y, z in rest.tolist()]
        skeleton = Skeleton(tuple(names), tuple(parents), tuple(points), tuple(kinds), tuple(axes))
        return MotionClip(root.float(), rotations.float(), _rate(step), skeleton)
    except (ValueError, IndexError, StopIteration) as error:
        reason = " ".join(str(error).split()) or "it ends too early"
        raise ValueError(f"{path} must be a whole BVH file, but cannot be read ({reason}); export it again") from error


def _rate(step: float) -> float:
    """Frames a second; files round the time of a frame, so 0.03333 s is 30, not 30.003."""
    whole = round(1 / step)
    return float(whole) if abs(step * whole - 1) < 1e-3 else 1 / step


def _hierarchy(text: str) -> tuple[list[str], list[int], list[tuple[float, ...]], list[list[str]]]:
    """Names, parents, offsets and channels of the joints of a BVH file's first part, parents first."""
    names: list[str] = []
    taken: dict[str, int] = {}
    parents: list[int] = []
    offsets: list[tuple[float, ...]] = []
    channels: list[list[str]] = []
    open_joints: list[int] = []
    known = {f"{axis}{what}" for axis in "XYZ" for what in ("position", "rotation")}
    lines = iter([line.strip() for line in text.replace("{", "\n{\n").replace("}", "\n}\n").splitlines()])
    for line in lines:
        word, _, rest = line.partition(" ") if "\t" not in line else line.replace("\t", " ").partition(" ")
        if word in ("ROOT", "JOINT", "End"):
            if word == "ROOT" and names:
                raise ValueError("it holds several skeletons; split it")
            if word != "ROOT" and not open_joints:
                raise ValueError(f"its joint {rest!r} has no parent")
            if len(names) == MAX_JOINTS:
                raise ValueError(f"it holds more than {MAX_JOINTS} joints")
            parent = open_joints[-1] if open_joints else -1
            name = rest.strip() if word != "End" else f"{names[parent]}_end"
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
            own = rest.split()[1:]
            if not set(own) <= known or len(own) != int(rest.split()[0]):
                raise ValueError(f"its channels {rest!r} are not the standard ones")
            channels[open_joints[-1]] = own
        elif word == "}":
            open_joints.pop()
        elif word not in ("", "{", "HIERARCHY"):
            raise ValueError(f"its word {word!r} is not of the format")
    if not names or open_joints:
        raise ValueError("its hierarchy does not end")
    return names, parents, offsets, channels

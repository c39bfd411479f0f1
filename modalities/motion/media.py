"""Motion of a skeleton: positions of the root and rotations of the joints over time.

Arrow: .bvh or .safetensors --MotionClip.load--> frames --joint_positions--> points in metres.
Does not know: codes, features, networks.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from tokenmask.arguments import MOST, above_zero, is_a, path_of, tensor_of, whole
from tokenmask.as_array import NoArray
from tokenmask.medium import Timed, knowing_others, steps_between
from tokenmask.modalities.motion.joints import Skeleton, joint_positions
from tokenmask.modalities.motion.rotations import slerp, to_matrix
from tokenmask.modalities.motion.units import doubted
from tokenmask.streams import TokenStream
from tokenmask.telling import tell
from tokenmask.tensor_files import description_of, load_tensors, save_tensors

_SLOWEST_HZ, _FASTEST_HZ = 1e-3, 1e6  # of frames; what is beyond is a mistake in a file, not a motion


@dataclass(frozen=True, eq=False)
class MotionClip(Timed, NoArray):
    """A motion of one skeleton.

    Args:
        root_positions: float32 [frames, 3], metres; y is up.
        rotations: float32 [frames, joints, 4], quaternions w x y z of length one, in the parent's frame; the root's
            in the world. NumPy arrays of float32 are taken likewise.
        frame_rate_hz: frames a second.
        skeleton: the joints.
        stream: the codes it was generated from, if it was; does not count in comparisons.
        source: the file it was read from, for messages; does not count either.
    """

    suffixes: ClassVar[tuple[str, ...]] = (".bvh", ".safetensors")
    """Endings that are looked for in folders."""

    written_suffixes: ClassVar[tuple[str, ...]] = (".bvh", ".safetensors")
    """Endings that can be written; the first if none is asked for."""

    asked: ClassVar[tuple[str, ...]] = ("up", "units_per_metre")
    array_instead: ClassVar[str] = "its root_positions and rotations, or joint_positions()"
    view: ClassVar[str] = "tokenmask.report.views.skeletons:Skeletons"

    root_positions: Tensor
    rotations: Tensor
    frame_rate_hz: float
    skeleton: Skeleton
    stream: TokenStream | None = field(default=None, repr=False)
    source: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        is_a("skeleton of a MotionClip", self.skeleton, Skeleton)
        for name in ("root_positions", "rotations"):
            object.__setattr__(self, name, tensor_of(f"{name} of a MotionClip", getattr(self, name)))
        above_zero("frame_rate_hz", self.frame_rate_hz)
        frames, joints = self.root_positions.shape[:1].numel(), len(self.skeleton)
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

    @property
    def duration_seconds(self) -> float:
        """Length, each frame as long as the next."""
        return len(self) / self.frame_rate_hz

    def between(self, start_seconds: float, end_seconds: float) -> MotionClip:
        """The frames of a piece of time."""
        return self.cut(*steps_between(start_seconds, end_seconds, self.frame_rate_hz, len(self)))

    def cut(self, start: int, stop: int) -> MotionClip:
        """Frames start .. stop - 1, copied; numbers below 0 count from the end.

        Raises:
            TypeError: no whole numbers. ValueError: no frame lies there.
        """
        for name, one in (("start", start), ("stop", stop)):
            whole(f"{name} of a cut", one, -MOST)
        if not len(self.root_positions[start:stop]):
            raise ValueError(f"a cut must hold a frame of the {len(self)}, got {start} to {stop}; take a longer one")
        return replace(
            self,
            root_positions=self.root_positions[start:stop].clone(),
            rotations=self.rotations[start:stop].clone(),
            stream=None,
        )

    def on(self, skeleton: Skeleton) -> MotionClip:
        """The same motion on another skeleton: its joints in another order, or retargeted where they are others.

        Raises:
            ValueError: joints whose names do not say what they are; see :func:`retargeted`.
        """
        is_a("skeleton", skeleton, Skeleton)
        if skeleton == self.skeleton:
            return self
        order = self.skeleton.order_of(skeleton)
        if order is None:
            from tokenmask.modalities.motion.retarget import retargeted

            return retargeted(self, skeleton)
        return MotionClip(self.root_positions, self.rotations[:, list(order)], self.frame_rate_hz, skeleton)

    def resample(self, rate_hz: float) -> MotionClip:
        """Another frame rate: straight lines between positions, great arcs between rotations (slerp)."""
        above_zero("a frame rate", rate_hz)
        if rate_hz == self.frame_rate_hz:
            return replace(self, stream=None)
        count = frames_at(rate_hz, len(self), self.frame_rate_hz)
        return self.at(torch.arange(count, dtype=torch.float64) * (self.frame_rate_hz / rate_hz), rate_hz)

    def at(self, places: Tensor, rate_hz: float, first: int = 0) -> MotionClip:
        """Frames at fractional frame numbers float64 [frames], as a clip of another rate; ``first`` is the clip's."""
        places = tensor_of("places", places)
        last = first + len(self) - 1
        before = places.floor().long().clamp(first, last)
        after = (before + 1).clamp(max=last)
        share = (places - before).clamp(0, 1)[:, None]
        places_before, places_after = (self.root_positions[at - first].double() for at in (before, after))
        turns_before, turns_after = (self.rotations[at - first].double() for at in (before, after))
        return MotionClip(
            torch.lerp(places_before, places_after, share).float(),
            slerp(turns_before, turns_after, share[:, None]).float(),
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
    @knowing_others
    def load(cls, path: str | Path, *, up: str | None = None, units_per_metre: float | None = None) -> MotionClip:
        """Reads .safetensors (what :meth:`save` wrote), .bvh (see :func:`load_bvh`) or .npy (joints or features of
        HumanML3D, see :mod:`.humanml`; not looked for in folders, where arrays may be anything).

        Args:
            path: of the file.
            up, units_per_metre: of a .bvh file, see :func:`load_bvh`; the others say it themselves.

        Raises:
            ValueError: no such file, another suffix, a damaged one, or units that are no finite number above 0.
            TypeError: no path, or units that are no number.
        """
        kind = path_of("path of a motion", path).suffix.lower()
        check_units(units_per_metre)
        if kind not in (".bvh", ".safetensors", ".npy"):
            raise ValueError(
                f"a motion file must end in .bvh or .safetensors, got {Path(path).name!r}; export it as BVH (Blender "
                "does so with what it imports, FBX and glTF too)"
            )
        if kind == ".npy":
            from tokenmask.modalities.motion.humanml import load_npy

            return _told(replace(load_npy(path), source=str(path)))
        if kind == ".bvh":
            from tokenmask.modalities.motion.bvh import load_bvh

            return replace(load_bvh(path, units_per_metre, up), source=str(path))
        tensors, about = load_tensors(path)
        try:
            skeleton = Skeleton.from_json(about["skeleton"])
            parts = tensors["root_positions"], tensors["rotations"], about["frame_rate_hz"], skeleton
            return _told(MotionClip(*parts, source=str(path)))
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"{path} must hold a motion, but cannot be read ({error!r}); save it again") from error

    @classmethod
    def claims(cls, path: str | Path) -> float:
        """Nothing of tensors of other programs, or of other media."""
        about = description_of(path) if Path(path).suffix.lower() == ".safetensors" else None
        return float(about is None or "skeleton" in about)

    def save(self, path: str | Path) -> None:
        """Writes .safetensors, which loses nothing, or .bvh (see :func:`save_bvh`), atomically.

        Raises:
            ValueError: another suffix.
        """
        kind = path_of("path of a motion", path).suffix.lower()
        if kind == ".bvh":
            from tokenmask.modalities.motion.bvh import save_bvh

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
        from tokenmask.modalities.motion.drawing import draw

        draw(self, path, figures=figures, height=height)


def _told(clip: MotionClip) -> MotionClip:
    """The clip, once what is doubtful about it has been told."""
    if doubt := doubted(clip.skeleton):
        tell(f"{clip.source}: {doubt}")
    return clip


def check_units(units_per_metre: Any) -> None:
    """Refuses units of a metre that are neither None nor a finite number above 0.

    Raises:
        TypeError: no number. ValueError: another one.
    """
    if units_per_metre is None:
        return
    if isinstance(units_per_metre, str):
        raise TypeError(
            f"units_per_metre must be a number above 0 or None, got {units_per_metre!r}; write how many make a metre, "
            "as 39.37 for inches"
        )
    above_zero("units_per_metre", units_per_metre)


def frames_at(rate_hz: float, frames: int, frame_rate_hz: float) -> int:
    """How many frames there are at ``rate_hz`` between the first and the last of ``frames`` at ``frame_rate_hz``."""
    return math.floor((frames - 1) * rate_hz / frame_rate_hz + 1e-4) + 1


def whole_rate(step: float) -> float:
    """Frames a second; files round the time of a frame, so 0.03333 s is 30, not 30.003."""
    whole = round(1 / step)
    return float(whole) if abs(step * whole - 1) < 1e-3 else 1 / step

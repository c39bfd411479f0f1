"""Motion of any length, read, coded and written in pieces: memory grows with its codes and the root's path alone.

Arrow: file --**LongMotion**--> frames in pieces --**features_of**--> what the network sees; features --**clips_of**-->
frames in pieces. Does not know: codes, networks. The pieces are, bit for bit, those of the whole clip.

Frames that wait are float32 [frames, 3 + joints * 4]: the root's place, then rotations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from tokenmask.arguments import path_of
from tokenmask.modalities.motion.bvh import unreadable
from tokenmask.modalities.motion.bvh_read import OpenBvh
from tokenmask.modalities.motion.features import Way, led, to_features
from tokenmask.modalities.motion.joining import joined
from tokenmask.modalities.motion.joints import Skeleton
from tokenmask.modalities.motion.media import MotionClip, check_units, frames_at
from tokenmask.modalities.motion.upright import AXES
from tokenmask.modalities.seams import smoothed, smoothing_reach
from tokenmask.modalities.windows import Forward
from tokenmask.telling import tell

_BLOCK = 4096  # frames that are in memory together


class LongMotion:
    """The frames of a file on a skeleton, at a rate.

    Args:
        path: of a file; any but .bvh is held as a whole, at 28 bytes a joint and frame or less.
        skeleton, frame_rate_hz: that its frames are brought to, as :meth:`MotionClip.on` and ``resample`` do; None
            leaves the file's own.
        options: of :meth:`MotionClip.load`.

    ``source`` is the file's first frame, as it is there.

    Raises:
        ValueError: as of :meth:`MotionClip.load`.
    """

    def __init__(
        self, path: str | Path, skeleton: Skeleton | None = None, frame_rate_hz: float | None = None, **options: Any
    ) -> None:
        path_of("path of a motion", path)
        self.path = path
        check_units(options.get("units_per_metre"))
        self._bvh: OpenBvh | None = None
        self._clip: MotionClip | None = None
        if Path(path).suffix.lower() == ".bvh" and Path(path).is_file() and options.get("up") in (None, *AXES):
            try:
                self._bvh = OpenBvh(Path(path), options.get("units_per_metre"), options.get("up"))
            except (ValueError, ArithmeticError, IndexError, StopIteration) as error:
                raise unreadable(path, error) from error
            if self._bvh.notes:
                tell(f"{path}: {'; '.join(self._bvh.notes)}")
            frames = self._bvh.frames
        else:
            self._clip = MotionClip.load(path, **options)
            frames = len(self._clip)
        self.source = next(iter(self._read())).cut(0, 1)
        self._frames = frames
        rate = self.source.frame_rate_hz
        self.skeleton, self.frame_rate_hz = skeleton or self.source.skeleton, frame_rate_hz or rate
        self.frames = frames if rate == self.frame_rate_hz else frames_at(self.frame_rate_hz, frames, rate)

    @property
    def described(self) -> str:
        """As the clip would be in a message."""
        rate, joints = self.source.frame_rate_hz, len(self.source.skeleton)
        return f"MotionClip({self._frames} frames at {rate:g} Hz, {joints} joints)"

    def _read(self) -> Iterator[MotionClip]:
        if self._bvh is not None:
            yield from self._bvh.pieces()
        elif self._clip is not None:
            yield from (self._clip.cut(start, start + _BLOCK) for start in range(0, len(self._clip), _BLOCK))

    def pieces(self) -> Iterator[Tensor]:
        """Its frames, float32 [frames, 3 + joints * 4] in pieces."""
        brought = (packed(clip.on(self.skeleton)) for clip in self._read())
        rate = self.source.frame_rate_hz
        if rate == self.frame_rate_hz:
            yield from brought
        else:
            yield from at_rate(brought, self._frames, rate, self.skeleton, self.frame_rate_hz, self.frames)


def at_rate(
    pieces: Iterable[Tensor], frames: int, from_hz: float, skeleton: Skeleton, to_hz: float, count: int
) -> Iterator[Tensor]:
    """``count`` frames at another rate, as :meth:`MotionClip.at` gives them for all ``frames`` of the pieces."""
    held = Forward(pieces)
    for start in range(0, count, _BLOCK):
        places = torch.arange(start, min(start + _BLOCK, count), dtype=torch.float64) * (from_hz / to_hz)
        first, last = (max(0, min(int(place.floor()), frames - 1)) for place in (places[0], places[-1]))
        part = unpacked(held.take(first, min(last + 2, frames)), from_hz, skeleton)
        yield packed(part.at(places, to_hz, first))


def on_body(pieces: Iterable[Tensor], rate_hz: float, skeleton: Skeleton, wanted: Skeleton) -> Iterator[Tensor]:
    """The same frames on another skeleton, see :meth:`MotionClip.on`."""
    for piece in pieces:
        yield packed(unpacked(piece, rate_hz, skeleton).on(wanted))


def packed(clip: MotionClip) -> Tensor:
    """float32 [frames, 3 + joints * 4] of a clip."""
    return torch.cat([clip.root_positions, clip.rotations.flatten(1)], 1)


def unpacked(frames: Tensor, frame_rate_hz: float, skeleton: Skeleton) -> MotionClip:
    """The clip of such frames."""
    rotations = frames[:, 3:].reshape(len(frames), -1, 4)
    return MotionClip(frames[:, :3].contiguous(), rotations.contiguous(), frame_rate_hz, skeleton)


def filled_up(pieces: Iterable[Tensor], missing: int) -> Iterator[Tensor]:
    """The same frames, and the last one ``missing`` times more."""
    last = torch.zeros(0)
    for piece in pieces:
        yield piece
        last = piece[-1:]
    if missing:
        yield last.expand(missing, -1)


def features_of(
    pieces: Iterable[Tensor], frames: int, frame_rate_hz: float, skeleton: Skeleton, lateral: int
) -> Iterator[Tensor]:
    """What :func:`to_features` gives for the whole, in pieces; ``frames`` is how many there are."""
    held = Forward(pieces)
    for start in range(0, frames, _BLOCK):
        stop = min(start + _BLOCK, frames)
        first = max(start - 1, 0)  # rates lead to the next frame, and the last frame has those of the one before
        part = held.take(first, min(stop + 1, frames))
        yield to_features(unpacked(part, frame_rate_hz, skeleton), lateral)[start - first : stop - first]


def clips_of(
    features: Iterable[Tensor],
    frames: int,
    frame_rate_hz: float,
    skeleton: Skeleton,
    deviation: float,
    block: int | None = None,
) -> Iterator[Tensor]:
    """The frames that :func:`to_clip` gives for features in pieces, first smoothed by ``deviation`` frames."""
    block = block or _BLOCK
    held, way, reach = Forward(features), Way(), smoothing_reach(deviation)
    for start in range(0, frames, block):
        stop = min(start + block, frames)
        first = max(start - reach, 0)
        part = smoothed(held.take(first, min(stop + reach, frames)), deviation)[start - first : stop - first]
        root, rotations, way = led(part, skeleton, frame_rate_hz, way)
        yield torch.cat([root, rotations.flatten(1)], 1)


def joined_pieces(
    made: Iterable[Tensor],
    source: Iterable[Tensor],
    keep: Tensor,
    frame_rate_hz: float,
    skeleton: Skeleton,
    lateral: int,
    still: Tensor | None = None,
) -> Iterator[Tensor]:
    """What :func:`joined` gives, in pieces; each run of frames that are not kept is in memory as a whole.

    Args:
        made, source: frames in pieces, as many in all as ``keep`` has.
        keep: bool [frames].
        frame_rate_hz, skeleton, lateral: of both.
        still: bool [frames, joints], those that turn as in ``source`` everywhere, see :func:`joined`.
    """
    edges = torch.nn.functional.pad(keep.int(), (1, 1), value=1).diff()
    runs = zip((edges < 0).nonzero()[:, 0].tolist(), (edges > 0).nonzero()[:, 0].tolist(), strict=True)
    own, given, done, size = Forward(made), Forward(source), 0, len(keep)
    for begin, end in [*runs, (size, size)]:
        for start in range(done, begin, _BLOCK):
            stop, first = min(start + _BLOCK, begin), max(start - 2, 0)  # the next run may begin beside this one
            own.take(first, first)
            yield given.take(first, stop)[start - first :]
        if begin < end:  # two kept frames on each side tell the velocity there
            first, stop = max(begin - 2, 0), min(end + 2, size)
            run, around = (unpacked(frames.take(first, stop), frame_rate_hz, skeleton) for frames in (own, given))
            whole = joined(run, around, keep[first:stop], lateral, None if still is None else still[first:stop])
            yield packed(whole.cut(begin - first, end - first))
        done = end

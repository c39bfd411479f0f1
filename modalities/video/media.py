"""Moving pictures, and the films they come from.

Arrow: .mp4, .avi, .mkv, .webm, .gif, .webp or a strip in a .png --VideoClip.load--> VideoClip.
Does not know: codes, networks.
"""

from __future__ import annotations

import math
import struct
import tempfile
from dataclasses import dataclass, field
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Self

import torch
from torch import Tensor

from tokenmask.arguments import above_zero, path_of, tensor_of
from tokenmask.as_array import AsArray
from tokenmask.files import writing_atomically
from tokenmask.medium import Timed, knowing_others, steps_between
from tokenmask.modalities.image.media import MAX_PIXELS as MAX_FRAME_PIXELS
from tokenmask.modalities.image.media import MOVING, Image, moves
from tokenmask.modalities.image.unread import pixels_announced, why_no_picture
from tokenmask.modalities.image.warned import warned_of
from tokenmask.modalities.overheard import in_words, overheard
from tokenmask.modalities.riddles import Unfit, in_our_words
from tokenmask.modalities.video.announced import impossible_length
from tokenmask.modalities.video.colours import colours_told, is_transparent
from tokenmask.modalities.video.display import mirrored_axes, pixel_width
from tokenmask.modalities.video.edits import shown_part, without_edits
from tokenmask.modalities.video.following import count_films
from tokenmask.modalities.video.matroska import LONGEST_TICK, tick_nanoseconds
from tokenmask.modalities.video.sound import has_sound
from tokenmask.modalities.video.times import steady
from tokenmask.modalities.video.whole import missing_bytes
from tokenmask.streams import TokenStream
from tokenmask.telling import tell

MAX_PIXELS = 1 << 30  # of all frames of a clip together; 3 GiB in memory
_RATE, _FRAMES = "frame_rate_hz", "frames"  # text chunks of a strip
_UNSAID = 100  # milliseconds of a frame that does not say how long it is on, as browsers have it
_SQUARE = 0.01  # by which the shape of a pixel may differ from a square
_EARLY = 1e-4  # seconds below zero that are no rounding
_ROUNDED = 1e-3  # seconds by which the length of an edit may be rounded
_NO_TIME = 1e9  # seconds; decord has a large number below zero for frames without a time
_MEANINGS = (  # words of decord, and what they mean
    ("Check failed", "one of its frames is damaged"),
    ("av_read_frame", "one of its frames is damaged"),
    ("Error reading", "it does not begin as a film does, or its index is missing"),
    ("Failed to measure duration", "it does not say how many frames it has"),
    ("codec", "its codec is not known here, or its header is damaged"),
)
_OTHERWISE = "its header or its frames are damaged"
_PILLOW = (".gif", ".webp")


@dataclass(frozen=True, eq=False)
class VideoClip(Timed, AsArray):
    """Moving pictures in 8-bit sRGB, at a constant rate, without sound.

    Args:
        frames: uint8 [time, height, width, 3], red, green, blue; a NumPy array is taken likewise.
        frame_rate_hz: frames a second.
        stream: the codes it was generated from, if it was; does not count in comparisons.
        source: the file it was read from, for messages; does not count either.
    """

    suffixes: ClassVar[tuple[str, ...]] = (
        *_PILLOW,
        *(".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg"),
    )
    """Endings that are looked for in folders; not .png, which is a picture more often than a strip."""

    written_suffixes: ClassVar[tuple[str, ...]] = (*_PILLOW, ".png")
    """Endings that can be written; the first if none is asked for."""

    view: ClassVar[str] = "tokenmask.report.views.films:Films"
    array_field: ClassVar[str] = "frames"

    frames: Tensor
    frame_rate_hz: float
    stream: TokenStream | None = field(default=None, repr=False)
    source: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", tensor_of("frames of a VideoClip", self.frames))
        shape = self.frames.shape
        if self.frames.dtype != torch.uint8 or len(shape) != 4 or shape[3] != 3 or not self.frames.numel():
            raise ValueError(
                "frames of a VideoClip must be uint8 [time, height, width, 3], got "
                f"{str(self.frames.dtype).removeprefix('torch.')} {list(shape)}"
            )
        above_zero("frame_rate_hz", self.frame_rate_hz)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, VideoClip):
            return NotImplemented
        return self.frame_rate_hz == other.frame_rate_hz and torch.equal(self.frames, other.frames)

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        time, height, width, _ = self.frames.shape
        return f"VideoClip({time} frames of {width} x {height} pixels, {self.frame_rate_hz:g} a second)"

    @property
    def duration_seconds(self) -> float:
        """How long it runs."""
        return len(self.frames) / self.frame_rate_hz

    def between(self, start_seconds: float, end_seconds: float) -> VideoClip:
        """The frames that begin in a piece of time."""
        first, stop = steps_between(start_seconds, end_seconds, self.frame_rate_hz, len(self.frames))
        return VideoClip(self.frames[first:stop].clone(), self.frame_rate_hz)

    @classmethod
    def claims(cls, path: str | Path) -> float:
        """Half of a picture that does not move, where pictures are looked for too."""
        return 0.5 if Path(path).suffix.lower() in MOVING and not moves(path) else 1.0

    @classmethod
    @knowing_others
    def load(cls, path: str | Path) -> Self:
        """Reads what :meth:`save` writes, through Pillow, and all other films (mp4, avi, mkv, webm), through decord.

        Where frames stay for different times, those that stay longer are repeated, so that at each moment the frame is
        shown that is on then; see :func:`~tokenmask.modalities.video.times.steady`. Turned and mirrored films come
        upright, and of one with an edit list the part that it shows; a film without times has the rate that it names.
        Sound and transparency are left out, colours of HDR are taken as sRGB, of films that stand one after the other
        in a file the first is read, and one that is cut short ends where it does, all with a warning.

        Raises:
            ValueError: no such file, no film, cut short, or more than 2**30 pixels (2**26 in a frame of a GIF).
            ImportError: decord is needed and not installed.
        """
        path = path_of("path of a film", path)
        if not path.is_file():
            raise ValueError(f"a video is read from a file, but {path} is none; check the path")
        if path.suffix.lower() == ".png":
            return cls(*_read_strip(path), source=str(path))
        with overheard() as lines:
            made = _read_animation(path) if path.suffix.lower() in _PILLOW else _read_film(path)
        clip = cls(*made, source=str(path))
        if (films := count_films(path)) > 1:
            tell(f"{path} holds {films} films one after the other; the first is read: split it")
        if missing := missing_bytes(path):
            tell(f"{path} is cut short: {missing} bytes that it announces are missing")
        elif lines:
            tell(f"{path} is damaged: {in_words(lines)}")
        if abs((wide := pixel_width(path)) - 1) > _SQUARE:
            tell(f"{path} has pixels {wide:.3g} times as wide as high, which are taken as squares: scale it first")
        if words := colours_told(path):
            tell(f"{path} says that its colours are no sRGB ({', '.join(words)}), but is taken as sRGB: convert it")
        if is_transparent(path):
            tell(f"{path} has transparency, which is left out, and colours show that it hides: lay it on white first")
        if has_sound(path):
            tell(f"{path} has sound, which is left out")
        return clip

    def save(self, path: str | Path) -> None:
        """Writes the format that the file's suffix names, atomically.

        ``.png`` is a strip, frames one below the other with the rate in a text chunk, and loses nothing. ``.webp`` and
        ``.gif`` play in browsers: WebP keeps the pixels and GIF 256 colours a frame; both hold each frame for a whole
        number of milliseconds (GIF: of centiseconds), so that the rate may change a little.

        Raises:
            ValueError: another suffix, or a strip of more than 2**26 pixels.
        """
        suffix = path_of("path of a film", path).suffix.lower()
        if suffix not in (".png", *_PILLOW):
            raise ValueError(f"a video file must end in .png, .webp or .gif, got {Path(path).name!r}; rename it")
        with writing_atomically(path) as partial:
            if suffix == ".png":
                self._save_strip(partial)
                return
            first, *others = (Image(frame).to_pillow() for frame in self.frames)
            options = {"lossless": True, "minimize_size": False} if suffix == ".webp" else {"disposal": 1}
            unit = 1 if suffix == ".webp" else 10
            duration = max(unit, round(1000 / self.frame_rate_hz / unit) * unit)
            kind = suffix.removeprefix(".")
            first.save(partial, kind, save_all=True, append_images=others, duration=duration, loop=0, **options)

    def _save_strip(self, path: Path) -> None:
        from PIL import PngImagePlugin

        time, height, width, _ = self.frames.shape
        if time * height * width > MAX_FRAME_PIXELS:
            raise ValueError(
                f"a strip may have up to {MAX_FRAME_PIXELS} pixels, got {self!r}; save it as .webp or .gif"
            )
        about = PngImagePlugin.PngInfo()
        about.add_text(_RATE, repr(float(self.frame_rate_hz)))
        about.add_text(_FRAMES, str(len(self.frames)))
        Image(self.frames.flatten(0, 1)).to_pillow().save(path, "png", pnginfo=about)


# Files ----------------------------------------------------------------------------------------------------------------


def _read_film(path: Path) -> tuple[Tensor, float]:
    part = shown_part(path)
    try:
        film = _decoded(path, path)
        if part is not None:  # decord repeats the last frame in place of those behind
            film = film.between(-math.inf, part.ends)
    except ValueError:
        if part is None:
            raise
        with tempfile.TemporaryDirectory() as folder:
            whole = Path(folder) / f"whole{path.suffix}"
            without_edits(path, whole)
            film = _decoded(path, whole).between(part.begin, part.begin + part.lasts)
    if not film.starts:
        raise _broken(path, "its edit list shows none of its frames")
    shown = torch.stack(film.frames)
    axes = mirrored_axes(path)
    if axes:
        shown = shown.flip([axis + 1 for axis in axes])
    return _at_constant_rate(path, shown, film.starts, film.end, film.rate)


class _Film(NamedTuple):
    """Frames, when each comes on and the last one goes, in seconds, and the rate that the file names."""

    frames: list[Tensor]
    starts: list[float]
    end: float
    rate: float

    def between(self, begin: float, end: float) -> _Film:
        """The frames that come on in a piece of time; a film without times stays whole."""
        if len(set(self.starts)) < len(self.starts):
            return self
        kept = [at for at, start in enumerate(self.starts) if begin - _EARLY <= start < end - _ROUNDED]
        last = min(self.end, end) if kept and kept[-1] + 1 == len(self.starts) else end
        return _Film([self.frames[at] for at in kept], [self.starts[at] for at in kept], last, self.rate)


def _decoded(named: Path, path: Path) -> _Film:
    """All frames of a film.

    Args:
        named: the file, for messages.
        path: of what is decoded.
    """
    try:
        from decord import DECORDError, VideoReader
    except ImportError as error:
        raise ImportError(
            f"{named} is read with decord, which is not installed; run `pip install decord`, or make it a .gif"
        ) from error
    if (tick := tick_nanoseconds(path) or 0) >= LONGEST_TICK:
        raise _broken(path, f"a tick of its clock is {tick} nanoseconds")
    if why := impossible_length(path):
        raise _broken(named, why)
    try:
        reader = VideoReader(str(path), num_threads=1)
        count, rate = len(reader), float(reader.get_avg_fps())
        height, width = reader[0].shape[:2] if count else (0, 0)
        _check_size(named, count, height, width)
        times = reader.get_frame_timestamp(list(range(count))).tolist() if count else []
        if any(start < -_NO_TIME for start, _ in times):  # as in MPEG program streams
            times = [(0.0, 0.0)] * count
        # Frames before an edit list's beginning have times below zero; decord counts them, but never hands them out.
        early = sum(start < -_EARLY for start, _ in times)
        times = times[early:]
        reader.seek(0)
        frames = [_without_padding(reader.next().asnumpy()) for _ in times]
    except (DECORDError, RuntimeError, IndexError) as error:
        if "cannot find video stream" in str(error):
            raise _broken(
                named, "no pictures that are known here: it holds sound alone, or a codec such as AV1"
            ) from error
        raise _broken(named, error) from error
    if early and (not times or any(torch.equal(one, other) for one, other in pairwise(frames))):
        raise _broken(named, "its edit list begins where decord repeats frames instead of decoding them")
    if not count or not 0 < rate < math.inf:
        raise _broken(named, f"{count} frames at {rate:g} a second")
    return _Film(frames, [start for start, _ in times], times[-1][1], rate)


def _at_constant_rate(path: Path, frames: Tensor, starts: list[float], end: float, rate: float) -> tuple[Tensor, float]:
    """Frames of a film by their times; by the rate that it names, where its times fit it or there are none."""
    lasting = torch.tensor(starts, dtype=torch.float64).diff()
    if not bool((lasting > 0).all()):  # a stream of frames alone, without times
        return frames, rate
    even = torch.arange(len(starts), dtype=torch.float64) / rate
    unit = 1e-3  # of Matroska; others have finer ones
    if float((torch.tensor(starts, dtype=torch.float64) - starts[0] - even).abs().max()) <= max(unit, 1 / 16 / rate):
        return frames, rate
    if not starts[-1] < end < math.inf:  # not told: the last frame is on like the one before
        end = starts[-1] + float(lasting[-1])
    chosen, steady_rate = steady(starts, end, unit)
    _check_size(path, len(chosen), *frames.shape[1:3])
    return frames[chosen], steady_rate


def _without_padding(frame: Any) -> Tensor:
    """decord takes the padding of narrow pictures' rows for channels, at widths such as 16 and 48: cut it off."""
    height, width = frame.shape[:2]
    rows = torch.from_numpy(frame).view(height, -1)
    return rows[:, : 3 * width].reshape(height, width, 3)


def _read_animation(path: Path) -> tuple[Tensor, float]:
    from PIL import Image as pillow
    from PIL import ImageSequence

    frames, durations = [], []
    try:
        with warned_of(path), pillow.open(path) as film:
            _check_size(path, getattr(film, "n_frames", 1), film.height, film.width)
            if film.height * film.width > MAX_FRAME_PIXELS:
                raise Unfit(f"a frame may have up to {MAX_FRAME_PIXELS} pixels, and has {film.width} x {film.height}")
            for frame in ImageSequence.Iterator(film):
                frames.append(Image.from_pillow(frame.copy()).pixels)
                durations.append(round(film.info.get("duration", 0)))
    except (OSError, SyntaxError, EOFError, IndexError, struct.error, Unfit, pillow.DecompressionBombError) as error:
        if pixels := pixels_announced(error):
            raise ValueError(
                f"a video may have up to {MAX_PIXELS} pixels in all frames, but {path} announces {pixels} in one; cut "
                "or shrink it first"
            ) from error
        raise _broken(path, why_no_picture(path, error)) from error
    if len(frames) > 1 and (unsaid := durations.count(0)):
        tell(f"{path} does not say how long {unsaid} of its {len(frames)} frames are on; a tenth of a second is taken")
    ends = [end / 1000 for end in accumulate(one or _UNSAID for one in durations)]
    chosen, rate = steady([0.0, *ends[:-1]], ends[-1], 0.01 if path.suffix.lower() == ".gif" else 0.001)
    _check_size(path, len(chosen), *frames[0].shape[:2])
    return torch.stack(frames)[chosen], rate


def _read_strip(path: Path) -> tuple[Tensor, float]:
    from PIL import Image as pillow

    pixels = Image.load(path).pixels
    with pillow.open(path) as strip:
        about = strip.info
    if _FRAMES not in about or _RATE not in about:
        raise ValueError(f"{path} is a picture, not a strip that VideoClip.save wrote; take a film or a .gif")
    try:
        return pixels.view(int(about[_FRAMES]), -1, *pixels.shape[1:]), float(about[_RATE])
    except (ValueError, RuntimeError) as error:
        raise _broken(path, error) from error


def _check_size(path: Path, count: int, height: int, width: int) -> None:
    if count * height * width > MAX_PIXELS:
        raise ValueError(
            f"a video may have up to {MAX_PIXELS} pixels in all frames, but {path} has {count} x {width} x {height}; "
            "cut or shrink it first"
        )


def _broken(path: Path, why: str | Exception) -> ValueError:
    reason = why if isinstance(why, str) else in_our_words(why, _MEANINGS, _OTHERWISE)
    return ValueError(f"{path} must be a whole video file, but cannot be read ({reason}); export it again")


def frames_at(rate_hz: float, frames: int, frame_rate_hz: float) -> int:
    """How many frames are shown at ``rate_hz`` while ``frames`` at ``frame_rate_hz`` are on."""
    # A millionth of a frame: rates such as 30000/1001 must not fall short of a frame by rounding.
    return max(1, math.ceil(frames / (frame_rate_hz / rate_hz) - 1e-6))

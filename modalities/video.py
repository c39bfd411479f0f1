"""Video without sound: an image tokenizer that codes one frame after the other.

Arrow: VideoClip --VideoTokenizer.encode--> TokenStream [time, row, column, 1], and back.
Does not know: shared ids, models, other modalities than images. Nothing here uses that neighbouring frames are alike.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from tokenmask.files import writing_atomically
from tokenmask.modalities.codebook_report import code_usage, psnr_db
from tokenmask.modalities.image import MAX_PIXELS as MAX_STRIP_PIXELS
from tokenmask.modalities.image import Image, ImageTokenizer, ImageTokenizerConfig
from tokenmask.modalities.keeping import check_keep, kept
from tokenmask.modalities.learned import LearnedTokenizer, stored
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import check_media, check_stream

MAX_PIXELS = 1 << 30  # of all frames of a clip together; 3 GiB in memory
_RATE, _FRAMES = "frame_rate_hz", "frames"  # text chunks of a strip
_PILLOW = (".gif", ".webp")


@dataclass(frozen=True, eq=False)
class VideoClip:
    """Moving pictures in 8-bit sRGB, at a constant rate, without sound.

    Args:
        frames: uint8 [time, height, width, 3], red, green, blue.
        frame_rate_hz: frames a second.
        stream: the codes it was generated from, if it was; does not count in comparisons.
    """

    frames: Tensor
    frame_rate_hz: float
    stream: TokenStream | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        shape = self.frames.shape
        if self.frames.dtype != torch.uint8 or len(shape) != 4 or shape[3] != 3 or not self.frames.numel():
            raise ValueError(
                "frames of a VideoClip must be uint8 [time, height, width, 3], got "
                f"{str(self.frames.dtype).removeprefix('torch.')} {list(shape)}"
            )
        if not 0 < self.frame_rate_hz < math.inf:
            raise ValueError(f"frame_rate_hz must be positive, got {self.frame_rate_hz}; give the clip's own rate")

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

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Reads what :meth:`save` writes, through Pillow, and all other films (mp4, avi, mkv, webm), through decord.

        Frames of a film are taken as they come and its mean rate as theirs; frames of GIF and WebP are repeated where
        they stay longer than others.

        Raises:
            ValueError: no such file, no film, cut short, or more than 2**30 pixels.
            ImportError: decord is needed and not installed.
        """
        path = Path(path)
        if not path.is_file():
            raise ValueError(f"a video is read from a file, but {path} is none; check the path")
        if path.suffix.lower() == ".png":
            return cls(*_read_strip(path))
        return cls(*(_read_animation(path) if path.suffix.lower() in _PILLOW else _read_film(path)))

    def save(self, path: str | Path) -> None:
        """Writes the format that the file's suffix names, atomically.

        ``.png`` is a strip, frames one below the other with the rate in a text chunk, and loses nothing. ``.webp`` and
        ``.gif`` play in browsers: WebP keeps the pixels and GIF 256 colours a frame; both hold each frame for a whole
        number of milliseconds (GIF: of centiseconds), so that the rate may change a little.

        Raises:
            ValueError: another suffix, or a strip of more than 2**26 pixels.
        """
        suffix = Path(path).suffix.lower()
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
        if time * height * width > MAX_STRIP_PIXELS:
            raise ValueError(
                f"a strip may have up to {MAX_STRIP_PIXELS} pixels, got {self!r}; save it as .webp or .gif"
            )
        about = PngImagePlugin.PngInfo()
        about.add_text(_RATE, repr(float(self.frame_rate_hz)))
        about.add_text(_FRAMES, str(len(self.frames)))
        Image(self.frames.flatten(0, 1)).to_pillow().save(path, "png", pnginfo=about)


@dataclass(frozen=True)
class VideoTokenizerConfig:
    """How frames become codes.

    Args:
        image: of the image tokenizer; a mapping of its fields will do.
        frame_rate_hz: of the clips that are coded and made.
        step: every ``step``-th frame is coded; a decoded clip shows it until the next one.
        resample: bring clips of other rates to ``frame_rate_hz``, by the frame that is on at each moment; False refuses
            them.
    """

    image: ImageTokenizerConfig = field(default_factory=ImageTokenizerConfig)
    frame_rate_hz: float = 24.0
    step: int = 2
    resample: bool = True

    def __post_init__(self) -> None:
        if isinstance(self.image, Mapping):
            object.__setattr__(self, "image", ImageTokenizerConfig(**self.image))
        if not 0 < self.frame_rate_hz < math.inf or self.step < 1:
            raise ValueError(
                f"a video tokenizer needs frame_rate_hz above 0 and step >= 1, got {self.frame_rate_hz} and {self.step}"
            )


class VideoTokenizer(LearnedTokenizer):
    """Every ``step``-th frame through an :class:`~tokenmask.modalities.image.ImageTokenizer`, each on its own.

    It learns nothing itself, see :meth:`around`; :meth:`fit` trains the image tokenizer on single frames. A clip of n
    frames has ceil(n / step) times of codes. Codes are equal, bit for bit, for a clip alone or in any batch, and for
    parts of a clip that begin at multiples of ``step``.

    Source: frame by frame as the per-frame baselines of VideoGPT, arXiv:2104.10157, and MAGVIT, arXiv:2212.05199;
    codes as in VQ-VAE, arXiv:1711.00937.
    """

    name: ClassVar[str] = "video"
    media: ClassVar[type] = VideoClip
    config_class: ClassVar[type] = VideoTokenizerConfig
    context_seconds: ClassVar[float | None] = 0.0
    config: VideoTokenizerConfig

    def __init__(self, config: VideoTokenizerConfig, weights: Mapping[str, Tensor]) -> None:
        """Args:
        config: of the image tokenizer and the clock.
        weights: those of the image tokenizer.
        """
        super().__init__(config, weights)
        self._images = ImageTokenizer(config.image, weights)
        self._images._network = self._network  # once in memory, and moved by ``to`` together

    @classmethod
    def around(
        cls, images: ImageTokenizer, *, frame_rate_hz: float = 24.0, step: int = 2, resample: bool = True
    ) -> Self:
        """A video tokenizer that codes frames with an image tokenizer; see :class:`VideoTokenizerConfig`."""
        return cls(VideoTokenizerConfig(images.config, frame_rate_hz, step, resample), stored(images._network))

    @staticmethod
    def make_network(config: VideoTokenizerConfig) -> nn.Module:
        """That of the image tokenizer."""
        return ImageTokenizer.make_network(config.image)

    @staticmethod
    def make_spec(config: VideoTokenizerConfig, network: nn.Module, identity: str) -> StreamSpec:
        """One level over ("time", "row", "column")."""
        image = ImageTokenizer.make_spec(config.image, network, identity)
        return StreamSpec(
            "video",
            image.codebook_sizes,
            ("time", *image.axes),
            grid=(None, *image.grid),
            rate_hz=config.frame_rate_hz / config.step,
            fingerprint=identity,
        )

    def encode_many(self, items: Sequence[VideoClip]) -> list[TokenStream]:
        """The codes of many clips, brought to the frame rate and the size of the configuration.

        Returns:
            Streams of codes int32 [time, row, column, 1].

        Raises:
            TypeError: not a VideoClip.
            ValueError: another rate or size, where the configuration does not resample or resize.
        """
        for item in items:
            check_media(self, item)
        clips = [self._timed(item).frames[:: self.config.step] for item in items]
        codes = [torch.stack([one.codes for one in self._images.encode_many(list(map(Image, clip)))]) for clip in clips]
        return [TokenStream(self._spec, one) for one in codes]

    def decode(self, stream: TokenStream, *, given: VideoClip | None = None, keep: Tensor | None = None) -> VideoClip:
        """The clip of any codes, ``step`` equal frames for each time.

        Args:
            stream: codes of this tokenizer.
            given: the clip that kept parts come from, as long as the stream (up to its last ``step`` frames), brought
                to rate and size like in :meth:`encode`.
            keep: bool [time], the times whose frames are copied from ``given``, or bool [time, row, column], places
                whose pixels are; what is not kept is decoded.

        Returns:
            A VideoClip of ``config.frame_rate_hz`` that keeps the stream.

        Raises:
            TypeError: ``given`` is no VideoClip.
            ValueError: the codes of another tokenizer or none; only one of given and keep; a length or shape that does
                not fit.
        """
        check_stream(self, stream)
        if not stream.codes.numel():
            raise ValueError("a video stream must hold at least one time, got none; generate or encode a longer one")
        spec, step, rate = self._images.spec, self.config.step, self.config.frame_rate_hz
        images = self._images.decode_many([TokenStream(spec, codes) for codes in stream.codes])
        made = torch.stack([image.pixels for image in images]).repeat_interleave(step, 0)
        pair = kept(given, keep)
        if pair is None:
            return VideoClip(made, rate, stream)
        given, keep = pair
        check_media(self, given)
        grid = tuple(stream.grid)
        check_keep(keep, grid[:1], grid)
        timed = self._timed(given)
        if -(-len(timed.frames) // step) != grid[0]:
            raise ValueError(
                f"given must have as many times as the stream, got {-(-len(timed.frames) // step)} and {grid[0]}; "
                "cut it or lengthen the stream"
            )
        size = self.config.image.size
        frames = torch.stack([Image(frame).resize(size, size).pixels for frame in timed.frames])
        made = made[: len(frames)]
        keep = keep.repeat_interleave(step, 0)[: len(frames)]
        if keep.dim() == 3:
            keep = keep.repeat_interleave(self.config.image.stride, 1).repeat_interleave(self.config.image.stride, 2)
        mixed = torch.where(keep.view(*keep.shape, *(1,) * (4 - keep.dim())), frames, made)
        return VideoClip(mixed, rate, stream)

    def evaluate(self, items: Sequence[VideoClip], train_items: Sequence[VideoClip] = ()) -> dict[str, float]:
        """How well clips are coded.

        Args:
            items: held-out clips.
            train_items: not used.

        Returns:
            psnr_db of the frames that are coded, and all_frames_psnr_db of all frames at the tokenizer's rate, so with
            what ``step`` costs (means over frames); codes_used_share, perplexity and bits_per_second.
        """
        if not len(items):
            raise ValueError("evaluate needs at least one clip, got none")
        size, step = self.config.image.size, self.config.step
        coded, every, codes = [], [], []
        for item in items:
            stream = self.encode(item)
            frames = [Image(frame).resize(size, size).pixels for frame in self._timed(item).frames]
            originals, copies = torch.stack(frames), self.decode(stream).frames[: len(frames)]
            errors = [psnr_db(one[None], other[None]) for one, other in zip(originals, copies, strict=True)]
            every += errors
            coded += errors[::step]
            codes.append(stream.codes)
        share, perplexity = code_usage(torch.cat(codes), self.config.image.codes)
        places = math.prod(codes[0].shape[1:])
        return {
            "psnr_db": sum(coded) / len(coded),
            "all_frames_psnr_db": sum(every) / len(every),
            "codes_used_share": share,
            "perplexity": perplexity,
            "bits_per_second": places * math.log2(self.config.image.codes) * self.config.frame_rate_hz / step,
        }

    @classmethod
    def fit(
        cls,
        items: Sequence[VideoClip],
        *,
        config: VideoTokenizerConfig | None = None,
        steps: int = 1000,
        batch_size: int = 16,
        peak_lr: float = 5e-3,
        seed: int = 0,
        folder: str | Path | None = None,
        checkpoint_every: int = 100,
        progress: bool = True,
    ) -> Self:
        """Trains an image tokenizer on the frames of clips; see :meth:`ImageTokenizer.fit`.

        Args:
            items: clips; their coded frames are held in memory at the size of the tokenizer.
            config: of the image tokenizer and the clock.
            steps: optimisation steps.
            batch_size: frames in a step.
            peak_lr: largest learning rate.
            seed: of the weights, the batches and all else.
            folder: keeps a checkpoint; a run that was stopped goes on from it, bit for bit.
            checkpoint_every: steps between checkpoints.
            progress: show progress on stderr.

        Raises:
            ValueError: fewer than two frames, or a folder with the checkpoint of another run.
        """
        config = config or VideoTokenizerConfig()
        size, frames = config.image.size, []
        for item in items:
            check_media(cls, item)
            coded = _resampled(item, config.frame_rate_hz, config.resample).frames[:: config.step]
            frames += [Image(frame).resize(size, size) if config.image.resize else Image(frame) for frame in coded]
        images = ImageTokenizer.fit(
            frames,
            config=config.image,
            steps=steps,
            batch_size=batch_size,
            peak_lr=peak_lr,
            seed=seed,
            folder=folder,
            checkpoint_every=checkpoint_every,
            progress=progress,
        )
        return cls(config, stored(images._network))

    def _timed(self, clip: VideoClip) -> VideoClip:
        return _resampled(clip, self.config.frame_rate_hz, self.config.resample)


def _resampled(clip: VideoClip, rate: float, resample: bool) -> VideoClip:
    """The frame that is on at each moment of another clock; it begins with the first one."""
    if clip.frame_rate_hz == rate:
        return clip
    if not resample:
        raise ValueError(f"clips must have {rate:g} frames a second, got {clip!r}; convert it, or set resample")
    ratio = clip.frame_rate_hz / rate
    # A millionth of a frame: rates such as 30000/1001 must not fall short of a frame by rounding.
    count = max(1, math.ceil(len(clip.frames) / ratio - 1e-6))
    shown = ((torch.arange(count, dtype=torch.float64) * ratio + 1e-6).long()).clamp_max(len(clip.frames) - 1)
    return VideoClip(clip.frames[shown], rate)


# Files ----------------------------------------------------------------------------------------------------------------


def _read_film(path: Path) -> tuple[Tensor, float]:
    try:
        from decord import DECORDError, VideoReader
    except ImportError as error:
        raise ImportError(
            f"{path} is read with decord, which is not installed; run `pip install decord`, or make it a .gif"
        ) from error
    try:
        reader = VideoReader(str(path), num_threads=1)
        count, rate = len(reader), float(reader.get_avg_fps())
        height, width = reader[0].shape[:2] if count else (0, 0)
        _check_size(path, count, height, width)
        reader.seek(0)
        frames = [_without_padding(reader.next().asnumpy()) for _ in range(count)]
    except (DECORDError, RuntimeError, IndexError) as error:
        raise _broken(path, error) from error
    if not count or not 0 < rate < math.inf:
        raise _broken(path, f"{count} frames at {rate:g} a second")
    return torch.stack(frames), rate


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
        with pillow.open(path) as film:
            _check_size(path, getattr(film, "n_frames", 1), film.height, film.width)
            for frame in ImageSequence.Iterator(film):
                frames.append(Image.from_pillow(frame.copy()).pixels)
                durations.append(round(film.info.get("duration", 0)) or 100)  # browsers show 0 as a tenth of a second
    except (OSError, SyntaxError, EOFError, IndexError, struct.error, pillow.DecompressionBombError) as error:
        raise _broken(path, error) from error
    unit = math.gcd(*durations)
    times = torch.tensor([duration // unit for duration in durations])
    _check_size(path, int(times.sum()), *frames[0].shape[:2])
    return torch.stack(frames).repeat_interleave(times, 0), 1000 / unit


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


def _broken(path: Path, why: object) -> ValueError:
    reason = " ".join(str(why).split())[:200]
    return ValueError(f"{path} must be a whole video file, but cannot be read ({reason}); export it again")

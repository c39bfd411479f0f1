"""Video without sound: an image tokenizer that codes one frame after the other.

Arrow: VideoClip --VideoTokenizer.encode--> TokenStream [time, row, column, 1], and back.
Does not know: shared ids, models, other modalities than images. Nothing here uses that neighbouring frames are alike.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from tokenmask.modalities.codebook_report import code_usage, psnr_db
from tokenmask.modalities.image import ImageTokenizer, ImageTokenizerConfig
from tokenmask.modalities.image.media import Image
from tokenmask.modalities.keeping import check_keep, check_nothing_kept, kept
from tokenmask.modalities.learned import LearnedTokenizer, stored
from tokenmask.modalities.telling import stretched, tell
from tokenmask.modalities.video.joining import joined
from tokenmask.modalities.video.media import VideoClip, frames_at
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import check_media, check_stream


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
    continues: ClassVar[bool] = True
    config_class: ClassVar[type] = VideoTokenizerConfig
    decoder_class: ClassVar[type | None] = ImageTokenizer.decoder_class
    context_seconds: ClassVar[float | None] = 0.0
    config: VideoTokenizerConfig

    def __init__(
        self,
        config: VideoTokenizerConfig,
        weights: Mapping[str, Tensor],
        decoder: tuple[Any, Mapping[str, Tensor]] | None = None,
    ) -> None:
        """Args:
        config: of the image tokenizer and the clock.
        weights: those of the image tokenizer.
        decoder: configuration and tensors of its later decoder, if there is one.
        """
        super().__init__(config, weights, decoder)
        self._images = ImageTokenizer(config.image, weights, decoder)
        # Once in memory, and moved by ``to`` together.
        self._images._network, self._images._decoder = self._network, self._decoder

    @classmethod
    def around(
        cls, images: ImageTokenizer, *, frame_rate_hz: float = 24.0, step: int = 2, resample: bool = True
    ) -> Self:
        """A video tokenizer that codes frames with an image tokenizer; see :class:`VideoTokenizerConfig`."""
        config = VideoTokenizerConfig(images.config, frame_rate_hz, step, resample)
        return cls(config, stored(images._network), images.later_decoder)

    @staticmethod
    def make_network(config: VideoTokenizerConfig) -> nn.Module:
        """That of the image tokenizer."""
        return ImageTokenizer.make_network(config.image)

    @staticmethod
    def make_decoder(config: VideoTokenizerConfig, own: Any) -> nn.Module:
        """That of the image tokenizer."""
        return ImageTokenizer.make_decoder(config.image, own)

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
            tell(item.source, self._changes(item), "this VideoTokenizer")
        clips = [self._timed(item).frames[:: self.config.step] for item in items]
        codes = [torch.stack([one.codes for one in self._images.encode_many(list(map(Image, clip)))]) for clip in clips]
        return [TokenStream(self._spec, one) for one in codes]

    def decode(self, stream: TokenStream, *, given: VideoClip | None = None, keep: Tensor | None = None) -> VideoClip:
        """The clip of any codes, ``step`` equal frames for each time.

        Args:
            stream: codes of this tokenizer.
            given: the clip that kept parts come from, of any rate and size, at most as long as the stream (up to its
                last ``step`` frames).
            keep: bool [time], the times whose frames are copied from ``given``, or bool [time, row, column], places
                whose pixels are; what is not kept is decoded.

        Returns:
            A VideoClip of ``config.frame_rate_hz`` that keeps the stream; with ``given`` one of its rate, size and
            length, or longer where the stream is.

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
        clip, pair = VideoClip(made, rate, stream), kept(given, keep)
        if pair is None:
            return clip
        given, keep = pair
        check_media(self, given)
        grid = tuple(stream.grid)
        check_keep(keep, grid[:1], grid)
        times = -(-len(self._timed(given).frames) // step)
        if times > grid[0]:
            raise ValueError(
                f"given must have no more times than the stream, got {times} and {grid[0]}; cut it or lengthen the "
                "stream"
            )
        return joined(clip, given, keep)

    def decode_pieces(
        self, streams: Iterable[TokenStream], places: int, *, given: Any = None, keep: Tensor | None = None
    ) -> Iterator[VideoClip]:
        """Clips that joined are that of :meth:`decode`; see :class:`~tokenmask.tokenizer.DecodesPieces`.

        Raises:
            ValueError: ``given``, which this can't join in pieces; the codes of another tokenizer.
        """
        check_nothing_kept(self, given, keep)
        return (replace(self.decode(stream), stream=None) for stream in streams)

    def evaluate(self, items: Sequence[VideoClip], train_items: Sequence[VideoClip] = ()) -> dict[str, float]:
        """How well clips are coded.

        Args:
            items: held-out clips.
            train_items: not used.

        Returns:
            psnr_db of the frames that are coded, and all_frames_psnr_db of all frames at the tokenizer's rate, so with
            what ``step`` costs (means over frames, at the size that is coded); codes_used_share, perplexity and
            bits_per_second.
        """
        if not len(items):
            raise ValueError("evaluate needs at least one clip, got none")
        size, step = self.config.image.size, self.config.step
        coded, every, codes = [], [], []
        for item in items:
            stream = self.encode(item)
            originals, copies = (
                torch.stack([Image(frame).resize(size, size).pixels for frame in clip.frames])
                for clip in (self._timed(item), self.decode(stream))
            )
            pairs = zip(originals, copies[: len(originals)], strict=True)  # the last code may be of fewer frames
            errors = [psnr_db(one[None], other[None]) for one, other in pairs]
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

    def _changes(self, clip: VideoClip) -> list[str]:
        told = stretched(clip.frames.shape[1:3], self.config.image.size)
        if clip.frame_rate_hz != self.config.frame_rate_hz:
            told.append(f"is played at {self.config.frame_rate_hz:g} instead of {clip.frame_rate_hz:g} frames a second")
        return told

    def _timed(self, clip: VideoClip) -> VideoClip:
        return _resampled(clip, self.config.frame_rate_hz, self.config.resample)


def _resampled(clip: VideoClip, rate: float, resample: bool) -> VideoClip:
    """The frame that is on at each moment of another clock; it begins with the first one."""
    if clip.frame_rate_hz == rate:
        return clip
    if not resample:
        raise ValueError(f"clips must have {rate:g} frames a second, got {clip!r}; convert it, or set resample")
    ratio = clip.frame_rate_hz / rate
    count = frames_at(rate, len(clip.frames), clip.frame_rate_hz)
    shown = ((torch.arange(count, dtype=torch.float64) * ratio + 1e-6).long()).clamp_max(len(clip.frames) - 1)
    return VideoClip(clip.frames[shown], rate)

"""Motion of a body: six parts, each coded by residual codebooks, around a linear code with a small correction.

Arrow: MotionClip --MotionTokenizer.encode--> TokenStream [time, part x level], and back.
Does not know: shared ids, models, other modalities, how motion files are read (see ``skeleton``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor, nn

from tokenmask.modalities.codebook_report import code_usage, pca_coded
from tokenmask.modalities.keeping import check_nothing_kept, kept
from tokenmask.modalities.learned import FitSettings, LearnedTokenizer
from tokenmask.modalities.motion.features import (
    PARTS,
    body_parts,
    positions,
    to_clip,
    to_features,
)
from tokenmask.modalities.motion.file_codes import features_of_file, write_made
from tokenmask.modalities.motion.fit import motion_fitting
from tokenmask.modalities.motion.joining import into, travelled
from tokenmask.modalities.motion.long import (
    clips_of,
    unpacked,
)
from tokenmask.modalities.motion.media import MotionClip, frames_at
from tokenmask.modalities.motion.network import MotionNetwork, MotionTokenizerConfig
from tokenmask.modalities.motion.prepare import changes, lateral_of, padded, sized, training_clips
from tokenmask.modalities.quantizers.residual import GroupedQuantizer
from tokenmask.modalities.seams import smoothed
from tokenmask.modalities.telling import tell
from tokenmask.modalities.windows import Windows, grouped
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.threads import free_cores, one_thread
from tokenmask.tokenizer import Show, check_media, check_stream, nothing_shown

_ROWS = 64  # windows that go through the network at once, always: sums of products depend on the number of rows
_HEARD = 16  # codes that become frames at once for those who see a motion while it is made
_SHOWN = 1024  # codes that are worked on in pieces of a file, from one showing of what is done to the next
_SMOOTHING = 1 / 3  # deviation of the smoothing over time, in codes


class MotionTokenizer(LearnedTokenizer):
    """Six body parts, each the sum of ``levels`` codes every ``stride`` frames, for one skeleton.

    Encoder and decoder are principal components of each part's windows plus a correction by a small network that sees
    all parts and the neighbouring windows; learned by the error of joint positions through forward kinematics.

    Codes are equal, bit for bit, for a clip alone or in any batch and for any number of threads, on one machine. A code
    depends on the frames of its own window and those next to it, so a halo of two windows, on their grid, is exact:
    ``context_seconds`` is that for the default stride and rate; others need 2 * stride / frame_rate_hz.

    Source: residual codes of motion: MoMask, arXiv:2312.00063; codes by body part: ParCo, arXiv:2403.18512. Deviations:
    linear codec with a correction instead of a deep convolutional one, which fails on new poses where clips are few.
    """

    name: ClassVar[str] = "motion"
    media: ClassVar[type] = MotionClip
    continues: ClassVar[bool] = True
    keeps_groups: ClassVar[bool] = True
    config_class: ClassVar[type] = MotionTokenizerConfig
    context_seconds: ClassVar[float | None] = 8 / 30
    config: MotionTokenizerConfig

    @staticmethod
    def make_network(config: MotionTokenizerConfig) -> nn.Module:
        """Encoder, codebooks and decoder."""
        return MotionNetwork(config)

    @staticmethod
    def make_spec(config: MotionTokenizerConfig, network: Any, identity: str) -> StreamSpec:
        """Levels part by part over ("time",); each part's levels are a group."""
        quantizer: GroupedQuantizer = network.quantizer
        return StreamSpec(
            "motion",
            quantizer.codebook_sizes,
            ("time",),
            rate_hz=config.frame_rate_hz / config.stride,
            level_groups=quantizer.groups,
            fingerprint=identity,
        )

    @free_cores()
    @torch.no_grad()
    def encode_many(self, items: Sequence[MotionClip]) -> list[TokenStream]:
        """The codes of many clips, each first brought to the configuration's frame rate.

        What is left of a whole window at the end is filled up with the last frame.

        Returns:
            Streams of codes int32 [time, parts * levels].

        Raises:
            TypeError: not a MotionClip.
            ValueError: another skeleton, or fewer frames than ``stride``.
        """
        for item in items:
            check_media(self, item)

        def signals() -> Iterator[Tensor]:
            for item in items:
                features = to_features(padded(sized(item, self.config), self.config), self._lateral)
                tell(item.source, changes(item, self.config), "this MotionTokenizer")
                yield self._network.normalised(features.to(self.device))

        coded = self._frames_around.through(signals(), self._code, beyond="nearest")
        return [TokenStream(self._spec, codes) for codes in coded]

    @free_cores()
    @torch.no_grad()
    def encode_file(self, path: str | Path, *, show: Show = nothing_shown, **options: Any) -> TokenStream:
        """The codes of ``encode(MotionClip.load(path, **options))``, from pieces of a .bvh file.

        Args:
            path: of a motion; files of other kinds are held in memory, what is made of them is not.
            show: called with seconds done and seconds in all.
            options: of :meth:`MotionClip.load`.

        Raises:
            ValueError: as of :meth:`MotionClip.load`, or as of :meth:`encode`.
        """
        config, stride = self.config, self.config.stride
        features, frames, seconds = features_of_file(path, config, **options)
        normalised = (self._network.normalised(one.to(self.device)) for one in features)
        windows, parts = self._frames_around, list[Tensor]()
        for part in windows.run(windows.of_pieces(normalised, frames, "nearest"), self._code):
            parts.append(part)
            if len(parts) % _SHOWN == 0 or len(parts) * stride == frames:
                show(min(len(parts) * stride / config.frame_rate_hz, seconds), seconds)
        return TokenStream(self._spec, torch.cat(parts))

    @property
    def _frames_around(self) -> Windows:
        """Windows of the frames of a code and of those next to it."""
        return Windows(self.config.stride, self.config.stride, _ROWS)

    def _code(self, windows: Tensor) -> Tensor:
        """Features float32 [rows, 3 * stride, features] -> codes int32 [rows, 1, parts * levels]."""
        codes: Tensor = self._network.quantizer.nearest(self._network.latents(windows))
        return codes.to("cpu", torch.int32)[:, None]

    @free_cores()
    @torch.no_grad()
    def decode_file(
        self,
        stream: TokenStream,
        path: str | Path,
        *,
        given: str | Path | None = None,
        keep: Tensor | None = None,
        show: Show = nothing_shown,
    ) -> None:
        """Writes what ``decode(stream, given=MotionClip.load(given), keep=keep).save(path)`` would, in pieces.

        A .safetensors file is put together in memory first.

        Args:
            stream: codes of this tokenizer.
            path: of the .bvh or .safetensors file to write.
            given: the file that kept frames come from.
            keep: bool [time], [time, levels] or [frames], see :meth:`decode`. Each run of what is not kept is in memory
                as a whole.
            show: called with seconds done and seconds in all.

        Raises:
            ValueError: as of :meth:`decode`; a suffix that cannot be written.
        """
        check_stream(self, stream)
        kept(given, keep)
        pair = None if given is None or keep is None else (given, keep)
        made = self._frames_of([stream], len(stream.codes), _SHOWN)
        groups = self._spec.level_groups
        write_made(path, made, len(stream.codes), self.config, groups, pair, self._check_frames, show)

    def decode_pieces(
        self, streams: Iterable[TokenStream], places: int, *, given: Any = None, keep: Tensor | None = None
    ) -> Iterator[MotionClip]:
        """Clips that joined are that of :meth:`decode`; see :class:`~tokenmask.tokenizer.DecodesPieces`.

        Raises:
            ValueError: ``given``, which this can't join in pieces; the codes of another tokenizer.
        """
        check_nothing_kept(self, given, keep)
        return self._clips(streams, places)

    @torch.no_grad()
    def _clips(self, streams: Iterable[TokenStream], places: int) -> Iterator[MotionClip]:
        rate, skeleton = self.config.frame_rate_hz, self.config.skeleton()
        for piece in self._frames_of(streams, places, _HEARD, _HEARD * self.config.stride):
            yield unpacked(piece, rate, skeleton)

    def _frames_of(
        self, streams: Iterable[TokenStream], places: int, together: int, block: int | None = None
    ) -> Iterator[Tensor]:
        """The frames of a stream that comes in pieces, packed, those of ``together`` codes at once; see clips_of."""
        config, around = self.config, Windows(1, 1, _ROWS)

        def latents() -> Iterator[Tensor]:
            for stream in streams:
                self._check_codes(stream)
                yield self._network.quantizer.lookup(stream.codes.to(self.device))

        groups = grouped(around.of_pieces(latents(), places, "nearest"), max(together, 1))
        parts = (part for group in groups for part in around.run(group, self._network.frames))
        features = (self._network.features(torch.cat(some)).cpu() for some in grouped(parts, together))
        deviation = config.stride * _SMOOTHING
        return clips_of(features, places * config.stride, config.frame_rate_hz, config.skeleton(), deviation, block)

    @free_cores()
    def decode(self, stream: TokenStream, *, given: MotionClip | None = None, keep: Tensor | None = None) -> MotionClip:
        """The motion of any codes.

        Args:
            stream: codes of this tokenizer.
            given: the clip that kept frames come from, at any rate and on any body that can be encoded.
            keep: bool [frames of the result], frames that are copied from ``given``, or bool [time], places whose
                frames are; the rest is decoded, and moved and turned in the plane so that it sets out from the kept
                frame before it and arrives at the one after it. Or bool [time, levels]: a place is kept where all its
                codes are, and elsewhere the body parts are of which all codes are; with the root stays the body's path.

        Returns:
            A clip of time * stride frames that keeps the stream; it starts at the origin, heading along zero, unless
            frames are kept. With ``given`` one on its body, at its rate and of its length, or longer where the stream
            is.

        Raises:
            TypeError: ``given`` is no MotionClip.
            ValueError: the codes of another tokenizer; only one of given and keep; a keep or given of another length.
        """
        check_stream(self, stream)
        made = self._decoded(stream)
        pair = kept(given, keep)
        if pair is None:
            return made
        given, keep = pair
        check_media(self, given)
        self._check_frames(len(given), given.frame_rate_hz, len(made))
        return into(made, given, keep)

    def _check_frames(self, own: int, rate: float, made: int) -> None:
        """ValueError for more frames than those of a stream."""
        frames, stride = frames_at(self.config.frame_rate_hz, own, rate), self.config.stride
        if frames > made:
            raise ValueError(
                f"given must have no more frames than the stream, got {-(-frames // stride) * stride} for {made}; "
                "cut it"
            )

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the spec's level groups: the body parts."""
        return PARTS

    @property
    def _lateral(self) -> int:
        return lateral_of(self.config)

    @torch.no_grad()
    def _decoded(self, stream: TokenStream) -> MotionClip:
        self._check_codes(stream)
        return to_clip(self._features(stream), self.config.skeleton(), self.config.frame_rate_hz, stream)

    @staticmethod
    def _check_codes(stream: TokenStream) -> None:
        if not len(stream.codes):
            raise ValueError("a motion stream must hold a code or more to be decoded, got none")

    def _features(self, stream: TokenStream) -> Tensor:
        """float32 [frames, features] of codes, smoothed: each is wrong in its own way, and errors jump between them."""
        latents = self._network.quantizer.lookup(stream.codes.to(self.device))
        made = next(Windows(1, 1, _ROWS).through([latents], self._network.frames, beyond="nearest"))
        features: Tensor = self._network.features(made).cpu()
        return smoothed(features, self.config.stride * _SMOOTHING)

    @torch.no_grad()
    def evaluate(self, items: Sequence[MotionClip], train_items: Sequence[MotionClip] = ()) -> dict[str, float]:
        """How well motion is coded, and how well a classical coder does with the same bits.

        Args:
            items: held-out clips.
            train_items: clips for the baselines to learn from, those the tokenizer learned from; without them there
                are no ``pca_mpjpe_mm``, ``mean_pose_mpjpe_mm`` and ``mpjpe_of_mean_pose``.

        Returns:
            mpjpe_mm, the mean distance of a joint from where it was, with the root fixed in the plane and in the
            heading frame, over all frames and joints; root_drift_m_per_s, how far the decoded root is off at the end
            of a clip per second; heading_drift_deg_per_s, the same for its heading; codes_used_share and perplexity,
            means over levels; bits_per_second; and of the baselines pca_mpjpe_mm, quantised principal components of
            windows of ``stride`` frames that spend the same bits (see :func:`pca_coded`), mean_pose_mpjpe_mm, and
            mpjpe_of_mean_pose, the share of that error that is left.
        """
        if not items:
            raise ValueError("evaluate needs at least one clip, got none")
        config, skeleton, lateral = self.config, self.config.skeleton(), self._lateral
        streams = self.encode_many(items)
        clips = [sized(item, config) for item in items]
        lengths = [len(clip) for clip in clips]
        wanted = [to_features(padded(clip, config), lateral) for clip in clips]
        made = [self._features(stream)[:length] for stream, length in zip(streams, lengths, strict=True)]
        real = torch.cat([positions(one[:length], skeleton) for one, length in zip(wanted, lengths, strict=True)])
        paths, turns, seconds = 0.0, 0.0, sum(lengths) / config.frame_rate_hz
        for clip, stream in zip(clips, streams, strict=True):
            away, turned = travelled(clip, lateral, len(clip))
            copied, copied_turn = travelled(self._decoded(stream), lateral, len(clip))
            paths += float((away - copied).norm())
            turns += abs(math.remainder(turned - copied_turn, 2 * math.pi))
        codes = torch.cat([stream.codes for stream in streams])
        usage = torch.tensor([code_usage(level, config.codes) for level in codes.unbind(1)]).mean(0)
        bits = codes.shape[1] * math.log2(config.codes)
        figures = {
            "mpjpe_mm": _mpjpe_mm(torch.cat([positions(one, skeleton) for one in made]), real),
            "root_drift_m_per_s": paths / seconds,
            "heading_drift_deg_per_s": math.degrees(turns) / seconds,
            "codes_used_share": float(usage[0]),
            "perplexity": float(usage[1]),
            "bits_per_second": bits * config.frame_rate_hz / config.stride,
        }
        if train_items:
            known = [to_features(clip, lateral) for clip in training_clips(train_items, config)]
            train = torch.cat([self._windows(self._network.normalised(one.to(self.device))) for one in known])
            own = torch.cat([self._network.normalised(one.to(self.device)) for one in wanted])
            coded = pca_coded(train.cpu(), own.cpu().view(-1, train.shape[1]), bits).float().view(own.shape)
            copies = torch.split(self._network.features(coded.to(self.device)).cpu(), [len(one) for one in wanted])
            cut = [positions(one[:length], skeleton) for one, length in zip(copies, lengths, strict=True)]
            figures["pca_mpjpe_mm"] = _mpjpe_mm(torch.cat(cut), real)
            mean = positions(torch.cat(known), skeleton).mean(0)
            figures["mean_pose_mpjpe_mm"] = _mpjpe_mm(mean.expand(real.shape), real)
            if figures["mean_pose_mpjpe_mm"]:  # clips that differ from their mean
                figures["mpjpe_of_mean_pose"] = figures["mpjpe_mm"] / figures["mean_pose_mpjpe_mm"]
        return figures

    def _windows(self, values: Tensor) -> Tensor:
        """Every run of ``stride`` frames, [frames, features] -> [N, stride * features]."""
        return values.unfold(0, self.config.stride, 1).transpose(1, 2).flatten(1)

    @classmethod
    def chosen_config(cls, items: Sequence[MotionClip]) -> MotionTokenizerConfig:
        """For the skeleton of most clips, of those that can be coded; of the first where two are as many."""
        reason: ValueError | None = None
        for skeleton, _ in Counter(item.skeleton for item in items).most_common():
            config = MotionTokenizerConfig.of(skeleton)
            try:
                lateral_of(config)
                body_parts(skeleton)
            except ValueError as error:
                reason = reason or error
            else:
                return config
        raise reason or ValueError("fitting needs a clip at least, got none; pass some")

    @classmethod
    def check_item(cls, item: MotionClip, config: MotionTokenizerConfig) -> None:
        """ValueError for a clip that cannot be brought to the configuration's skeleton, or is too short."""
        sized(item, config)

    @classmethod
    @one_thread()
    def fit(
        cls,
        items: Sequence[MotionClip],
        *,
        config: MotionTokenizerConfig | None = None,
        steps: int = 600,
        batch_size: int = 16,
        peak_lr: float = 1e-3,
        seed: int = 0,
        folder: str | Path | None = None,
        checkpoint_every: int = 100,
        progress: bool = True,
    ) -> Self:
        """Learns from clips of one skeleton; a minute on one core with the defaults.

        Args:
            items: clips, all held in memory.
            config: the skeleton and the network; the default has the skeleton of most clips.
            steps: optimisation steps.
            batch_size: windows of eight codes in a step.
            peak_lr: largest learning rate.
            seed: of the weights, the batches and all else.
            folder: keeps a checkpoint; a run that was stopped goes on from it, bit for bit.
            checkpoint_every: steps between checkpoints.
            progress: show progress on stderr.

        Raises:
            ValueError: no clips, one of another skeleton or too short, or a folder with the checkpoint of another run.
        """
        if not items:
            raise ValueError("fitting needs a clip at least, got none; pass some")
        for item in items:
            check_media(cls, item)
        config = config or cls.chosen_config(items)
        task = motion_fitting(items, config, FitSettings(steps, batch_size, peak_lr, seed))
        return cls(
            config,
            task.run("motion tokenizer", folder=folder, checkpoint_every=checkpoint_every, progress=progress),
        )


def _mpjpe_mm(copies: Tensor, real: Tensor) -> float:
    return 1000 * float((copies - real).norm(dim=-1).double().mean())

"""Motion of a body: six parts, each coded by residual codebooks, around a linear code with a small correction.

Arrow: MotionClip --MotionTokenizer.encode--> TokenStream [time, part x level], and back.
Does not know: shared ids, models, other modalities, how motion files are read (see ``skeleton``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from tokenmask.fitting import fit
from tokenmask.modalities.codebook_report import code_usage, pca_coded
from tokenmask.modalities.learned import CodecFitting, FitSettings, LearnedTokenizer, Quantise, stored
from tokenmask.modalities.quantizers.residual import GroupedQuantizer, ResidualQuantizerConfig
from tokenmask.modalities.quantizers.vq import VectorQuantizerConfig
from tokenmask.modalities.skeleton import (
    MotionClip,
    Skeleton,
    from_matrix,
    matmul3,
    multiply,
    side_of,
    to_matrix,
    turn,
    turn_angle,
)
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import check_media, check_stream, fingerprint

PARTS = ("root", "spine", "right_leg", "right_arm", "left_leg", "left_arm")
_ROOT = 4  # height, two velocities and the yaw rate come first, then the root's rotation
_UP = (0.0, 1.0, 0.0)
_ROWS = 64  # windows that go through the network at once, always: sums of products depend on the number of rows
_TOGETHER = 8  # codes of a training window
_FEATURE_SHARE = 0.3  # of the loss; the rest is joint positions
_ROUND = 1e-6  # square metres that round the distance off at nothing
_NUDGE = 0.05
_VELOCITY_METRES, _YAW_METRES = 0.1, 0.06  # what a unit of speed, m/s and rad/s, counts beside joint positions


@dataclass(frozen=True)
class MotionTokenizerConfig:
    """The skeleton, the network and how it learns.

    Args:
        names, parents, offsets, kinds, axes: of the skeleton, see :class:`Skeleton`.
        frame_rate_hz: rate that clips are brought to.
        stride: frames that a code covers.
        codes: size of each codebook.
        levels: codebooks of each body part.
        latent: numbers in a part's vector, at most ``stride`` times its features.
        width: hidden units of the corrections; multiples of 64.
        level_dropout, commitment: see :class:`ResidualQuantizerConfig` and :class:`VectorQuantizerConfig`.
        mirror: also learn from mirrored clips.
        offset: training windows are moved by up to this share of the difference of two random frames, in all features
            alike; 0 leaves them as they are, and poses that no clip has are then coded worse.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    offsets: tuple[tuple[float, float, float], ...]
    kinds: tuple[str, ...]
    axes: tuple[tuple[float, float, float], ...]
    frame_rate_hz: float = 30.0
    stride: int = 4
    codes: int = 64
    levels: int = 2
    latent: int = 12
    width: int = 128
    level_dropout: float = 0.0
    commitment: float = 0.25
    mirror: bool = True
    offset: float = 0.3

    def __post_init__(self) -> None:
        if not self.frame_rate_hz > 0 or self.stride < 1 or self.width < 64 or self.width % 64:
            raise ValueError(
                "frame_rate_hz and stride must be positive and width a multiple of 64, got "
                f"{self.frame_rate_hz}, {self.stride} and {self.width}"
            )
        if not 0 <= self.offset < 1:
            raise ValueError(f"offset must be in 0..1, got {self.offset}")
        counts = [stop - start for start, stop in part_columns(self.skeleton())]
        if self.latent > self.stride * min(counts):
            raise ValueError(
                f"latent must be at most {self.stride * min(counts)}, its smallest part's numbers, got {self.latent}"
            )
        self.quantizer()

    @classmethod
    def of(cls, skeleton: Skeleton, **settings: Any) -> MotionTokenizerConfig:
        """The configuration for a skeleton; ``settings`` are the other fields."""
        return cls(skeleton.names, skeleton.parents, skeleton.offsets, skeleton.kinds, skeleton.axes, **settings)

    def skeleton(self) -> Skeleton:
        """The skeleton that clips must have."""
        return Skeleton(self.names, self.parents, self.offsets, self.kinds, self.axes)

    def quantizer(self) -> list[ResidualQuantizerConfig]:
        """The codebooks of each part."""
        book = VectorQuantizerConfig(self.codes, self.latent, commitment=self.commitment)
        return [ResidualQuantizerConfig(self.levels, book, self.level_dropout)] * len(PARTS)


# Features -------------------------------------------------------------------------------------------------------------


def body_parts(skeleton: Skeleton) -> tuple[tuple[int, ...], ...]:
    """Numbers of the moving joints of each of ``PARTS``: a limb is what is named left or right and hangs together.

    Raises:
        ValueError: a part without joints.
    """
    found: dict[str, list[int]] = {name: [] for name in PARTS}
    where: dict[int, str] = {}
    for joint, (name, parent) in enumerate(zip(skeleton.names, skeleton.parents, strict=True)):
        side = side_of(name)
        above = where.get(parent, "")
        if parent < 0:
            part = "root"
        elif above and above not in ("root", "spine"):
            part = above
        elif side:
            part = f"{side}_leg" if parent == 0 else f"{side}_arm"
        else:
            part = "spine"
        where[joint] = part
        if skeleton.kinds[joint] != "fixed":
            found[part].append(joint)
    empty = [name for name in PARTS if not found[name]]
    if empty:
        raise ValueError(f"a body needs joints named left and right in legs and arms, got none for {empty}; rename")
    return tuple(tuple(found[name]) for name in PARTS)


def part_columns(skeleton: Skeleton) -> list[tuple[int, int]]:
    """First and one past the last feature of each part."""
    columns, start = [], 0
    for part in body_parts(skeleton):
        size = sum(6 if skeleton.kinds[joint] == "ball" else 2 for joint in part) + (_ROOT if not start else 0)
        columns.append((start, start + size))
        start += size
    return columns


def heading(root: Tensor, lateral: int) -> Tensor:
    """Angle about the vertical, radians, of the root's sideways axis (0 for x, 2 for z); matrices [..., 3, 3].

    Flips with the body at the moment when that axis is vertical; somersaults keep their heading.
    """
    axis = root[..., :, lateral]
    return torch.atan2(axis[..., 0], axis[..., 2]) if lateral == 2 else torch.atan2(-axis[..., 2], axis[..., 0])


def to_features(clip: MotionClip, lateral: int) -> Tensor:
    """What the network sees of a clip.

    Rotations are taken in the heading frame, not in the parent's: joint positions are then sums of bones, and an error
    of one part does not swing those that hang on it.

    Args:
        clip: any number of frames.
        lateral: 0 or 2, the axis from side to side, see :meth:`Skeleton.lateral_axis`.

    Returns:
        float32 [frames, features]: root height (m), velocity in the heading frame along x and z (m/s) and yaw rate
        (rad/s) to the next frame, the root's rotation in six numbers, and, part by part, each ball's rotation in the
        heading frame in six numbers and each hinge's angle as cosine and sine.

    Source: six numbers are the first two columns of the matrix, arXiv:1812.07035.
    """
    skeleton = clip.skeleton
    local = to_matrix(clip.rotations.double())
    angle = heading(local[:, 0], lateral)
    back = to_matrix(turn(_UP, -angle))
    position = clip.root_positions.double()
    velocity = _rates(position.diff(dim=0), clip.frame_rate_hz)
    velocity = (back * velocity[:, None]).sum(-1)
    yaw = _rates(torch.remainder(angle.diff() + math.pi, 2 * math.pi) - math.pi, clip.frame_rate_hz)
    whole: list[Tensor] = []
    for joint, parent in enumerate(skeleton.parents):
        whole.append(matmul3(whole[parent] if parent >= 0 else back, local[:, joint]))
    columns = [position[:, 1:2], velocity[:, :1], velocity[:, 2:], yaw[:, None]]
    for joint in (joint for part in body_parts(skeleton) for joint in part):
        if skeleton.kinds[joint] == "ball":
            columns += [whole[joint][..., 0], whole[joint][..., 1]]
        else:
            turned = turn_angle(clip.rotations[:, joint].double(), skeleton.axes[joint])
            columns.append(torch.stack([turned.cos(), turned.sin()], -1))
    return torch.cat(columns, 1).float()


def _rates(steps: Tensor, frame_rate_hz: float) -> Tensor:
    """Differences to the next frame as rates; the last frame has that of the one before, a lone one none."""
    return torch.cat([steps, steps[-1:] if len(steps) else steps.new_zeros(1, *steps.shape[1:])]) * frame_rate_hz


def to_rotations(features: Tensor, skeleton: Skeleton) -> list[Tensor]:
    """Rotations of features, brought to orthogonal matrices (Gram-Schmidt); gradients pass through.

    Args:
        features: float [..., features], see :func:`to_features`.
        skeleton: the joints.

    Returns:
        For each joint float [..., 3, 3], its rotation in the heading frame.
    """
    starts, start = {}, _ROOT
    for joint in (joint for part in body_parts(skeleton) for joint in part):
        starts[joint] = start
        start += 6 if skeleton.kinds[joint] == "ball" else 2
    whole: list[Tensor] = []
    for joint, (parent, kind) in enumerate(zip(skeleton.parents, skeleton.kinds, strict=True)):
        if kind == "fixed":
            whole.append(whole[parent])
            continue
        own = features[..., starts[joint] : starts[joint] + 6]
        if kind == "ball":
            whole.append(_orthogonal(own[..., :3], own[..., 3:]))
        else:
            pair = nn.functional.normalize(own[..., :2], dim=-1)
            whole.append(matmul3(whole[parent], _about(skeleton.axes[joint], pair)))
    return whole


def _orthogonal(first: Tensor, second: Tensor) -> Tensor:
    x = nn.functional.normalize(first, dim=-1)
    y = nn.functional.normalize(second - (x * second).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], -1)


def _about(axis: Sequence[float], pair: Tensor) -> Tensor:
    """Rotation about an axis from the cosine and sine of its angle, [..., 2] -> [..., 3, 3] (Rodrigues)."""
    x, y, z = axis
    cross = torch.tensor([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]], dtype=pair.dtype, device=pair.device)
    eye = torch.eye(3, dtype=pair.dtype, device=pair.device)
    cos, sin = pair[..., :1, None], pair[..., 1:, None]
    return eye + sin * cross + (1 - cos) * (cross @ cross)


def positions(features: Tensor, skeleton: Skeleton) -> Tensor:
    """Joint positions in the heading frame, the root fixed in the plane: [..., features] -> [..., joints, 3], m."""
    whole = to_rotations(features, skeleton)
    offsets = torch.tensor(skeleton.offsets, dtype=features.dtype, device=features.device)
    zero = torch.zeros_like(features[..., 0])
    points = [torch.stack([zero, features[..., 0], zero], -1)]
    for joint, parent in enumerate(skeleton.parents[1:], 1):
        points.append(points[parent] + (whole[parent] * offsets[joint]).sum(-1))
    return torch.stack(points, -2)


# Network --------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Start:
    """Where the network starts: mean and weight of each feature, and principal axes of each part's windows."""

    mean: Tensor
    weight: Tensor
    axes: tuple[Tensor, ...]


class _Network(nn.Module):
    """Linear maps of each part's own frames, and corrections that also see the frames and codes around them.

    A window here is float32 [3 * stride, features], normalised: the frames of a code and as many before and after.
    """

    mean: Tensor
    weight: Tensor

    def __init__(self, config: MotionTokenizerConfig, start: _Start | None = None) -> None:
        super().__init__()
        self._columns, self._stride, self._start = part_columns(config.skeleton()), config.stride, start
        features, latents = self._columns[-1][1], config.latent * len(PARTS)
        self._features, self._latent = features, config.latent
        sizes = [config.stride * (stop - first) for first, stop in self._columns]
        self.register_buffer("mean", torch.empty(features))
        self.register_buffer("weight", torch.empty(features))
        self.down = nn.ModuleList(nn.Linear(size, config.latent, bias=False) for size in sizes)
        self.around = nn.Sequential(
            nn.Linear(3 * config.stride * features, config.width), nn.SiLU(), nn.Linear(config.width, latents)
        )
        self.quantizer = GroupedQuantizer(config.quantizer())
        self.up = nn.ModuleList(nn.Linear(config.latent, size, bias=False) for size in sizes)
        self.spread = nn.Linear(3 * latents, config.width)
        self.mix = nn.Linear(config.width, config.width)
        self.join = nn.Linear(config.width, config.stride * features)

    @torch.no_grad()
    def initialise(self, generator: torch.Generator) -> None:
        """Principal components, and corrections that begin at nothing."""
        self.mean.zero_()
        self.weight.fill_(1)
        for layer in (self.around[2], self.join):
            layer.weight.zero_()  # type: ignore[operator]
            layer.bias.zero_()  # type: ignore[operator]
        if self._start is None:
            return
        self.mean.copy_(self._start.mean)
        self.weight.copy_(self._start.weight)
        for axes, down, up in zip(self._start.axes, self.down, self.up, strict=True):
            down.weight.copy_(axes)  # type: ignore[operator]
            up.weight.copy_(axes.T)  # type: ignore[operator]

    def normalised(self, features: Tensor) -> Tensor:
        """Features about zero, weighted by what they do to joint positions."""
        return (features - self.mean) * self.weight

    def features(self, normalised: Tensor) -> Tensor:
        """The reverse of :meth:`normalised`."""
        return normalised / self.weight + self.mean

    def latents(self, windows: Tensor) -> Tensor:
        """float32 [N, 3 * stride, features] -> [N, parts * latent]."""
        own = windows[:, self._stride : 2 * self._stride]
        parts = [
            down(own[..., first:stop].flatten(1)) for (first, stop), down in zip(self._columns, self.down, strict=True)
        ]
        latents: Tensor = torch.cat(parts, 1) + self.around(windows.flatten(1))
        return latents

    def frames(self, latents: Tensor) -> Tensor:
        """Latents of a code and its two neighbours, [N, 3, parts * latent] -> [N, stride, features], normalised."""
        parts = [
            up(own).view(len(own), self._stride, -1)
            for own, up in zip(torch.split(latents[:, 1], self._latent, 1), self.up, strict=True)
        ]
        hidden = nn.functional.silu(self.spread(latents.flatten(1)))
        hidden = hidden + nn.functional.silu(self.mix(hidden))
        frames: Tensor = torch.cat(parts, 2) + self.join(hidden).view(-1, self._stride, self._features)
        return frames


def _framed(values: Tensor, size: int, step: int) -> Tensor:
    """Windows along dimension -2 of values whose ends are repeated: [..., T, C] -> [..., T / step, size, C]."""
    margin = (size - step) // 2
    ends = values[..., :1, :], values[..., -1:, :]
    first, last = (end.expand(*end.shape[:-2], margin, end.shape[-1]) for end in ends)
    return torch.cat([first, values, last], -2).unfold(-2, size, step).transpose(-1, -2)


def _fixed_rows(rows: Tensor) -> Iterator[tuple[Tensor, int]]:
    """Parts of exactly ``_ROWS`` rows, the last filled up with zeros, and how many rows of each count."""
    for part in torch.split(rows, _ROWS):
        yield torch.cat([part, part.new_zeros(_ROWS - len(part), *part.shape[1:])]), len(part)


# Tokenizer ------------------------------------------------------------------------------------------------------------


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
    config_class: ClassVar[type] = MotionTokenizerConfig
    context_seconds: ClassVar[float | None] = 8 / 30
    config: MotionTokenizerConfig

    @staticmethod
    def make_network(config: MotionTokenizerConfig) -> nn.Module:
        """Encoder, codebooks and decoder."""
        return _Network(config)

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
        if not items:
            return []
        size, windows = self.config.stride, []
        for item in items:
            features = to_features(_padded(_sized(item, self.config), self.config), self._lateral)
            windows.append(_framed(self._network.normalised(features.to(self.device)), 3 * size, size))
        codes = []
        for rows, count in _fixed_rows(torch.cat(windows)):
            codes.append(self._network.quantizer.nearest(self._network.latents(rows))[:count])
        each = torch.split(torch.cat(codes).to("cpu", torch.int32), [len(part) for part in windows])
        return [TokenStream(self._spec, part.clone()) for part in each]

    def decode(self, stream: TokenStream, *, given: MotionClip | None = None, keep: Tensor | None = None) -> MotionClip:
        """The motion of any codes.

        Args:
            stream: codes of this tokenizer.
            given: the clip that kept frames come from; brought to the frame rate, padded and cut like the stream.
            keep: bool [frames], frames that are copied from ``given``, or bool [time], places whose frames are; the
                rest is decoded, and moved and turned in the plane so that it sets out from the kept frame before it
                and arrives at the one after it.

        Returns:
            A clip of time * stride frames that keeps the stream; it starts at the origin, heading along zero, unless
            frames are kept.

        Raises:
            TypeError: ``given`` is no MotionClip.
            ValueError: the codes of another tokenizer; only one of given and keep; a keep or given of another length.
        """
        check_stream(self, stream)
        made = self._decoded(stream)
        if given is None and keep is None:
            return made
        if given is None or keep is None:
            raise ValueError("given and keep belong together, but only one was passed; pass both or neither")
        check_media(self, given)
        source, frames, stride = _padded(_sized(given, self.config), self.config), len(made), self.config.stride
        if len(source) != frames:
            raise ValueError(f"given must have as many frames as the stream, got {len(source)} for {frames}; cut it")
        if keep.dtype != torch.bool or tuple(keep.shape) not in ((frames,), (frames // stride,)):
            kind = str(keep.dtype).removeprefix("torch.")
            raise ValueError(f"keep must be bool [{frames}] or [{frames // stride}], got {kind} {list(keep.shape)}")
        if len(keep) != frames:
            keep = keep.repeat_interleave(stride)
        return _joined(made, source, keep, self._lateral)

    @property
    def group_names(self) -> tuple[str, ...]:
        """Names of the spec's level groups: the body parts."""
        return PARTS

    @property
    def _lateral(self) -> int:
        return _lateral(self.config)

    @torch.no_grad()
    def _decoded(self, stream: TokenStream) -> MotionClip:
        if not len(stream.codes):
            raise ValueError("a motion stream must hold a code or more to be decoded, got none")
        skeleton, rate = self.config.skeleton(), self.config.frame_rate_hz
        features = self._features(stream).double()
        whole = to_rotations(features, skeleton)
        yaw = features[:, 3] / rate
        angle = yaw.cumsum(0) - yaw  # rates lead to the next frame
        ahead = to_matrix(turn(_UP, angle))
        flat = torch.stack([features[:, 1], torch.zeros_like(yaw), features[:, 2]], -1) / rate
        steps = (ahead * flat[:, None]).sum(-1)
        places = steps.cumsum(0) - steps
        places[:, 1] = features[:, 0]
        local = [matmul3(ahead, whole[0])]
        for joint, parent in enumerate(skeleton.parents[1:], 1):
            local.append(matmul3(whole[parent].transpose(1, 2), whole[joint]))
        return MotionClip(places.float(), from_matrix(torch.stack(local, 1)).float(), rate, skeleton, stream)

    def _features(self, stream: TokenStream) -> Tensor:
        """float32 [frames, features] of codes."""
        latents = self._network.quantizer.lookup(stream.codes.to(self.device))
        windows = _framed(latents, 3, 1)
        made = [self._network.frames(rows)[:count] for rows, count in _fixed_rows(windows)]
        features: Tensor = self._network.features(torch.cat(made).flatten(0, 1)).cpu()
        return features

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
        clips = [_sized(item, config) for item in items]
        lengths = [len(clip) for clip in clips]
        wanted = [to_features(_padded(clip, config), lateral) for clip in clips]
        made = [self._features(stream)[:length] for stream, length in zip(streams, lengths, strict=True)]
        real = torch.cat([positions(one[:length], skeleton) for one, length in zip(wanted, lengths, strict=True)])
        paths, turns, seconds = 0.0, 0.0, sum(lengths) / config.frame_rate_hz
        for clip, stream in zip(clips, streams, strict=True):
            away, turned = _travelled(clip, lateral, len(clip))
            copied, copied_turn = _travelled(self._decoded(stream), lateral, len(clip))
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
            known = [to_features(clip, lateral) for clip in _training_clips(train_items, config)]
            train = torch.cat([self._windows(self._network.normalised(one.to(self.device))) for one in known])
            own = torch.cat([self._network.normalised(one.to(self.device)) for one in wanted])
            coded = pca_coded(train.cpu(), own.cpu().view(-1, train.shape[1]), bits).float().view(own.shape)
            copies = torch.split(self._network.features(coded.to(self.device)).cpu(), [len(one) for one in wanted])
            cut = [positions(one[:length], skeleton) for one, length in zip(copies, lengths, strict=True)]
            figures["pca_mpjpe_mm"] = _mpjpe_mm(torch.cat(cut), real)
            mean = positions(torch.cat(known), skeleton).mean(0)
            figures["mean_pose_mpjpe_mm"] = _mpjpe_mm(mean.expand(real.shape), real)
            figures["mpjpe_of_mean_pose"] = figures["mpjpe_mm"] / figures["mean_pose_mpjpe_mm"]
        return figures

    def _windows(self, values: Tensor) -> Tensor:
        """Every run of ``stride`` frames, [frames, features] -> [N, stride * features]."""
        return values.unfold(0, self.config.stride, 1).transpose(1, 2).flatten(1)

    @classmethod
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
    ) -> MotionTokenizer:
        """Learns from clips of one skeleton; a minute on one core with the defaults.

        Args:
            items: clips, all held in memory.
            config: the skeleton and the network; the default has the first clip's skeleton.
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
        config = config or MotionTokenizerConfig.of(items[0].skeleton)
        skeleton, lateral, margin = config.skeleton(), _lateral(config), config.stride
        known = [to_features(clip, lateral) for clip in _training_clips(items, config)]
        start = _start(known, config)
        clips = [(one - start.mean) * start.weight for one in known]
        frames = torch.cat(clips)
        lengths = torch.tensor([float(len(one)) for one in clips])
        places = torch.cat([positions(one, skeleton) for one in known])
        spread = float((places - places.mean(0)).square().sum(-1).mean().sqrt())

        def draw_batch(draw: torch.Generator) -> Tensor:
            windows = []
            for number in torch.multinomial(lengths, batch_size, replacement=True, generator=draw).tolist():
                clip = clips[number]
                first = int(torch.randint(1 - margin, len(clip) - margin + 1, (), generator=draw))
                frame = torch.arange(-margin, _TOGETHER * config.stride + margin) + first
                windows.append(clip[frame.clamp(0, len(clip) - 1)])
            one, two = frames[torch.randint(len(frames), (2, batch_size), generator=draw)]
            share = config.offset * torch.rand(batch_size, 1, generator=draw)
            return torch.stack(windows) + (share * (one - two))[:, None]  # type: ignore[no-any-return]

        def loss(network: _Network, batch: Tensor, quantise: Quantise) -> tuple[Tensor, dict[str, float]]:
            wanted = batch[:, margin:-margin]
            windows = batch.unfold(1, 3 * config.stride, config.stride).transpose(2, 3)
            latents = quantise(network.latents(windows.flatten(0, 1)).view(*windows.shape[:2], -1))
            made = network.frames(_framed(latents, 3, 1).flatten(0, 1)).view(wanted.shape)
            error = nn.functional.mse_loss(made, wanted)
            away = positions(network.features(made), skeleton) - positions(network.features(wanted), skeleton)
            distance = (away.square().sum(-1) + _ROUND).sqrt().mean()
            total: Tensor = _FEATURE_SHARE * error + distance / spread
            return total, {"mpjpe_mm": 1000 * distance.item()}

        settings = FitSettings(steps, batch_size, peak_lr, seed)
        about = {"config": asdict(config), "frames": fingerprint({}, {"frames": torch.cat(known)})}
        task = CodecFitting(lambda: _Network(config, start), draw_batch, loss, settings, about)
        label = "motion tokenizer"
        fit(task, steps=steps, folder=folder, checkpoint_every=checkpoint_every, label=label, progress=progress)
        return cls(config, stored(task.network))


def _lateral(config: MotionTokenizerConfig) -> int:
    axis = config.skeleton().lateral_axis()
    if axis == 1:
        raise ValueError("left and right of a skeleton must lie along x or z, got y; y is up")
    return axis


def _sized(clip: MotionClip, config: MotionTokenizerConfig) -> MotionClip:
    """At the configuration's rate and in its order of joints."""
    sized = clip.on(config.skeleton()).resample(config.frame_rate_hz)
    if len(sized) < config.stride:
        raise ValueError(
            f"a clip must have {config.stride} frames or more at {config.frame_rate_hz:g} Hz, got {clip!r}; pass more"
        )
    return sized


def _padded(clip: MotionClip, config: MotionTokenizerConfig) -> MotionClip:
    """A multiple of ``stride`` frames, the last one repeated."""
    frames = torch.arange(-(-len(clip) // config.stride) * config.stride).clamp(max=len(clip) - 1)
    return MotionClip(clip.root_positions[frames], clip.rotations[frames], clip.frame_rate_hz, clip.skeleton)


def _training_clips(items: Sequence[MotionClip], config: MotionTokenizerConfig) -> list[MotionClip]:
    """At the configuration's rate; fast clips also from their second frame on, and all in the mirror if so set."""
    clips = [_sized(item, config) for item in items]
    for item in items:
        ratio = item.frame_rate_hz / config.frame_rate_hz
        if ratio >= 1.5 and len(item) > (config.stride + 1) * ratio:
            clips.append(_sized(item.cut(1, len(item)), config))
    return clips + [clip.mirrored() for clip in clips] if config.mirror else clips


def _start(known: Sequence[Tensor], config: MotionTokenizerConfig) -> _Start:
    """Mean, weights and principal axes of training clips, float32 [frames, features] each.

    A feature weighs what a small change of it moves joints, so that distances of latents are about those of poses.
    """
    skeleton, frames = config.skeleton(), torch.cat(list(known))
    mean = frames.mean(0)
    some = frames[:: max(1, len(frames) // 512)]
    still = positions(some, skeleton)
    weight = torch.stack(
        [
            (positions(some + _NUDGE * one, skeleton) - still).square().sum(-1).mean().sqrt() / _NUDGE
            for one in torch.eye(frames.shape[1])
        ]
    )
    weight[1:3], weight[3] = _VELOCITY_METRES, _YAW_METRES
    weight = weight.clamp(min=0.02 * float(weight.median()))
    weight = weight / (weight * frames.std(0)).square().mean().sqrt().clamp(min=1e-6)
    axes = []
    for first, stop in part_columns(skeleton):
        windows = [
            ((one[:, first:stop] - mean[first:stop]) * weight[first:stop])
            .unfold(0, config.stride, 1)
            .transpose(1, 2)
            .flatten(1)
            for one in known
        ]
        scatter = torch.cat(windows).double().T @ torch.cat(windows).double()
        axes.append(torch.linalg.eigh(scatter)[1].flip(1)[:, : config.latent].T.float().contiguous())
    return _Start(mean, weight, tuple(axes))


def _mpjpe_mm(copies: Tensor, real: Tensor) -> float:
    return 1000 * float((copies - real).norm(dim=-1).double().mean())


def _headings(clip: MotionClip, lateral: int) -> Tensor:
    """float64 [frames], radians."""
    return heading(to_matrix(clip.rotations[:, 0].double()), lateral)


def _turned(points: Tensor, angle: Tensor) -> Tensor:
    """float64 points [..., 3] about the vertical."""
    return (to_matrix(turn(_UP, angle)) * points[..., None, :]).sum(-1)


def _travelled(clip: MotionClip, lateral: int, frames: int) -> tuple[Tensor, float]:
    """Where frame ``frames`` - 1 is, seen from the first one, along the ground; and by how much the heading turned."""
    angles = _headings(clip, lateral)
    way = (clip.root_positions[frames - 1] - clip.root_positions[0]).double()
    return _turned(way, -angles[0])[[0, 2]], float(angles[frames - 1] - angles[0])


def _joined(made: MotionClip, source: MotionClip, keep: Tensor, lateral: int) -> MotionClip:
    """Kept frames of ``source``; runs between them from ``made``, led from one kept frame to the next."""
    place, rotation = source.root_positions.clone(), source.rotations.clone()
    wanted, own = _headings(source, lateral), _headings(made, lateral)
    edges = torch.nn.functional.pad(keep.int(), (1, 1), value=1).diff()
    for first, stop in zip((edges < 0).nonzero()[:, 0].tolist(), (edges > 0).nonzero()[:, 0].tolist(), strict=True):
        anchors = [frame for frame in (first - 1, stop) if 0 <= frame < len(keep)]
        run = torch.arange(first, stop)
        path, turned = made.root_positions[run].double(), made.rotations[run].clone()
        if anchors:
            begin = anchors[0]
            angle = wanted[begin] - own[begin]
            path = _turned(path - made.root_positions[begin].double(), angle)
            path = path + source.root_positions[begin].double() * torch.tensor([1.0, 0.0, 1.0])
            path[:, 1] = made.root_positions[run, 1].double()
            angles = angle.expand(len(run))
            if len(anchors) == 2:
                share = (run - begin).double() / (stop - begin)
                rest = torch.remainder(wanted[stop] - own[stop] - angle + math.pi, 2 * math.pi) - math.pi
                angles = angle + share * rest
                end = _turned((made.root_positions[stop] - made.root_positions[begin]).double(), angle)
                missing = (source.root_positions[stop] - source.root_positions[begin]).double() - end
                path = path + share[:, None] * missing * torch.tensor([1.0, 0.0, 1.0])
            turned[:, 0] = multiply(turn(_UP, angles), turned[:, 0].double()).float()
        place[run], rotation[run] = path.float(), turned
    return MotionClip(place, rotation, made.frame_rate_hz, made.skeleton, made.stream)

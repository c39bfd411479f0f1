"""The network of the motion tokenizer: a linear code of each body part around which a small correction is learned.

Arrow: windows of features --MotionNetwork.latents--> latents --codebooks, MotionNetwork.frames--> features.
Does not know: clips, files, streams.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from tokenmask.modalities.motion.features import PARTS, part_columns
from tokenmask.modalities.motion.joints import Skeleton
from tokenmask.modalities.quantizers.residual import GroupedQuantizer, ResidualQuantizerConfig
from tokenmask.modalities.quantizers.vq import VectorQuantizerConfig
from tokenmask.nn import Linear


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
        level_dropout, commitment, revive_every, remembers: see :class:`ResidualQuantizerConfig` and
            :class:`VectorQuantizerConfig`.
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
    revive_every: int = field(default=1, metadata={"later": True})
    remembers: bool = field(default=False, metadata={"later": True})

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
        book = VectorQuantizerConfig(
            self.codes,
            self.latent,
            commitment=self.commitment,
            revive_every=self.revive_every,
            remembers=self.remembers,
        )
        return [ResidualQuantizerConfig(self.levels, book, self.level_dropout)] * len(PARTS)


@dataclass(frozen=True)
class Start:
    """Where the network starts: mean and weight of each feature, and principal axes of each part's windows."""

    mean: Tensor
    weight: Tensor
    axes: tuple[Tensor, ...]


class MotionNetwork(nn.Module):
    """Linear maps of each part's own frames, and corrections that also see the frames and codes around them.

    A window here is float32 [3 * stride, features], normalised: the frames of a code and as many before and after.
    """

    mean: Tensor
    weight: Tensor

    def __init__(self, config: MotionTokenizerConfig, start: Start | None = None) -> None:
        super().__init__()
        self._columns, self._stride, self._start = part_columns(config.skeleton()), config.stride, start
        features, latents = self._columns[-1][1], config.latent * len(PARTS)
        self._features, self._latent = features, config.latent
        sizes = [config.stride * (stop - first) for first, stop in self._columns]
        self.register_buffer("mean", torch.empty(features))
        self.register_buffer("weight", torch.empty(features))
        self.down = nn.ModuleList(nn.Linear(size, config.latent, bias=False) for size in sizes)
        self.around = nn.Sequential(
            Linear(3 * config.stride * features, config.width), nn.SiLU(), nn.Linear(config.width, latents)
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


def framed(values: Tensor, size: int, step: int) -> Tensor:
    """Windows along dimension -2 of values whose ends are repeated: [..., T, C] -> [..., T / step, size, C]."""
    margin = (size - step) // 2
    ends = values[..., :1, :], values[..., -1:, :]
    first, last = (end.expand(*end.shape[:-2], margin, end.shape[-1]) for end in ends)
    return torch.cat([first, values, last], -2).unfold(-2, size, step).transpose(-1, -2)

"""The network of the EEG tokenizer: convolutions over the wave of one electrode, around residual codebooks.

Arrow: wave --EegNetwork.latents--> latents --codebooks, EegNetwork.wave--> wave, all divided by the scale.
Does not know: recordings, channels, scales, streams.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tokenmask.modalities.quantizers.residual import GroupedQuantizer, ResidualQuantizer, ResidualQuantizerConfig
from tokenmask.modalities.quantizers.vq import VectorQuantizerConfig

CONTEXT_SECONDS = 2.0  # to either side, that a token may depend on


@dataclass(frozen=True)
class EegTokenizerConfig:
    """The network, the scale and the loss. The default spends 256 bits a second and channel: 8 tokens
    of 4 levels of 7 bits, and 4 bits of scale.

    Args:
        sample_rate_hz: of what is coded; other recordings are resampled.
        stride: samples that a token covers, a power of two, 4 or more.
        levels: residual codebooks of a branch.
        codes: size of each codebook.
        latent: numbers in a code's vector.
        width: channels of the network; multiples of 64 keep codes equal for any number of threads.
        blocks: residual blocks on either side of the codebooks.
        kernels: odd sizes in samples of the first convolution, one for each branch. Several make branches with
            codebooks of their own, as in NeuroRVQ (21, 15, 9, 5), and as many times the bits.
        unit: codes of length one, as in NeuroRVQ.
        level_dropout: see :class:`ResidualQuantizerConfig`.
        scale_seconds: length of the window whose root mean square is the scale.
        scale_steps: codes of the scale.
        scale_low_microvolt, scale_high_microvolt: the scales of the first and the last of them, spaced evenly in
            logarithm (4.8 dB by default); what is outside takes the nearest, and keeps its own size in the codes.
        spectral_weight: of the amplitude and phase errors against the squared error.
        spectral_samples: length of the windows whose spectra are compared, a multiple of two.
        spectral_high_hz: highest frequency that is compared.
        commitment, decay, revive_below: see :class:`VectorQuantizerConfig`.
    """

    sample_rate_hz: float = 128.0
    stride: int = 16
    levels: int = 4
    codes: int = 128
    latent: int = 16
    width: int = 128
    blocks: int = 2
    kernels: tuple[int, ...] = (9,)
    unit: bool = False
    level_dropout: float = 0.0
    scale_seconds: float = 1.0
    scale_steps: int = 16
    scale_low_microvolt: float = 0.25
    scale_high_microvolt: float = 1024.0
    spectral_weight: float = 0.5
    spectral_samples: int = 64
    spectral_high_hz: float = 45.0
    commitment: float = 0.25
    decay: float = 0.99
    revive_below: float = 0.05

    def __post_init__(self) -> None:
        if self.stride < 4 or self.stride & (self.stride - 1):
            raise ValueError(f"stride must be a power of two, 4 or more, got {self.stride}")
        if not math.isfinite(self.sample_rate_hz) or self.sample_rate_hz <= 0:
            raise ValueError(f"sample_rate_hz must be positive, got {self.sample_rate_hz}")
        if self.width < 1 or self.blocks < 0:
            raise ValueError(f"width must be positive and blocks not negative, got {self.width} and {self.blocks}")
        if not self.kernels or any(size < 1 or size % 2 == 0 for size in self.kernels):
            raise ValueError(f"kernels must be one or more odd sizes, got {self.kernels}")
        if self.scale_steps < 2 or not 0 < self.scale_low_microvolt < self.scale_high_microvolt < math.inf:
            raise ValueError(
                "a scale needs scale_steps >= 2 between two positive microvolts, got "
                f"{self.scale_steps}, {self.scale_low_microvolt} and {self.scale_high_microvolt}"
            )
        if self.spectral_weight < 0 or self.spectral_samples < 2 or self.spectral_samples % 2:
            raise ValueError(
                "spectral_weight must not be negative and spectral_samples even, got "
                f"{self.spectral_weight} and {self.spectral_samples}"
            )
        if self.spectral_high_hz * self.spectral_samples < self.sample_rate_hz:
            raise ValueError(
                f"spectral_high_hz must be at least the resolution of the spectra, got {self.spectral_high_hz} for "
                f"{self.spectral_samples} samples at {self.sample_rate_hz} Hz"
            )
        self.quantizers()
        needed = (self.halo + self.scale_halo) * self.stride / self.sample_rate_hz
        if not self.scale_seconds > 0 or needed > CONTEXT_SECONDS:
            raise ValueError(
                f"a token must depend on {CONTEXT_SECONDS} s on either side at most, got {needed:.3g} s with "
                f"scale_seconds {self.scale_seconds}; take fewer blocks, smaller kernels or a shorter scale"
            )

    @classmethod
    def at(cls, sample_rate_hz: float) -> EegTokenizerConfig:
        """The default at another sample rate: as many tokens a second, to the next power of two of samples."""
        if not 1 <= sample_rate_hz <= 1e5:
            raise ValueError(f"a tokenizer of EEG needs 1 to 100,000 samples a second, got {sample_rate_hz}")
        usual = cls()
        stride = max(4, 2 ** round(math.log2(usual.stride * sample_rate_hz / usual.sample_rate_hz)))
        return cls(
            sample_rate_hz=sample_rate_hz,
            stride=stride,
            kernels=tuple(size * stride // usual.stride | 1 for size in usual.kernels),
            spectral_samples=usual.spectral_samples * stride // usual.stride,
        )

    @property
    def halo(self) -> int:
        """Tokens on either side that the network looks at: its blocks, its first convolution, the scale between two."""
        return 2 * self.blocks + -(-(max(self.kernels) // 2) // self.stride) + 1

    @property
    def scale_halo(self) -> int:
        """Tokens on either side that the scale looks at."""
        return math.ceil(0.5 * self.scale_seconds * self.sample_rate_hz / self.stride)

    def quantizers(self) -> list[ResidualQuantizerConfig]:
        """What the codebooks of each branch need."""
        book = VectorQuantizerConfig(
            self.codes, self.latent, self.decay, self.revive_below, self.commitment, unit=self.unit
        )
        return [ResidualQuantizerConfig(self.levels, book, self.level_dropout) for _ in self.kernels]


class _Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.spread = nn.Conv1d(width, width, 5, padding=2)
        self.join = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        """float32 [B, width, tokens], [B, 1, tokens] -> the same shape; nothing outside the recording is passed on."""
        out: Tensor = (x + self.join(nn.functional.silu(self.spread(nn.functional.silu(x))))) * inside
        return out


class _Branch(nn.Module):
    """One encoder; waves are float32 [B, 1, tokens * stride], zero where ``inside`` float32 [B, 1, tokens] is."""

    def __init__(self, config: EegTokenizerConfig, kernel: int) -> None:
        super().__init__()
        width = config.width
        self.first = nn.Conv1d(1, 64, kernel, padding=kernel // 2)
        self.down = nn.Conv1d(64, width, config.stride, stride=config.stride)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(config.blocks))
        self.last = nn.Conv1d(width, config.latent, 1)

    def forward(self, wave: Tensor, inside: Tensor) -> Tensor:
        """-> float32 [B, latent, tokens]."""
        x = self.down(nn.functional.silu(self.first(wave))) * inside
        for block in self.blocks:
            x = block(x, inside)
        latents: Tensor = self.last(nn.functional.silu(x))
        return latents


class EegNetwork(nn.Module):
    """Encoders, codebooks and decoder of waves whose scale is about one."""

    def __init__(self, config: EegTokenizerConfig) -> None:
        super().__init__()
        width, parts = config.width, config.quantizers()
        self.branches = nn.ModuleList(_Branch(config, kernel) for kernel in config.kernels)
        self.quantizer = GroupedQuantizer(parts) if len(parts) > 1 else ResidualQuantizer(parts[0])
        self.enter = nn.Conv1d(self.quantizer.width, width, 1)
        self.blocks = nn.ModuleList(_Block(width) for _ in range(config.blocks))
        self.up = nn.Conv1d(width, 64 * config.stride, 1)
        self.leave = nn.Conv1d(64, 1, 9, padding=4)

    def latents(self, wave: Tensor, inside: Tensor) -> Tensor:
        """float32 [B, 1, tokens * stride], [B, 1, tokens] -> [B, tokens, width of the quantiser]."""
        return torch.cat([branch(wave, inside) for branch in self.branches], 1).movedim(1, 2)

    def wave(self, latents: Tensor, inside: Tensor) -> Tensor:
        """float32 [B, tokens, width of the quantiser], [B, 1, tokens] -> [B, 1, tokens * stride]."""
        x = self.enter(latents.movedim(2, 1)) * inside
        for block in self.blocks:
            x = block(x, inside)
        x = self.up(nn.functional.silu(x)) * inside
        fine = x.unflatten(1, (64, -1)).transpose(2, 3).flatten(2)  # [B, 64, tokens * stride]
        wave: Tensor = self.leave(nn.functional.silu(fine))
        return wave

"""The network of the audio tokenizer: log-mel frames, an encoder, residual codebooks, and two decoders.

Arrow: samples --AudioNetwork.features--> log-mel frames --encoder--> latents --decoders--> magnitudes or spectra.
Does not know: clips, windows, streams.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tokenmask.modalities.audio.mel import FLOOR, log_mel, magnitudes_of, margin, spectrum
from tokenmask.modalities.quantizers.residual import ResidualQuantizer, ResidualQuantizerConfig
from tokenmask.modalities.quantizers.vq import VectorQuantizerConfig

VOCODERS = ("head", "mixed", "griffin_lim")
FAINT = 1e-3  # magnitudes below it count as silence for the head
CONTEXT_SECONDS = 0.5  # to either side, that a code may depend on


@dataclass(frozen=True)
class AudioTokenizerConfig:
    """The features, the network and how it learns.

    Args:
        sample_rate_hz: of what is coded; clips of another rate are resampled, channels averaged.
        hop: samples that a code covers.
        n_fft: samples in a frame of the features; an even multiple of ``hop``.
        bands: mel bands.
        width: channels of encoder and mel decoder; multiples of 64 keep codes equal alone and in batches.
        encoder_blocks, decoder_blocks: ConvNeXt blocks on either side of the codebooks.
        kernel: frames that a block sees, odd.
        expansion: how much wider a block is inside.
        latent: numbers in a code's vector, at most ``bands``.
        codes: size of each codebook.
        levels: number of codebooks, coarse to fine.
        level_dropout, decay, revive_below, commitment: see :class:`ResidualQuantizerConfig`
            and :class:`VectorQuantizerConfig`.
        head_width: channels of the waveform head; 0 leaves it out.
        head_blocks: ConvNeXt blocks of the head.
        vocoder: "head" takes the waveform of the head; "griffin_lim" finds phases for the decoded mel bands;
            "mixed" does so too, and starts from the head's phases.
        rounds: of Griffin-Lim.
    """

    sample_rate_hz: int = 16000
    hop: int = 320
    n_fft: int = 1280
    bands: int = 80
    width: int = 128
    encoder_blocks: int = 2
    decoder_blocks: int = 3
    kernel: int = 7
    expansion: int = 2
    latent: int = 32
    codes: int = 256
    levels: int = 7
    level_dropout: float = 0.5
    decay: float = 0.99
    revive_below: float = 0.05
    commitment: float = 0.25
    head_width: int = 192
    head_blocks: int = 4
    vocoder: str = "head"
    rounds: int = 32

    def __post_init__(self) -> None:
        if self.hop < 2 or self.hop % 2 or self.n_fft < 2 * self.hop or self.n_fft % (2 * self.hop):
            raise ValueError(
                f"hop must be even and n_fft an even multiple of it, got hop {self.hop} and n_fft {self.n_fft}"
            )
        if self.sample_rate_hz < 2 * self.hop or self.bands < 1 or self.bands > self.n_fft // 4:
            raise ValueError(
                "sample_rate_hz must be 2 hops at least and bands within 1..n_fft / 4, got "
                f"{self.sample_rate_hz} and {self.bands}"
            )
        if self.width < 1 or self.expansion < 1 or min(self.encoder_blocks, self.decoder_blocks, self.head_blocks) < 0:
            raise ValueError(
                "width and expansion must be positive and blocks not negative, got "
                f"{self.width}, {self.expansion} and {self.encoder_blocks}, {self.decoder_blocks}, {self.head_blocks}"
            )
        if not 0 < self.latent <= self.bands:
            raise ValueError(f"latent must lie within 1..bands, {self.bands}, got {self.latent}")
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd, got {self.kernel}")
        if self.vocoder not in VOCODERS or self.head_width < 0 or self.rounds < 0:
            raise ValueError(
                f"vocoder must be one of {', '.join(VOCODERS)}, head_width and rounds not negative, got "
                f"{self.vocoder!r}, {self.head_width} and {self.rounds}"
            )
        if not self.head_width and self.vocoder != "griffin_lim":
            raise ValueError(f"without a head the vocoder must be griffin_lim, got {self.vocoder!r}; set head_width")
        reach = self.encoder_reach * self.hop + margin(self.n_fft, self.hop)
        if reach > CONTEXT_SECONDS * self.sample_rate_hz:
            raise ValueError(
                f"the encoder must see {CONTEXT_SECONDS} s to either side at most, got "
                f"{reach / self.sample_rate_hz:.3f} s; use fewer blocks or a smaller kernel or hop"
            )
        self.quantizer()

    @property
    def rate_hz(self) -> float:
        """Codes of each level in a second."""
        return self.sample_rate_hz / self.hop

    @property
    def encoder_reach(self) -> int:
        """Frames to either side that a code depends on, apart from the overlap of frames."""
        return (self.kernel // 2) * (self.encoder_blocks + 1)

    @property
    def decoder_reach(self) -> int:
        """Codes to either side that a decoded frame depends on."""
        head = self.head_blocks + 1 if self.head_width else 0
        return (self.kernel // 2) * (self.decoder_blocks + 1 + head)

    def quantizer(self) -> ResidualQuantizerConfig:
        """The part of it that the codebooks need."""
        book = VectorQuantizerConfig(self.codes, self.latent, self.decay, self.revive_below, self.commitment)
        return ResidualQuantizerConfig(self.levels, book, self.level_dropout)


class _Block(nn.Module):
    """ConvNeXt over time, arXiv:2201.03545, without its scale of the branch."""

    def __init__(self, width: int, kernel: int, expansion: int) -> None:
        super().__init__()
        self.spread = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = nn.LayerNorm(width)
        self.widen = nn.Linear(width, expansion * width)
        self.join = nn.Linear(expansion * width, width)

    def forward(self, x: Tensor) -> Tensor:
        """float32 [B, T, width] -> the same shape."""
        seen = self.norm(self.spread(x.transpose(1, 2)).transpose(1, 2))
        out: Tensor = x + self.join(nn.functional.gelu(self.widen(seen)))
        return out


class Stack(nn.Module):
    """A convolution, blocks, and a linear layer: float32 [B, T, inputs] -> [B, T, outputs].

    Nothing is normalised at the end: it would hide how loud a frame is, which costs a fifth of the mel error.

    Args:
        config: kernel and expansion.
        inputs, width, blocks, outputs: see above.
        linear: adds a linear map of each frame; the rest is then a correction that begins at nothing.
    """

    def __init__(
        self, config: AudioTokenizerConfig, inputs: int, width: int, blocks: int, outputs: int, linear: bool
    ) -> None:
        super().__init__()
        self.line = nn.Linear(inputs, outputs, bias=False) if linear else None
        self.enter = nn.Conv1d(inputs, width, config.kernel, padding=config.kernel // 2)
        self.blocks = nn.Sequential(*[_Block(width, config.kernel, config.expansion) for _ in range(blocks)])
        self.leave = nn.Linear(width, outputs)

    def initialise(self, generator: torch.Generator) -> None:
        """The correction begins at nothing."""
        if self.line is not None:
            self.leave.weight.zero_()
            self.leave.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        """float32 [B, T, inputs] -> [B, T, outputs]."""
        out: Tensor = self.leave(self.blocks(self.enter(x.transpose(1, 2)).transpose(1, 2)))
        return out if self.line is None else out + self.line(x)


class BandScale(nn.Module):
    """Mean and deviation of each mel band over the training set."""

    mean: Tensor
    deviation: Tensor

    def __init__(self, bands: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.empty(bands))
        self.register_buffer("deviation", torch.empty(bands))

    def initialise(self, generator: torch.Generator) -> None:
        """Mean zero and deviation one, until a training set is seen."""
        self.mean.zero_()
        self.deviation.fill_(1)


class AudioNetwork(nn.Module):
    """Features, encoder, codebooks, mel decoder and waveform head.

    Encoder and mel decoder begin as the principal components of the training frames (``audio_fit``): from noise they
    would take more steps to come there than a small budget has.
    """

    def __init__(self, config: AudioTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        self.scale = BandScale(config.bands)
        self.encoder = Stack(config, config.bands, config.width, config.encoder_blocks, config.latent, True)
        self.quantizer = ResidualQuantizer(config.quantizer())
        self.decoder = Stack(config, config.latent, config.width, config.decoder_blocks, config.bands, True)
        bins = config.n_fft // 2 + 1
        self.head = (
            Stack(config, config.latent + config.bands, config.head_width, config.head_blocks, 2 * bins, False)
            if config.head_width
            else None
        )

    def features(self, samples: Tensor) -> Tensor:
        """float32 [B, (T - 1) * hop + n_fft] -> normalised log-mel frames [B, T, bands]."""
        config = self.config
        spectra = spectrum(samples, config.n_fft, config.hop)
        return (log_mel(spectra, config.bands, config.sample_rate_hz) - self.scale.mean) / self.scale.deviation

    def magnitudes(self, frames: Tensor) -> Tensor:
        """Frames of the mel decoder, float32 [B, T, bands] -> magnitudes [B, T, n_fft // 2 + 1]."""
        return magnitudes_of(self.log_mels(frames), self.config.n_fft, self.config.sample_rate_hz)

    def log_mels(self, frames: Tensor) -> Tensor:
        """Frames of the mel decoder as :func:`log_mel` has them, float32 [B, T, bands] -> the same shape."""
        return (frames * self.scale.deviation + self.scale.mean).clamp(math.log(FLOOR), 8)

    def spectra(self, latents: Tensor, frames: Tensor) -> Tensor:
        """The head's spectra: it corrects the magnitudes of the mel bands and adds phases.

        Args:
            latents: quantised, float32 [B, T, latent].
            frames: what the mel decoder makes of them, float32 [B, T, bands].

        Returns:
            complex64 [B, T, n_fft // 2 + 1].

        Source: Vocos, arXiv:2306.00814, section 3 (magnitude by exp, phase by cosine and sine).
        """
        assert self.head is not None
        change, angle = self.head(torch.cat([latents, frames], -1)).chunk(2, -1)
        log_magnitude = self.magnitudes(frames).clamp_min(FAINT).log() + change
        return torch.polar(log_magnitude.clamp_max(7).exp(), angle)

"""The network of the image tokenizer: convolutions, a codebook, and convolutions back.

Arrow: pixels --ImageNetwork.latents--> latents --ImageNetwork.pixels--> pixels. Does not know: pictures, streams.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from tokenmask.modalities.quantizers.residual import ResidualQuantizer, ResidualQuantizerConfig
from tokenmask.modalities.quantizers.vq import VectorQuantizerConfig


@dataclass(frozen=True)
class ImageTokenizerConfig:
    """The network and how it learns.

    Args:
        size: height and width in pixels of what is coded; a multiple of ``stride``.
        stride: pixels that a code covers in each direction, a power of two.
        codes: size of the codebook.
        latent: numbers in a code's vector.
        width: channels; multiples of 64 keep codes equal alone and in batches.
        blocks: residual blocks on either side of the codebook.
        resize: bring images of another size to ``size`` (see :meth:`Image.resize`); False refuses them.
        flip: also learn from mirrored images.
        commitment, decay, revive_below: see :class:`VectorQuantizerConfig`.
    """

    size: int = 32
    stride: int = 4
    codes: int = 512
    latent: int = 16
    width: int = 64
    blocks: int = 2
    resize: bool = True
    flip: bool = True
    commitment: float = 0.25
    decay: float = 0.99
    revive_below: float = 0.05

    def __post_init__(self) -> None:
        if self.stride < 2 or self.stride & (self.stride - 1) or self.size < self.stride or self.size % self.stride:
            raise ValueError(
                f"stride must be a power of two, 2 or more, that divides size, got {self.stride} for size {self.size}"
            )
        if self.width < 1 or self.blocks < 0:
            raise ValueError(f"width must be positive and blocks not negative, got {self.width} and {self.blocks}")
        self.quantizer()

    def quantizer(self) -> ResidualQuantizerConfig:
        """The part of it that the codebook needs."""
        return ResidualQuantizerConfig(
            1, VectorQuantizerConfig(self.codes, self.latent, self.decay, self.revive_below, self.commitment)
        )


class Residual(nn.Module):
    """A 3 x 3 and a 1 x 1 convolution, added to what comes in."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.spread = nn.Conv2d(width, width, 3, padding=1)
        self.join = nn.Conv2d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        """float32 [B, width, H, W] -> the same shape."""
        out: Tensor = x + self.join(nn.functional.silu(self.spread(nn.functional.silu(x))))
        return out


class ImageNetwork(nn.Module):
    """Encoder, codebook and decoder; pixels here are float32 [B, 3, size, size] in -1..1."""

    def __init__(self, config: ImageTokenizerConfig) -> None:
        super().__init__()
        self.config = config
        width, halvings = config.width, config.stride.bit_length() - 1
        down = [nn.Conv2d(3 if i == 0 else width, width, 2, stride=2) for i in range(halvings)]
        up = [
            part
            for _ in range(halvings - 1)
            for part in (nn.Conv2d(width, 4 * width, 1), nn.PixelShuffle(2), nn.SiLU())
        ]
        self.encoder = nn.Sequential(
            *[part for conv in down for part in (conv, nn.SiLU())][:-1],
            *[Residual(width) for _ in range(config.blocks)],
            nn.SiLU(),
            nn.Conv2d(width, config.latent, 1),
        )
        self.quantizer = ResidualQuantizer(config.quantizer())
        self.decoder = nn.Sequential(
            nn.Conv2d(config.latent, width, 3, padding=1),
            *[Residual(width) for _ in range(config.blocks)],
            nn.SiLU(),
            *up,
            nn.Conv2d(width, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def latents(self, pixels: Tensor) -> Tensor:
        """float32 [B, 3, size, size] -> [B, latent, rows, columns]."""
        latents: Tensor = self.encoder(pixels)
        return latents

    def pixels(self, latents: Tensor) -> Tensor:
        """float32 [B, latent, rows, columns] -> [B, 3, size, size], about -1..1."""
        pixels: Tensor = self.decoder(latents)
        return pixels


def to_network(pixels: Tensor) -> Tensor:
    """uint8 [B, H, W, 3] -> float32 [B, 3, H, W] in -1..1."""
    return pixels.movedim(3, 1).float() / 127.5 - 1

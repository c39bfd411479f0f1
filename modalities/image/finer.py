"""A decoder that gives the codes of small pictures more pixels than were coded.

Arrow: latents --FinerDecoder--> pixels, ``scale`` times as many in each direction. Does not know: pictures, streams.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn

from tokenmask.modalities.image.network import ImageTokenizerConfig, Residual


@dataclass(frozen=True)
class FinerConfig:
    """What the decoder has besides the layers of the tokenizer's first decoder, whose sizes it keeps.

    Args:
        scale: pixels of a side over those of the pictures that are coded, a power of two.
        blocks: further residual blocks where the codes lie.
        between: residual blocks at each of the sizes between the codes and half of the coded pictures.
        width: channels from the size of the coded pictures on; multiples of 64 keep pixels equal alone and in batches.
        fine: residual blocks at the size of the coded pictures and each larger one but the last.
    """

    scale: int = 2
    blocks: int = 2
    between: int = 1
    width: int = 64
    fine: int = 1

    def __post_init__(self) -> None:
        if self.scale < 2 or self.scale & (self.scale - 1):
            raise ValueError(f"scale of a finer decoder must be a power of two, 2 or more, got {self.scale}")
        if self.width < 1 or min(self.blocks, self.between, self.fine) < 0:
            raise ValueError(
                "width must be positive and blocks, between and fine not negative, got "
                f"{self.width}, {self.blocks}, {self.between} and {self.fine}"
            )


class FinerDecoder(nn.Module):
    """The first decoder's picture, enlarged, and what a further stage of pixel shuffles adds to it.

    Both come from the same features, of half the size of the coded pictures. All layers learn, so the picture that is
    enlarged may become another one too.

    Sources: Shi et al., arXiv:1609.05158 (pixel shuffle); Kim, Lee and Lee, VDSR, arXiv:1511.04587 (what is learned is
    the difference from the enlarged picture). Deviation: it sees codes, not the small picture.
    """

    def __init__(self, config: ImageTokenizerConfig, own: FinerConfig) -> None:
        super().__init__()
        width, halvings = config.width, config.stride.bit_length() - 1
        self.scale = own.scale
        self.enter = nn.Conv2d(config.latent, width, 3, padding=1)
        self.blocks = nn.Sequential(*[Residual(width) for _ in range(config.blocks + own.blocks)], nn.SiLU())
        self.up = nn.Sequential(
            *[
                part
                for _ in range(halvings - 1)
                for part in (*_doubled(width, width), *[Residual(width) for _ in range(own.between)])
            ]
        )
        self.small = nn.Sequential(nn.Conv2d(width, 12, 3, padding=1), nn.PixelShuffle(2))
        widths = [width, *[own.width] * (own.scale.bit_length() - 1)]
        self.added = nn.Sequential(
            *[
                part
                for before, after in pairwise(widths)
                for part in (*_doubled(before, after), *[Residual(after) for _ in range(own.fine)])
            ],
            nn.Conv2d(own.width, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    @torch.no_grad()
    def take_over(self, decoder: nn.Sequential) -> None:
        """Begins as the picture of a first decoder of the tokenizer, enlarged."""
        ours = [part for part in (self.enter, *self.blocks, *self.up, *self.small) if list(part.parameters())]
        theirs = [part for part in decoder if list(part.parameters())]
        kept = len([part for part in theirs if isinstance(part, Residual)])
        residuals = 0
        for part in ours:
            if isinstance(part, Residual) and (residuals := residuals + 1) > kept:
                _silence(part.join)
            else:
                part.load_state_dict(theirs.pop(0).state_dict())
        _silence(self.added[-2])

    def forward(self, latents: Tensor) -> Tensor:
        """float32 [B, latent, rows, columns] -> [B, 3, size * scale, size * scale], about -1..1."""
        features = self.up(self.blocks(self.enter(latents)))
        enlarged = nn.functional.interpolate(self.small(features), scale_factor=self.scale, mode="bicubic")
        pixels: Tensor = enlarged + self.added(features)
        return pixels


def _silence(layer: nn.Module) -> None:
    for value in layer.parameters():
        value.zero_()


def _doubled(before: int, after: int) -> tuple[nn.Module, ...]:
    return nn.Conv2d(before, 4 * after, 1), nn.PixelShuffle(2), nn.SiLU()

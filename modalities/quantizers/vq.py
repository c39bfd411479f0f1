"""Vector quantisation with one codebook that follows moving averages of the latents.

Does not know: media, encoders, streams. A residual quantiser is a list of these, each on what the one before left.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_ROWS = 64  # products of few rows are summed in another order by BLAS; latents are padded to a multiple


@dataclass(frozen=True)
class VectorQuantizerConfig:
    """A codebook and how it learns.

    Args:
        codes: number of codes.
        width: numbers in a latent vector.
        decay: of the moving averages, per step.
        revive_below: a code whose moving count is below this share of the mean count is replaced by a random latent
            of the batch; 0 switches that off, and most codes then die.
        commitment: weight of the pull of the latents towards their codes.
    """

    codes: int = 512
    width: int = 16
    decay: float = 0.99
    revive_below: float = 0.05
    commitment: float = 0.25

    def __post_init__(self) -> None:
        if self.codes < 2 or self.width < 1:
            raise ValueError(f"a codebook needs codes >= 2 and width >= 1, got {self.codes} and {self.width}")
        if not 0 < self.decay < 1 or not 0 <= self.revive_below < 1 or self.commitment < 0:
            raise ValueError(
                "a codebook needs decay in 0..1, revive_below in 0..1 and commitment >= 0, got "
                f"{self.decay}, {self.revive_below} and {self.commitment}"
            )


class VectorQuantizer(nn.Module):
    """Nearest code of a codebook; the codebook is learned from averages, not from gradients.

    Source: VQ-VAE, arXiv:1711.00937, section 3 and appendix A.1 (moving averages). Revival of unused codes:
    Jukebox, arXiv:2005.00341, section 3.1, and SoundStream, arXiv:2107.03312, section III-C; a revived code starts
    with the mean count here, so that it has time to win latents.
    """

    codebook: Tensor
    ema_count: Tensor
    ema_sum: Tensor

    def __init__(self, config: VectorQuantizerConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("codebook", torch.empty(config.codes, config.width))
        self.register_buffer("ema_count", torch.empty(config.codes))
        self.register_buffer("ema_sum", torch.empty(config.codes, config.width))

    def initialise(self, generator: torch.Generator) -> None:
        """Fills the codebook with normal numbers; counts start at zero, so the first update revives nearly all."""
        self.codebook.normal_(generator=generator)
        self.ema_count.zero_()
        self.ema_sum.zero_()

    @torch.no_grad()
    def nearest(self, latents: Tensor) -> Tensor:
        """The nearest code of each latent by Euclidean distance; equal distances give the lower code.

        Args:
            latents: float32 [N, width].

        Returns:
            int64 [N], new.
        """
        count = latents.shape[0]
        padded = nn.functional.pad(latents.detach(), (0, 0, 0, -count % _ROWS))
        return (self.codebook.square().sum(1) - 2 * (padded @ self.codebook.T)).argmin(1)[:count]

    def lookup(self, codes: Tensor) -> Tensor:
        """The vectors of codes, int [...] -> float32 [..., width]."""
        return nn.functional.embedding(codes, self.codebook)

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantises for training; nothing in the module changes, see :meth:`update`.

        Args:
            latents: float32 [N, width].

        Returns:
            (quantised float32 [N, width], with the latents' gradient passed straight through;
            codes int64 [N]; the weighted commitment loss, a scalar).
        """
        codes = self.nearest(latents)
        quantised = self.lookup(codes)
        loss = self.config.commitment * nn.functional.mse_loss(latents, quantised)
        return latents + (quantised - latents).detach(), codes, loss

    @torch.no_grad()
    def update(self, latents: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """Moves the codebook towards the latents and revives codes that nobody uses.

        Args:
            latents: float32 [N, width], those just quantised.
            codes: int64 [N], their codes.
            generator: draws the latents that replace dead codes.
        """
        latents, decay = latents.detach(), self.config.decay
        count = torch.bincount(codes, minlength=self.config.codes).to(latents.dtype)
        total = torch.zeros_like(self.ema_sum).index_add_(0, codes, latents)
        self.ema_count.lerp_(count, 1 - decay)
        self.ema_sum.lerp_(total, 1 - decay)
        mean = self.ema_count.mean()
        dead = (self.ema_count < self.config.revive_below * mean).nonzero().squeeze(1)
        if len(dead):
            order = torch.randperm(len(latents), generator=generator).to(latents.device)
            drawn = latents[order[torch.arange(len(dead), device=latents.device) % len(latents)]]
            self.ema_count[dead] = mean
            self.ema_sum[dead] = drawn * mean
        alive = self.ema_count > torch.finfo(torch.float32).tiny
        self.codebook.copy_(torch.where(alive[:, None], self.ema_sum / self.ema_count[:, None], self.codebook))

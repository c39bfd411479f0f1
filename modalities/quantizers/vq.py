"""Vector quantisation with one codebook that follows moving averages of the latents.

Does not know: media, encoders, streams. A residual quantiser is a list of these, each on what the one before left.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tokenmask.modalities.quantizers.kmeans import kmeans

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
        unit: codes have length one and latents are brought to length one before they are compared, as in NeuroRVQ.
        revive_every: updates between two looks for dead codes. Above 1 a code lives on if its count was high enough
            after any update since the last look, so that rare codes have time to be used.
        remembers: such a code is never replaced again, as in MMM's published code, whose flags are never cleared.
        temperature: codes are drawn in training with probability softmax(-distance^2 / temperature), as in MoMask;
            0 takes the nearest. Encoding always takes the nearest.
    """

    codes: int = 512
    width: int = 16
    decay: float = 0.99
    revive_below: float = 0.05
    commitment: float = 0.25
    unit: bool = False
    temperature: float = 0.0
    revive_every: int = 1
    remembers: bool = False

    def __post_init__(self) -> None:
        if self.codes < 2 or self.width < 1:
            raise ValueError(f"a codebook needs codes >= 2 and width >= 1, got {self.codes} and {self.width}")
        if not 0 < self.decay < 1 or not 0 <= self.revive_below < 1 or self.commitment < 0:
            raise ValueError(
                "a codebook needs decay in 0..1, revive_below in 0..1 and commitment >= 0, got "
                f"{self.decay}, {self.revive_below} and {self.commitment}"
            )
        if self.temperature < 0:
            raise ValueError(f"temperature must not be negative, got {self.temperature}")
        if self.revive_every < 1 or self.revive_every % 1:
            raise ValueError(f"revive_every must be a whole number of updates, at least 1, got {self.revive_every}")


class VectorQuantizer(nn.Module):
    """Nearest code of a codebook; the codebook is learned from averages, not from gradients.

    Source: VQ-VAE, arXiv:1711.00937, section 3 and appendix A.1 (moving averages). Revival of unused codes:
    Jukebox, arXiv:2005.00341, section 3.1, and SoundStream, arXiv:2107.03312, section III-C; a revived code starts
    with the mean count here, so that it has time to win latents. Drawn codes: MoMask, arXiv:2312.00063, section 3.1.
    Looks for dead codes that are some updates apart: MMM, arXiv:2312.03596, published code (every 21st).
    """

    codebook: Tensor
    ema_count: Tensor
    ema_sum: Tensor
    lived: Tensor  # bool [codes], since the last look; only with revive_every above 1 or remembers
    waited: Tensor  # int64, updates since then

    def __init__(self, config: VectorQuantizerConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("codebook", torch.empty(config.codes, config.width))
        self.register_buffer("ema_count", torch.empty(config.codes))
        self.register_buffer("ema_sum", torch.empty(config.codes, config.width))
        if self.waits:
            self.register_buffer("lived", torch.zeros(config.codes, dtype=torch.bool))
            self.register_buffer("waited", torch.zeros((), dtype=torch.int64))

    @property
    def waits(self) -> bool:
        """Whether a code may live on that is hardly used at the moment."""
        return self.config.revive_every > 1 or self.config.remembers

    def initialise(self, generator: torch.Generator) -> None:
        """Fills the codebook with normal numbers; counts start at zero, so the first update revives nearly all."""
        self.codebook.normal_(generator=generator)
        self.codebook.copy_(self._scaled(self.codebook))
        self.ema_count.zero_()
        self.ema_sum.zero_()
        if self.waits:
            self.lived.zero_()
            self.waited.zero_()

    @torch.no_grad()
    def start_from(self, latents: Tensor, *, per_step: int, generator: torch.Generator, rounds: int = 8) -> None:
        """Puts the codes at the centroids of latents.

        Args:
            latents: float32 [N, width]; about 8,000 are enough.
            per_step: latents that each later :meth:`update` will see; gives the moving counts their size.
            generator: draws where the centroids start.
            rounds: of k-means.
        """
        centroids, counts = kmeans(self._scaled(latents), self.config.codes, rounds=rounds, generator=generator)
        self.codebook.copy_(self._scaled(centroids))
        self.ema_count.copy_(counts * (per_step / len(latents))).clamp_min_(1e-3)
        self.ema_sum.copy_(self.codebook * self.ema_count[:, None])

    @torch.no_grad()
    def nearest(self, latents: Tensor) -> Tensor:
        """The nearest code of each latent by Euclidean distance; equal distances give the lower code.

        Args:
            latents: float32 [N, width].

        Returns:
            int64 [N], new.
        """
        return self._distances(self._scaled(latents)).argmin(1)[: latents.shape[0]]

    def lookup(self, codes: Tensor) -> Tensor:
        """The vectors of codes, int [...] -> float32 [..., width]."""
        return nn.functional.embedding(codes, self.codebook)

    def forward(self, latents: Tensor, draw: torch.Generator | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """Quantises for training; nothing in the module changes, see :meth:`update`.

        Args:
            latents: float32 [N, width].
            draw: draws the codes where ``temperature`` is above 0; None takes the nearest.

        Returns:
            (quantised float32 [N, width], with the latents' gradient passed straight through;
            codes int64 [N]; the weighted commitment loss of each latent, float32 [N]).
        """
        latents = self._scaled(latents)
        codes = self._drawn(latents, draw) if draw is not None and self.config.temperature else self.nearest(latents)
        quantised = self.lookup(codes)
        loss = self.config.commitment * (latents - quantised).square().mean(1)
        return latents + (quantised - latents).detach(), codes, loss

    @torch.no_grad()
    def update(self, latents: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """Moves the codebook towards the latents and revives codes that nobody uses.

        Args:
            latents: float32 [N, width], those just quantised.
            codes: int64 [N], their codes.
            generator: draws the latents that replace dead codes.
        """
        latents, decay = self._scaled(latents.detach()), self.config.decay
        count = torch.bincount(codes, minlength=self.config.codes).to(latents.dtype)
        total = torch.zeros_like(self.ema_sum).index_add_(0, codes, latents)
        self.ema_count.lerp_(count, 1 - decay)
        self.ema_sum.lerp_(total, 1 - decay)
        mean = self.ema_count.mean()
        dead = self._dead(self.ema_count < self.config.revive_below * mean).nonzero().squeeze(1)
        if len(dead):
            order = torch.randperm(len(latents), generator=generator).to(latents.device)
            drawn = latents[order[torch.arange(len(dead), device=latents.device) % len(latents)]]
            self.ema_count[dead] = mean
            self.ema_sum[dead] = drawn * mean
        alive = self.ema_count > torch.finfo(torch.float32).tiny
        means = self._scaled(self.ema_sum / self.ema_count.clamp_min(torch.finfo(torch.float32).tiny)[:, None])
        self.codebook.copy_(torch.where(alive[:, None], means, self.codebook))

    def _dead(self, rare: Tensor) -> Tensor:
        """bool [codes], which of the rare codes are replaced after this update."""
        if not self.waits:
            return rare
        self.lived |= ~rare
        self.waited += 1
        if int(self.waited) < self.config.revive_every:
            return torch.zeros_like(rare)
        dead = ~self.lived
        self.waited.zero_()
        if not self.config.remembers:
            self.lived.zero_()
        return dead

    def _scaled(self, vectors: Tensor) -> Tensor:
        return nn.functional.normalize(vectors, dim=-1) if self.config.unit else vectors

    def _distances(self, latents: Tensor) -> Tensor:
        """Squared distances less the latents' own squared length, [N padded to a multiple of 64, codes]."""
        padded = nn.functional.pad(latents.detach(), (0, 0, 0, -latents.shape[0] % _ROWS))
        return self.codebook.square().sum(1) - 2 * (padded @ self.codebook.T)

    @torch.no_grad()
    def _drawn(self, latents: Tensor, draw: torch.Generator) -> Tensor:
        scores = -self._distances(latents)[: latents.shape[0]] / self.config.temperature
        uniform = torch.rand(scores.shape, generator=draw).to(scores).clamp(1e-20, 1 - 1e-7)
        return (scores - (-uniform.log()).log()).argmax(1)

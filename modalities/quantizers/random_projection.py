"""Random-projection quantisation: a random matrix and a random codebook that never learn.

Does not know: media, encoders, streams. Has the interface of :class:`ResidualQuantizer`.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

_ROWS = 64  # products of few rows are summed in another order by BLAS; latents are padded to a multiple


@dataclass(frozen=True)
class RandomProjectionQuantizerConfig:
    """Sizes of what is drawn.

    Args:
        codes: number of codes in a codebook.
        width: numbers in a latent, or in what else is quantised, such as stacked mel frames.
        code_width: numbers that a latent is projected to; the paper takes 16.
        levels: number of projections with a codebook each; they code the same latent independently.
        normalise: bring each latent to mean 0 and variance 1 first, without which most codes are never taken.
    """

    codes: int = 8192
    width: int = 64
    code_width: int = 16
    levels: int = 1
    normalise: bool = True

    def __post_init__(self) -> None:
        if self.codes < 2 or min(self.width, self.code_width, self.levels) < 1:
            raise ValueError(
                "a random-projection quantiser needs codes >= 2 and width, code_width and levels >= 1, got "
                f"{self.codes}, {self.width}, {self.code_width} and {self.levels}"
            )


class RandomProjectionQuantizer(nn.Module):
    """Targets for masked prediction: the code nearest, by angle, to a random projection of the latent.

    Nothing learns: ``start_from`` and ``update`` do nothing and there is no commitment loss. Codes are labels; there
    is no inverse, so ``lookup`` gives only the vector of the latent's space that a code points to (by the transposed
    projection), the mean of them for several levels.

    Source: BEST-RQ, arXiv:2202.01855, section 3 (projection with Xavier's law, normal codebook, both normalised, kept
    as drawn); several codebooks: USM, arXiv:2303.01037, section 2.2. Deviation: the input is normalised latent by
    latent, as in vector_quantize_pytorch, not with the statistics of a data set.
    """

    projection: Tensor
    codebook: Tensor

    def __init__(self, config: RandomProjectionQuantizerConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("projection", torch.empty(config.levels, config.width, config.code_width))
        self.register_buffer("codebook", torch.empty(config.levels, config.codes, config.code_width))

    def initialise(self, generator: torch.Generator) -> None:
        """Draws the projections, normal with variance 2 / (width + code_width), and codes of length one."""
        self.projection.normal_(generator=generator).mul_((2 / (self.config.width + self.config.code_width)) ** 0.5)
        self.codebook.copy_(nn.functional.normalize(self.codebook.normal_(generator=generator), dim=-1))

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """Codes of each level."""
        return (self.config.codes,) * self.config.levels

    @property
    def width(self) -> int:
        """Numbers in a latent."""
        return self.config.width

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Every level is a group of its own, since none refines another."""
        return tuple((level,) for level in range(self.config.levels))

    def start_from(self, latents: Tensor, *, per_step: int, generator: torch.Generator, rounds: int = 8) -> None:
        """Nothing: codes stay as they were drawn."""

    @torch.no_grad()
    def nearest(self, latents: Tensor) -> Tensor:
        """float32 [N, width] -> int64 [N, levels]; of codes equally near, the lower one."""
        if self.config.normalise:
            latents = nn.functional.layer_norm(latents, latents.shape[1:])
        padded = nn.functional.pad(latents, (0, 0, 0, -len(latents) % _ROWS))
        # Codes have length one, so the nearest is the one of largest product, whatever the latent's own length.
        pairs = zip(self.projection, self.codebook, strict=True)
        codes = [(padded @ projection @ codebook.T).argmax(1) for projection, codebook in pairs]
        return torch.stack(codes, 1)[: len(latents)]

    def lookup(self, codes: Tensor, levels: int | None = None) -> Tensor:
        """int [..., levels] -> float32 [..., width]: the mean over the first ``levels`` of them, None for all."""
        parts = zip(self.projection[:levels], self.codebook[:levels], codes.unbind(-1)[:levels], strict=True)
        vectors = [nn.functional.embedding(code, codebook @ projection.T) for projection, codebook, code in parts]
        return torch.stack(vectors).mean(0)

    def forward(
        self, latents: Tensor, *, items: int = 1, draw: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Quantises; ``items`` and ``draw`` have no effect, since all levels are used and nothing is drawn.

        Returns:
            (what :meth:`lookup` gives, float32 [N, width], with the latents' gradient passed straight through;
            codes int64 [N, levels]; 0).
        """
        codes = self.nearest(latents)
        return latents + (self.lookup(codes) - latents).detach(), codes, latents.new_zeros(())

    def update(self, latents: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """Nothing: codes stay as they were drawn."""

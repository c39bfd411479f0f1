"""Finite scalar quantisation: each number of a latent is rounded to one of a few levels, and there is no codebook.

Does not know: media, encoders, streams. Has the interface of :class:`ResidualQuantizer`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

_EPS = 1e-3  # keeps the outermost levels reachable by finite latents


@dataclass(frozen=True)
class FiniteScalarQuantizerConfig:
    """How finely each number of a latent is rounded.

    Args:
        sizes: levels of each number, 3 or more; their product is the number of codes. The paper finds 5 or more best:
            (8, 6, 5) for about 2**8 codes, (8, 5, 5, 5) for 2**10, (7, 5, 5, 5, 5) for 2**12.
    """

    sizes: tuple[int, ...] = (8, 8, 8)

    def __post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 3 or math.prod(self.sizes) >= 1 << 31:
            raise ValueError(
                f"sizes must be one or more numbers of levels, each 3 or more, with a product below 2**31, got "
                f"{self.sizes}; take (8, 8, 8) for 512 codes"
            )


class FiniteScalarQuantizer(nn.Module):
    """One code for each latent, whose digits in the mixed radix of ``sizes`` are its rounded numbers.

    There is nothing to learn and nothing that could die: ``start_from`` and ``update`` do nothing, and there is no
    commitment loss. ``nearest`` compares latents with the thresholds between levels, worked out once in float64,
    because a tanh may round differently by the place of a number in memory.

    Source: FSQ, arXiv:2309.15505, section 3 and appendix A.1: tanh to a range of ``size`` levels, with an offset of
    half a step where their number is even, and rounding with the gradient passed straight through. The first number
    counts fastest, as there.
    """

    sizes: Tensor

    def __init__(self, config: FiniteScalarQuantizerConfig) -> None:
        super().__init__()
        self.config = config
        self.register_buffer("sizes", torch.empty(len(config.sizes), dtype=torch.long))

    def initialise(self, generator: torch.Generator) -> None:
        """Writes the levels down; nothing is drawn."""
        self.sizes.copy_(torch.tensor(self.config.sizes))

    @property
    def codebook_sizes(self) -> tuple[int, ...]:
        """The number of codes, of one level."""
        return (math.prod(self.config.sizes),)

    @property
    def width(self) -> int:
        """Numbers in a latent."""
        return len(self.config.sizes)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """One level, alone."""
        return ((0,),)

    def start_from(self, latents: Tensor, *, per_step: int, generator: torch.Generator, rounds: int = 8) -> None:
        """Nothing: levels stand where they stand."""

    @torch.no_grad()
    def nearest(self, latents: Tensor) -> Tensor:
        """float32 [N, width] -> int64 [N, 1], the code of the levels that the numbers are rounded to."""
        columns = zip(latents.unbind(1), self.config.sizes, strict=True)
        digits = [
            torch.bucketize(column.contiguous(), torch.tensor(_thresholds(size)).to(column)) for column, size in columns
        ]
        return self._coded(torch.stack(digits, 1))

    def lookup(self, codes: Tensor, levels: int | None = None) -> Tensor:
        """int [..., 1] -> float32 [..., width] in -1..1; ``levels`` is for quantisers that have several."""
        digits = codes.long().div(self._steps(), rounding_mode="floor") % self.sizes
        half = self.sizes // 2
        return (digits - half).float() / half

    def forward(
        self, latents: Tensor, *, items: int = 1, draw: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Quantises for training.

        Args:
            latents: float32 [N, width], any values.
            items: how many items they are of; has no effect.
            draw: has no effect, nothing is drawn.

        Returns:
            (quantised float32 [N, width], whose gradient is that of the bounded latents; codes int64 [N, 1]; 0).
        """
        codes = self.nearest(latents)
        half_range = (self.sizes - 1) * (1 + _EPS) / 2
        offset = torch.where(self.sizes % 2 == 0, 0.5, 0.0)
        bounded = (torch.tanh(latents + torch.atanh(offset / half_range)) * half_range - offset) / (self.sizes // 2)
        return bounded + (self.lookup(codes) - bounded).detach(), codes, latents.new_zeros(())

    def update(self, latents: Tensor, codes: Tensor, generator: torch.Generator) -> None:
        """Nothing: there is no codebook."""

    def _coded(self, digits: Tensor) -> Tensor:
        return (digits * self._steps()).sum(1, keepdim=True)

    def _steps(self) -> Tensor:
        """What a step of each digit adds to the code, int64 [width]."""
        return self.sizes.cumprod(0) // self.sizes


def _thresholds(size: int) -> list[float]:
    """The latents between one level and the next, ascending: where the bounded number is half-way."""
    half_range = (size - 1) * (1 + _EPS) / 2
    offset = 0.0 if size % 2 else 0.5
    shift = math.atanh(offset / half_range)
    halves = (level + 0.5 for level in range(-(size // 2), size - 1 - size // 2))
    return [math.atanh((half + offset) / half_range) - shift for half in halves]

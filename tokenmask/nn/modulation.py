"""Conditioning on the masking time: features of t, and layers that it shifts, scales and gates."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokenmask.nn.linear import Linear

MIN_ROWS = 16  # a matrix product of fewer rows may round differently; see "Randomness and invariance"


def pad_rows(x: Tensor, rows: int = MIN_ROWS) -> Tensor:
    """[N, ...] -> [max(N, rows), ...], zeros below; cut the result of a product back to N rows."""
    missing = rows - x.shape[0]
    return F.pad(x, (0, 0) * (x.dim() - 1) + (0, missing)) if missing > 0 else x


class TimeFeatures(nn.Module):
    """Sinusoids of 1000 t, then two linear layers. Source: MD4, arXiv:2406.04329, published code (networks).

    Args:
        width: of the result, even.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("rates", torch.empty(width // 2), persistent=False)
        self.rates: Tensor
        self.one = Linear(width, width)
        self.two = Linear(width, width)

    def initialise(self, generator: torch.Generator) -> None:
        """Rates from 1 down to 1 / 10000."""
        half = self.rates.shape[0]
        self.rates.copy_(torch.exp(torch.arange(half) * (-math.log(10000.0) / max(half - 1, 1))))

    def forward(self, t: Tensor) -> Tensor:
        """t: float32 [B] in 0..1 -> float32 [max(B, 16), width]; rows past B belong to t = 0."""
        angles = pad_rows(t[:, None]) * 1000 * self.rates
        hidden = F.silu(self.one(torch.cat([angles.sin(), angles.cos()], dim=-1)))
        return self.two(hidden)  # type: ignore[no-any-return]


class Modulation(nn.Module):
    """adaLN-Zero: shifts, scales and gates from a vector, all zero at the start.

    Source: DiT, arXiv:2212.09748, section 3.2.

    Args:
        width: of the model and of the conditioning vector.
        parts: number of vectors to make.
    """

    def __init__(self, width: int, parts: int) -> None:
        super().__init__()
        self.parts = parts
        self.linear = Linear(width, parts * width)

    def initialise(self, generator: torch.Generator) -> None:
        """The linear layer is zero, so a gated branch adds nothing before training."""
        self.linear.weight.zero_()
        self.linear.bias.zero_()

    def forward(self, condition: Tensor, rows: int) -> tuple[Tensor, ...]:
        """condition: float [>= 16, D] whose first ``rows`` count -> ``parts`` tensors [rows, 1, D]."""
        return self.linear(F.silu(condition))[:rows, None].chunk(self.parts, dim=-1)  # type: ignore[no-any-return]

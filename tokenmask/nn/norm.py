"""Root-mean-square normalisation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class RMSNorm(nn.Module):
    """Divides by the root mean square of the last axis and scales by a learned weight.

    Source: arXiv:1910.07467, equation 4.

    Args:
        width: size of the last axis.
        eps: added to the mean square.
    """

    def __init__(self, width: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.empty(width))

    def initialise(self, generator: torch.Generator) -> None:
        """All ones."""
        self.weight.fill_(1)

    def forward(self, x: Tensor) -> Tensor:
        """Float [..., width] -> new tensor of the same shape."""
        return F.rms_norm(x, (x.shape[-1],), self.weight, self.eps)

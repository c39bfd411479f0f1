"""Root-mean-square normalisation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokenmask.ops import rms_norm


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
        if x.device.type == "cpu" and x.dtype == torch.float32 and not torch.compiler.is_compiling():
            if not torch.is_grad_enabled():
                return _unit(x, self.eps)[0].mul_(self.weight)
            return rms_norm(x, self.weight.to(x.dtype), self.eps)
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)


def norm_of(kind: str, width: int, eps: float = 1e-6) -> nn.Module:
    """A norm over the last axis: "rms", or "layer" (arXiv:1607.06450) with weight and bias."""
    return RMSNorm(width, eps) if kind == "rms" else nn.LayerNorm(width, eps=eps)


def _unit(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """x over the root mean square of its last axis, new, and one over that root."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    scale = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    return x * scale, scale

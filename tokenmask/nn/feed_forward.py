"""The feed-forward layers: gated, and as in BERT."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokenmask.nn.linear import Linear
from tokenmask.nn.recompute import recomputed
from tokenmask.ops import gate


class SwiGLU(nn.Module):
    """down(silu(gate(x)) * up(x)). Source: arXiv:2002.05202, equation 6.

    Args:
        width: of the model.
        multiple: the hidden size is 2 / 3 * multiple * width, rounded up to a multiple of 64, so that the layer has
            about as many weights as an ungated one of ``multiple`` times the width.
        size: the hidden size, whatever ``multiple`` says; 0 leaves it to that.
        bias: both layers have one.
    """

    def __init__(self, width: int, multiple: float = 4.0, *, size: int = 0, bias: bool = False) -> None:
        super().__init__()
        hidden = size or max(-(-int(2 * multiple * width / 3) // 64) * 64, 64)
        self.gate_up = Linear(width, 2 * hidden, bias=bias)
        self.down = Linear(hidden, width, bias=bias)
        self.spares = False

    def forward(self, x: Tensor, before: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Args:
            x: float [..., width].
            before: what x goes through first (a norm).

        Returns:
            new tensor of the same shape. Only x and the result of the first product are kept for the backward pass;
            where ``spares`` is set, x alone, and the first product is computed again.
        """

        def widened(x: Tensor) -> Tensor:
            wide: Tensor = self.gate_up(x if before is None else before(x))
            return wide

        def narrowed(wide: Tensor) -> Tensor:
            narrow: Tensor = self.down(gated(wide))
            return narrow

        if self.spares:
            return recomputed(lambda x: narrowed(widened(x)), x, always=True)
        return recomputed(narrowed, recomputed(widened, x))


class GeluLayer(nn.Module):
    """down(gelu(up(x))), with the exact GELU. Source: BERT, arXiv:1810.04805, section 3.

    Args:
        width: of the model.
        size: the hidden size.
        bias: both layers have one.
    """

    def __init__(self, width: int, size: int, *, bias: bool = True) -> None:
        super().__init__()
        self.up = Linear(width, size, bias=bias)
        self.down = Linear(size, width, bias=bias)
        self.spares = False

    def forward(self, x: Tensor, before: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """As of :class:`SwiGLU`."""

        def widened(x: Tensor) -> Tensor:
            wide: Tensor = self.up(x if before is None else before(x))
            return wide

        def narrowed(wide: Tensor) -> Tensor:
            narrow: Tensor = self.down(F.gelu(wide))
            return narrow

        if self.spares:
            return recomputed(lambda x: narrowed(widened(x)), x, always=True)
        return recomputed(narrowed, recomputed(widened, x))


def gated(x: Tensor) -> Tensor:
    """silu(first half of the last axis) * second half: float [..., 2 n] -> new [..., n]."""
    if torch.compiler.is_compiling():  # which makes kernels of its own of it, and refuses those written by hand
        first, second = x.chunk(2, dim=-1)
        return F.silu(first) * second
    if not torch.is_grad_enabled():
        first, second = x.chunk(2, dim=-1)
        return torch.neg(first).exp_().add_(1).reciprocal_().mul_(first).mul_(second)
    return gate(x)

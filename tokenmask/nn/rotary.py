"""Rotary position for several axes at once.

Does not know: what the axes mean; a caller says how much of a head each one gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable


def split_pairs(pairs: int, shares: Sequence[float]) -> list[int]:
    """Divides the rotated pairs of a head over axes by largest remainder; the result sums to ``pairs``.

    Raises:
        ValueError: a negative share, or none above zero.
    """
    if not shares or min(shares) < 0 or sum(shares) <= 0:
        raise ValueError(
            f"rotary shares must not be negative and at least one must be positive, got {tuple(shares)}; change them"
        )
    exact = [pairs * share / sum(shares) for share in shares]
    counts = [int(value) for value in exact]
    by_remainder = sorted(range(len(shares)), key=lambda axis: (counts[axis] - exact[axis], axis))
    for axis in by_remainder[: pairs - sum(counts)]:
        counts[axis] += 1
    return counts


class Rotary(nn.Module):
    """Angles of a rotary embedding whose pairs are divided over coordinate axes.

    Pair i of an axis with n pairs turns by coordinate * base^(-i / n). Components j and j + dim / 2 of a head make a
    pair ("rotate half"). Source: RoFormer, arXiv:2104.09864, section 3.2.2; a share of the pairs for each axis as in
    Qwen2-VL, arXiv:2409.12191, section 2.1.

    Args:
        dim: components of a head, even.
        shares: relative share of each axis.
        base: of the frequencies.
    """

    def __init__(self, dim: int, shares: Sequence[float], base: float = 10000.0) -> None:
        super().__init__()
        if dim % 2:
            raise ValueError(f"a rotary head needs an even number of components, got {dim}; change the number of heads")
        self.counts = split_pairs(dim // 2, shares)
        self.base = base
        self.register_buffer("rates", torch.empty(dim // 2), persistent=False)
        self.register_buffer("axis_of_pair", torch.empty(dim // 2, dtype=torch.int64), persistent=False)
        self.rates: Tensor
        self.axis_of_pair: Tensor

    def initialise(self, generator: torch.Generator) -> None:
        """Radians per unit of its axis, and the axis, of each pair."""
        places = [(axis, pair / count) for axis, count in enumerate(self.counts) for pair in range(count)]
        self.axis_of_pair.copy_(torch.tensor([axis for axis, _ in places]))
        self.rates.copy_(torch.tensor([self.base**-exponent for _, exponent in places]))

    def forward(self, coordinates: Tensor) -> tuple[Tensor, Tensor]:
        """int32 [B, L, axes] -> cosines and sines, float32 [B, L, dim], ready for :func:`rotate`.

        The second half of the cosines repeats the first; the first half of the sines is negated.
        """
        angles = coordinates[..., self.axis_of_pair] * self.rates
        cos, sin = angles.cos(), angles.sin()
        return torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Turns the pairs of each head.

    Args:
        x: float [..., dim].
        cos, sin: from :class:`Rotary`, broadcastable to x; they get no gradient.
    """
    if torch.compiler.is_compiling() or not torch.is_grad_enabled():
        return _turn(x, cos, sin, 1)
    turned: Tensor = _Rotate.apply(x, cos, sin)  # type: ignore[no-untyped-call]
    return turned


class _Rotate(torch.autograd.Function):
    """A rotation; its gradient is the rotation back."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return _turn(x, cos, sin, 1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return _turn(grad, cos, sin, -1), None, None


def _turn(x: Tensor, cos: Tensor, sin: Tensor, sign: int) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return torch.addcmul(x * cos, torch.cat([second, first], dim=-1), sin, value=sign)

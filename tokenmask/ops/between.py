"""What stands between the matrix products of a block: the norm, the turned heads and the gate, with their gradients.

Compiled for float32 on the CPU, where torch strings together many operations that each go through memory. Elsewhere
(other types, other devices) the references run. They have no CUDA kernels, as other ops do: their results are promised
to rounding alone, so nothing has to be equal there, and ``training.compile`` makes of the references, in any type, the
one pass through memory that kernels by hand would be.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from tokenmask.ops._extension import USES_REFERENCE, register_fake


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """x / sqrt(mean(x^2) + eps) * weight over the last axis.

    Gradients of the weight are summed over 64 rows first, and then over these sums: the same bits for any number of
    threads. Kept for the backward pass: x, and a number for each row. The gradient has no gradient of its own.

    Args:
        x: float [..., D].
        weight: of its type [D].
        eps: is added to the mean square.

    Returns:
        [..., D], new.

    Raises:
        TypeError: types that differ.
        ValueError: shapes that do not fit.
    """
    result: Tensor = _RMSNorm.apply(x, weight, eps)  # type: ignore[no-untyped-call]
    return result


def turn_heads(
    qkv: Tensor,
    weights: tuple[Tensor, Tensor],
    turn: tuple[Tensor, Tensor],
    query_turn: tuple[Tensor, Tensor],
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries and keys of a packed projection, each head normalised as by :func:`rms_norm` and rotated; and the values.

    A head n is rotated to n * cos + swap(n) * sin, where swap exchanges its halves. Kept for the backward pass: qkv.
    Gradients of the weights are summed as by :func:`rms_norm`; those of cosines and sines are none.

    Args:
        qkv: float [B, L, 3, H, C], C even.
        weights: of the norms of queries and of keys, [C] each.
        turn: cosines and sines [B, L, C] of the keys, as :class:`tokenmask.nn.Rotary` gives them.
        query_turn: those of the queries.
        eps: is added to the mean squares.

    Returns:
        queries, keys (new) and values (a view of qkv), [B, L, H, C] each.

    Raises:
        TypeError: types that differ.
        ValueError: shapes that do not fit.
    """
    found: tuple[Tensor, Tensor, Tensor] = _TurnHeads.apply(  # type: ignore[no-untyped-call]
        qkv, *weights, *turn, *query_turn, eps
    )
    return found


def gate(x: Tensor) -> Tensor:
    """silu(first half of the last axis) * second half.

    Kept for the backward pass: x. Source: SwiGLU, arXiv:2002.05202, equation 6.

    Args:
        x: float [..., 2 n].

    Returns:
        [..., n], new.

    Raises:
        ValueError: an odd last axis.
    """
    result: Tensor = _Gate.apply(x)  # type: ignore[no-untyped-call]
    return result


HAS_KERNELS = not USES_REFERENCE and torch._C._dispatch_has_kernel_for_dispatch_key("tokenmask::rms_norm", "CPU")
"""Whether the CPU has the kernels; emulated CUDA kernels, which stand in for the CPU's in tests, have none."""


def is_compiled(x: Tensor) -> bool:
    """Whether kernels of this file run on such a tensor; else the references do."""
    return HAS_KERNELS and x.device.type == "cpu" and x.dtype == torch.float32


# References -----------------------------------------------------------------------------------------------------------


def rms_norm_reference(x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """The meaning of ``rms_norm``, and 1 / sqrt(mean(x^2) + eps) of each row, flattened."""
    scale = (x.square().mean(-1, keepdim=True) + eps).rsqrt()
    return x * scale * weight, scale.flatten()


def rms_norm_backward_reference(grad: Tensor, x: Tensor, scale: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """With n = x * scale: dx = (w g - n mean(w g n)) * scale, and dw is the sum over rows of g n."""
    scale = scale.view(*x.shape[:-1], 1)
    unit = x * scale
    product = grad * unit
    shared = (product * weight).mean(-1, keepdim=True)
    return (grad * weight - unit * shared) * scale, product.flatten(0, -2).sum(0)


def turn_heads_reference(
    qkv: Tensor,
    query_weight: Tensor,
    key_weight: Tensor,
    cos: Tensor,
    sin: Tensor,
    query_cos: Tensor,
    query_sin: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor]:
    """The meaning of ``turn_heads``: queries and keys."""
    query, key, _ = qkv.unbind(2)
    query, key = rms_norm_reference(query, query_weight, eps)[0], rms_norm_reference(key, key_weight, eps)[0]
    cos, sin, query_cos, query_sin = (one.unsqueeze(2) for one in (cos, sin, query_cos, query_sin))
    return query * query_cos + _swapped(query) * query_sin, key * cos + _swapped(key) * sin


def turn_heads_backward_reference(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    qkv: Tensor,
    query_weight: Tensor,
    key_weight: Tensor,
    cos: Tensor,
    sin: Tensor,
    query_cos: Tensor,
    query_sin: Tensor,
    eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of qkv and of both weights from those of queries, keys and values."""
    cos, sin, query_cos, query_sin = (one.unsqueeze(2) for one in (cos, sin, query_cos, query_sin))
    packed = [qkv.select(2, number) for number in (0, 1)]
    back = []
    for x, weight, grad in (
        (packed[0], query_weight, query * query_cos + _swapped(query * query_sin)),
        (packed[1], key_weight, key * cos + _swapped(key * sin)),
    ):
        scale = rms_norm_reference(x, weight, eps)[1]
        back.append(rms_norm_backward_reference(grad, x, scale, weight))
    return torch.stack([back[0][0], back[1][0], value], 2), back[0][1], back[1][1]


def gate_reference(x: Tensor) -> Tensor:
    """The meaning of ``gate``."""
    first, second = x.chunk(2, dim=-1)
    return (first * _sigmoid(first)).mul_(second)


def gate_backward_reference(grad: Tensor, x: Tensor) -> Tensor:
    """With s the sigmoid of the first half a, and b the second: da = g b (s + a s - a s s), db = g a s."""
    first, second = x.chunk(2, dim=-1)
    result = torch.empty_like(x, memory_format=torch.contiguous_format)
    for_first, for_second = result.chunk(2, dim=-1)
    sigmoid = _sigmoid(first)
    silu = first * sigmoid
    torch.mul(grad, silu, out=for_second)
    torch.addcmul(silu, silu, sigmoid, value=-1, out=for_first)
    for_first.add_(sigmoid).mul_(second).mul_(grad)
    return result


def _swapped(x: Tensor) -> Tensor:
    return torch.cat(x.chunk(2, dim=-1)[::-1], dim=-1)


def _sigmoid(x: Tensor) -> Tensor:
    """torch's own rounds the ends of a thread's share differently, so that threads change last bits; exp does not."""
    return torch.neg(x).exp_().add_(1).reciprocal_()


# Gradients ------------------------------------------------------------------------------------------------------------


class _RMSNorm(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        compiled = is_compiled(x)
        norm = torch.ops.tokenmask.rms_norm if compiled else rms_norm_reference
        result: Tensor
        result, scale = norm(x, weight, eps)
        ctx.save_for_backward(x, scale, weight)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, scale, weight = ctx.saved_tensors
        back = torch.ops.tokenmask.rms_norm_backward if is_compiled(x) else rms_norm_backward_reference
        for_x, for_weight = back(grad, x, scale, weight)
        return for_x, for_weight, None


class _TurnHeads(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, qkv: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor]:
        turned = torch.ops.tokenmask.turn_heads if is_compiled(qkv) else turn_heads_reference
        query, key = turned(qkv, *others)
        ctx.save_for_backward(qkv, *others[:-1])
        ctx.eps = others[-1]
        return query, key, qkv.select(2, 2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor | None, ...]:
        kept = ctx.saved_tensors  # once: what is made again is made for each time
        back: Callable[..., tuple[Tensor, Tensor, Tensor]] = turn_heads_backward_reference
        if is_compiled(kept[0]):
            back = torch.ops.tokenmask.turn_heads_backward
        return *back(query, key, value, *kept, ctx.eps), None, None, None, None, None


class _Gate(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        result: Tensor = torch.ops.tokenmask.gate(x) if is_compiled(x) else gate_reference(x)
        return result

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        back = torch.ops.tokenmask.gate_backward if is_compiled(x) else gate_backward_reference
        result: Tensor = back(grad, x)
        return result


# Fake kernels ---------------------------------------------------------------------------------------------------------


@register_fake("tokenmask::rms_norm")
def _(x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x, memory_format=torch.contiguous_format), x.new_empty(x.shape[:-1].numel())


@register_fake("tokenmask::rms_norm_backward")
def _(grad: Tensor, x: Tensor, scale: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    return torch.empty_like(x, memory_format=torch.contiguous_format), torch.empty_like(weight)


@register_fake("tokenmask::turn_heads")
def _(qkv: Tensor, query_weight: Tensor, *others: Any) -> tuple[Tensor, Tensor]:
    shape = (qkv.shape[0], qkv.shape[1], qkv.shape[3], qkv.shape[4])
    return qkv.new_empty(shape), qkv.new_empty(shape)


@register_fake("tokenmask::turn_heads_backward")
def _(query: Tensor, key: Tensor, value: Tensor, qkv: Tensor, *others: Any) -> tuple[Tensor, Tensor, Tensor]:
    size = qkv.shape[4]
    return torch.empty_like(qkv, memory_format=torch.contiguous_format), qkv.new_empty(size), qkv.new_empty(size)


@register_fake("tokenmask::gate")
def _(x: Tensor) -> Tensor:
    return x.new_empty(*x.shape[:-1], x.shape[-1] // 2)


@register_fake("tokenmask::gate_backward")
def _(grad: Tensor, x: Tensor) -> Tensor:
    return torch.empty_like(x, memory_format=torch.contiguous_format)

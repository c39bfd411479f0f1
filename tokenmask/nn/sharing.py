"""Sharing: one tensor that several parts of a graph read, whose gradients are summed in one memory.

Does not know: what the parts compute.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def shares(x: Tensor) -> Iterator[Tensor]:
    """x again and again, one for each part that reads it; to be taken when that part begins.

    Torch adds gradients of a tensor two at a time and makes a new one of each sum: three of them are there at once,
    which of the table of a large vocabulary is much. These are added to the first, in the same order: two are there.
    (A backward pass goes from the last made to the first made, so that shares taken early would be summed late.)
    Under ``torch.compile``, which has no such sums, they are plain. The gradient has no gradient of its own.
    """
    if torch.compiler.is_compiling() or not torch.is_grad_enabled() or not x.requires_grad:
        while True:
            yield x
    sums: list[Tensor] = []
    whole = _Whole.apply(x, sums)  # type: ignore[no-untyped-call]
    while True:
        yield _Share.apply(whole, sums)  # type: ignore[no-untyped-call]


class _Share(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, sums: list[Tensor]) -> Tensor:
        ctx.sums = sums
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[None, None]:
        if ctx.sums:
            ctx.sums[0].add_(grad)
        else:
            ctx.sums.append(grad.clone(memory_format=torch.contiguous_format))
        return None, None


class _Whole(torch.autograd.Function):
    """Comes after all of its shares in the backward pass, as they say nothing to it but that they are done."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, sums: list[Tensor]) -> Tensor:
        ctx.set_materialize_grads(False)
        ctx.sums = sums
        return x.view_as(x)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: None) -> tuple[Tensor | None, None]:
        return ctx.sums.pop() if ctx.sums else None, None

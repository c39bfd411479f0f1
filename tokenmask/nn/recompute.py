"""Recompute: results that are cheaper to compute again than to keep for the backward pass.

Does not know: what is computed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from tokenmask.nn.products import bfloat16_products, in_bfloat16

R = TypeVar("R")
_KEEPS: ContextVar[bool] = ContextVar("keeps what could be computed again", default=False)


@contextlib.contextmanager
def keeping(on: bool = True) -> Iterator[None]:
    """While open, :func:`recomputed` is a plain call: what it would compute again is kept, which takes less time."""
    before = _KEEPS.set(on)
    try:
        yield
    finally:
        _KEEPS.reset(before)


def recomputed(function: Callable[..., R], *inputs: Tensor, always: bool = False) -> R:
    """``function(*inputs)``; for the backward pass only ``inputs`` are kept, what lies between is computed again.

    Not within :func:`keeping`, unless ``always``. The values and gradients are those of a plain call, bit for bit. A
    matrix product at the end of ``function`` is not repeated, for it is not between. Source: arXiv:1604.06174,
    section 3; torch's implementation.

    Under ``torch.compile`` the compiler chooses what it keeps, unless ``always``, and values are equal to rounding.

    Args:
        function: draws nothing at random, changes nothing in place that it did not make.
        inputs: tensors.
        always: within :func:`keeping` too.
    """
    if torch.compiler.is_compiling():
        if not always or not torch.is_grad_enabled():
            return function(*inputs)
        again: R = checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)
        return again
    if not torch.is_grad_enabled() or (_KEEPS.get() and not always):
        return function(*inputs)
    reduced = in_bfloat16()  # the backward pass comes when that is over
    result: R = checkpoint(
        function,
        *inputs,
        use_reentrant=False,
        preserve_rng_state=False,
        context_fn=lambda: (contextlib.nullcontext(), bfloat16_products(reduced)),
    )
    return result


def made_again(
    tensors: Sequence[Tensor], make: Callable[[], Sequence[Tensor]]
) -> contextlib.AbstractContextManager[object]:
    """While open, what is kept of ``tensors`` for the backward pass is not kept: ``make`` makes all of them again then.

    For tensors that are cheap to make, and that operations keep which are not (attention). Not within :func:`keeping`
    nor under ``torch.compile``. Source: ``torch.autograd.graph.saved_tensors_hooks``.

    Args:
        tensors: results of one call of ``make``, or equal ones bit for bit.
        make: runs with gradients enabled, as when ``tensors`` were made; they are not followed.
    """
    if torch.compiler.is_compiling() or not torch.is_grad_enabled() or _KEEPS.get():
        return contextlib.nullcontext()
    numbers = {_place(tensor): number for number, tensor in enumerate(tensors)}
    made: dict[int, Tensor] = {}

    def pack(tensor: Tensor) -> Tensor | int:
        return numbers.get(_place(tensor), tensor)

    def unpack(kept: Tensor | int) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        if kept not in made:
            with torch.enable_grad():
                made.update((number, tensor.detach()) for number, tensor in enumerate(make()))
        return made.pop(kept)

    return torch.autograd.graph.saved_tensors_hooks(pack, unpack)


def _place(tensor: Tensor) -> tuple[object, ...]:
    return tensor.data_ptr(), tensor.dtype, tensor.shape, tensor.stride()

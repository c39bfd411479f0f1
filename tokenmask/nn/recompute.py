"""Recompute: results that are cheaper to compute again than to keep for the backward pass.

Does not know: what is computed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from functools import partial
from typing import Any, TypeVar

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
    function: Callable[..., tuple[Tensor, ...]], *inputs: Tensor
) -> tuple[tuple[Tensor, ...], contextlib.AbstractContextManager[object]]:
    """``function(*inputs)``, and what to open around the operation that reads the results: it keeps none of them.

    For results that an operation keeps which is not to be repeated (attention). For the backward pass only ``inputs``
    are kept; what lies between them and the operation, and the results, are made again all at once, then. The values
    and gradients are those of a plain call, bit for bit. Not within :func:`keeping` nor under ``torch.compile``.
    Source: ``torch.autograd.graph.saved_tensors_hooks``.

    Args:
        function: draws nothing at random, changes nothing in place that it did not make.
        inputs: tensors of one device.
    """
    if torch.compiler.is_compiling() or not torch.is_grad_enabled() or _KEEPS.get():
        return function(*inputs), contextlib.nullcontext()
    again = _Again(function, inputs)
    return again.first(*inputs), torch.autograd.graph.saved_tensors_hooks(again.read, again.unpack)


class _Again:
    """What a function kept and returned, which is made again when the backward pass asks for it."""

    def __init__(self, function: Callable[..., tuple[Tensor, ...]], inputs: tuple[Tensor, ...]) -> None:
        self._function = function
        self._kept = _Kept.apply(torch.empty(0, requires_grad=True), *inputs).grad_fn  # type: ignore[no-untyped-call]
        device = inputs[0].device.type
        kind = torch.get_autocast_dtype(device)
        self._autocast = partial(torch.autocast, device, dtype=kind, enabled=torch.is_autocast_enabled(device))
        self._reduced = in_bfloat16()  # the backward pass comes when that is over
        self._count = 0  # of tensors that the function keeps
        self._stores: dict[int, tuple[int, int]] = {}  # by memory of a result: its number and where it begins
        self._views: list[
            tuple[int, torch.Size, tuple[int, ...], int]
        ] = []  # of a result, of this shape, from there on
        self._made: dict[
            int, Tensor
        ] = {}  # not yet asked for: what the function keeps, behind it what the reader keeps

    def first(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        with torch.autograd.graph.saved_tensors_hooks(self._pack, self.unpack):
            results = self._function(*inputs)
        for number, result in enumerate(results):
            self._stores[_memory(result)] = number, int(result.storage_offset())
        return results

    def read(self, tensor: Tensor) -> Tensor | int:
        """What is kept of a tensor while the results are read."""
        number, begins = self._stores.get(_memory(tensor), (None, 0))
        if number is None:
            return tensor
        self._views.append((number, tensor.shape, tensor.stride(), int(tensor.storage_offset()) - begins))
        return self._count + len(self._views) - 1

    def unpack(self, kept: Tensor | int) -> Tensor:
        if isinstance(kept, Tensor):
            return kept
        if kept not in self._made:
            self._make()
        return self._made.pop(kept)

    def _pack(self, tensor: Tensor) -> int:
        self._count += 1
        return self._count - 1

    def _make(self) -> None:
        inputs = [one.detach().requires_grad_(one.requires_grad) for one in self._kept.saved_tensors[1:]]
        kept: list[Tensor] = []
        with (
            torch.enable_grad(),
            self._autocast(),
            bfloat16_products(self._reduced),
            torch.autograd.graph.saved_tensors_hooks(lambda tensor: kept.append(tensor.detach()), _unasked),
        ):
            results = [result.detach() for result in self._function(*inputs)]
        views = [
            results[number].as_strided(shape, stride, results[number].storage_offset() + begins)
            for number, shape, stride, begins in self._views
        ]
        self._made.update(enumerate(kept + views))


class _Kept(torch.autograd.Function):
    """Keeps tensors as an operation would: other hooks see them, and that one was changed since is an error."""

    @staticmethod
    def forward(ctx: Any, *tensors: Tensor) -> Tensor:
        ctx.save_for_backward(*tensors)
        return torch.empty(0)


def _memory(tensor: Tensor) -> int:
    """What views of one tensor have in common, also on devices that do not tell addresses."""
    held: int = tensor.untyped_storage()._cdata
    return held


def _unasked(kept: None) -> Tensor:
    raise AssertionError("what is made again is not followed backward")

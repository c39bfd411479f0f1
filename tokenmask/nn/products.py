"""Products of linear layers in bfloat16, where a processor multiplies in it; everything else stays as it is.

Does not know: layers, training.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import torch
import torch.nn.functional as F
from torch import Tensor

_BFLOAT16: ContextVar[bool] = ContextVar("products in bfloat16", default=False)
_CPU_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # x86, x86 with tiles, ARM; names of torch.cpu.get_capabilities


def has_bfloat16_products(device: torch.device | str = "cpu") -> bool:
    """Whether a device multiplies in bfloat16 by itself; where one does not, torch does so many times as slowly."""
    if torch.device(device).type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if torch.device(device).type != "cpu":
        return False
    can = torch.cpu.get_capabilities()
    return any(bool(can.get(flag)) for flag in _CPU_FLAGS)


def check_bfloat16_products(device: torch.device | str, what: str) -> None:
    """Refuses ``what``, the name of a setting, on a device without products in bfloat16.

    Raises:
        ValueError: the device has none.
    """
    if not has_bfloat16_products(device):
        raise ValueError(
            f"{what} bfloat16 needs a processor that multiplies in bfloat16 ({', '.join(_CPU_FLAGS[:2])}), but this "
            f"{torch.device(device).type} does not; leave it float32"
        )


@contextlib.contextmanager
def bfloat16_products(on: bool = True) -> Iterator[None]:
    """While open, :func:`tokenmask.nn.linear` multiplies in bfloat16 where it learns; so do their backward passes."""
    before = _BFLOAT16.set(on)
    try:
        yield
    finally:
        _BFLOAT16.reset(before)


def in_bfloat16() -> bool:
    """Whether :func:`bfloat16_products` is open here; never under ``torch.compile``, which cannot ask."""
    return False if torch.compiler.is_compiling() else _BFLOAT16.get()


def product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """x @ weight.T + bias, forward and backward from operands rounded to bfloat16.

    Sums are those of float32; each of the three products is rounded once more, to bfloat16, where it is stored. The
    rounded operands are what is kept for the backward pass: half as much. Source of the rule, float32 weights that are
    rounded for products: mixed precision, arXiv:1710.03740, section 3.1; with bfloat16: arXiv:1905.12322, section 3.

    Args:
        x: float32 [..., inputs].
        weight: float32 [outputs, inputs].
        bias: float32 [outputs], or None; is added in float32.

    Returns:
        float32 [..., outputs], new.
    """
    result = F.linear(x.bfloat16(), weight.bfloat16()).float()
    return result if bias is None else result + bias

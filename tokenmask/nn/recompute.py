"""Recompute: results that are cheaper to compute again than to keep for the backward pass.

Does not know: what is computed.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import torch
from torch.utils.checkpoint import checkpoint

R = TypeVar("R")


def recomputed(function: Callable[..., R], *inputs: torch.Tensor) -> R:
    """``function(*inputs)``; for the backward pass only ``inputs`` are kept, what lies between is computed again.

    The values and gradients are those of a plain call, bit for bit. A matrix product at the end of ``function`` is not
    repeated, for it is not between. Source: arXiv:1604.06174, section 3; torch's implementation.

    Args:
        function: draws nothing at random, changes nothing in place that it did not make.
        inputs: tensors.
    """
    if not torch.is_grad_enabled():
        return function(*inputs)
    result: R = checkpoint(function, *inputs, use_reentrant=False, preserve_rng_state=False)
    return result

"""The integer weight of a code, 2^30 exp(x), in float32 steps that the kernels repeat bit for bit.

``csrc/include/tokenmask/weight.h`` does the same steps. Integer sums of the weights do not depend on their order, so
totals, filters and draws are equal on every backend, batch and number of threads.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tokenmask.ops.philox import multiply_high

FULL_WEIGHT = 2**30
SMALLEST_EXPONENT = -24.0
_MAGIC = 12582912.0  # 1.5 * 2^23: adding it to a small float32 rounds it to an integer
_COEFFICIENTS = tuple(
    float.fromhex(each)
    for each in ("0x1.126782p-7", "0x1.555822p-5", "0x1.55541ap-3", "0x1.fffffcp-2", "0x1p0", "0x1p0")
)


def weight_reference(x: Tensor) -> Tensor:
    """The weight of each exponent.

    Args:
        x: float32, at most 0; -inf is allowed.

    Returns:
        int64 of the same shape in [0, 2^30], within 1e-6 of 2^30 exp(x) relatively or 1 absolutely.
    """
    x = x.clamp(min=SMALLEST_EXPONENT)
    n = (x * float.fromhex("0x1.715476p0") + _MAGIC) - _MAGIC
    r = (x + n * -float.fromhex("0x1.62e4p-1")) + n * -float.fromhex("0x1.7f7d1cp-20")
    p = torch.full_like(r, float.fromhex("0x1.6ae73p-10"))
    for coefficient in _COEFFICIENTS:
        p = p * r + coefficient
    scale = ((n.int() + 157) << 23).view(torch.float32)  # 2^(n + 30)
    return (p * scale + 0.5).long()


def surprise_reference(x: Tensor, weights: Tensor) -> Tensor:
    """What each code adds to the entropy of its row: -x weight(x) in quarters, rounded to an integer.

    Args:
        x: float32, at most 0; -inf is allowed.
        weights: int64 of the same shape, ``weight_reference(x)``.

    Returns:
        int64 of the same shape in [0, 4 * 2^30 / e].
    """
    return (x.clamp(min=SMALLEST_EXPONENT) * -4.0 * weights.float() + 0.5).long()


def draw_below_reference(low_word: Tensor, high_word: Tensor, total: Tensor) -> Tensor:
    """floor(word * total / 2^64) in int64 steps.

    Args:
        low_word, high_word: int64, the unsigned 32-bit halves of the 64-bit word.
        total: int64 in [1, 2^53).

    Returns:
        int64 in [0, total).
    """
    low, high = total & 0xFFFFFFFF, total >> 32
    carried = low_word * high + multiply_high(low_word, low) + ((high_word * low) & 0xFFFFFFFF)
    return high_word * high + multiply_high(high_word, low) + (carried >> 32)

"""Linear layers whose results do not depend on the number of threads, nor on what stands beside a sequence.

Does not know: what the numbers are.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokenmask.nn.products import in_bfloat16, product

ROWS = 64  # a product of another number of rows than a multiple of this may round differently
SUMMED = 512  # products that one call sums: from 1024 on MKL shares a sum among the threads


class Linear(nn.Linear):
    """A linear layer, see :func:`linear`."""

    def forward(self, input: Tensor) -> Tensor:
        """float [..., inputs] -> [..., outputs], new; of weights that are stored in bfloat16, in bfloat16."""
        if self.weight.dtype != torch.float32:
            input = input.to(self.weight.dtype)  # features of places and times are made in float32
        return linear(input, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x @ weight.T + bias, and, where no gradient is asked for, the same for any number of threads.

    With long rows MKL cuts the sums into as many parts as there are threads, and the last bits follow. Here the parts
    are cut at fixed places instead; they are summed in one order, in place, which costs 1 to 2 %. Sequences are filled
    up with zeros to a multiple of 64 rows, so that short ones need not be padded to that each. Training sums as torch
    does, or, within :func:`~tokenmask.nn.products.bfloat16_products`, multiplies in bfloat16.

    Args:
        x: float [..., inputs]; [B, L, inputs] are sequences.
        weight: float [outputs, inputs].
        bias: float [outputs], or None.

    Returns:
        float [..., outputs], new.
    """
    inputs = weight.shape[1]
    learns = torch.is_grad_enabled() and (x.requires_grad or weight.requires_grad)
    if learns and x.dtype == torch.float32 and in_bfloat16():
        return product(x, weight, bias)
    if learns or x.device.type != "cpu" or x.dtype != torch.float32:
        return F.linear(x, weight, bias)
    if x.dim() == 3 and (missing := -(x.shape[0] * x.shape[1]) % ROWS):
        rows = F.pad(x.reshape(-1, inputs), (0, 0, 0, missing))
        return linear(rows, weight, bias)[:-missing].view(*x.shape[:-1], weight.shape[0])
    if inputs <= SUMMED:
        return F.linear(x, weight, bias)
    rows, columns = x.reshape(-1, inputs), weight.T
    total = F.linear(rows[:, :SUMMED], weight[:, :SUMMED], bias)
    for first in range(SUMMED, inputs, SUMMED):
        total.addmm_(rows[:, first : first + SUMMED], columns[first : first + SUMMED])
    return total.view(*x.shape[:-1], weight.shape[0])

"""GridConvolution: each position is told of those next to it in time, row and column.

Arrow: vectors of all positions + who stands next to whom --**GridConvolution**--> vectors of all positions. Does not
know: layouts, attention.
"""

from __future__ import annotations

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokenmask.nn.linear import linear


def neighbours(coordinates: Tensor, stream: Tensor, valid: Tensor, kernel: tuple[int, int, int]) -> Tensor:
    """int64 [n, B, L], the position at each offset of a kernel from each position; L where there is none.

    Neighbours are of the same stream and valid; of several positions at one place the first counts.

    Args:
        coordinates: int32 [B, L, 3], (time, row, column), not negative.
        stream: int8 [B, L]; positions below 0 have no neighbours but themselves.
        valid: bool [B, L].
        kernel: odd sizes along time, row and column; offsets go row by row, as the weights of a convolution.
    """
    rows, length = stream.shape
    places = coordinates.long()
    reach = torch.tensor([size // 2 for size in kernel], device=stream.device)
    sides = places.flatten(0, 1).amax(0) + 1 + 2 * reach
    real = valid & (stream >= 0)

    def number(at: Tensor) -> Tensor:
        time, row, column = (at + reach).unbind(-1)
        return ((stream.long() * sides[0] + time) * sides[1] + row) * sides[2] + column

    keys, order = number(places).masked_fill(~real, torch.iinfo(torch.int64).max).sort(dim=1, stable=True)
    itself = torch.arange(length, device=stream.device).expand(rows, length)
    found = []
    for offset in itertools.product(*(range(-(size // 2), size // 2 + 1) for size in kernel)):
        wanted = number(places + torch.tensor(offset, device=stream.device))
        at = torch.searchsorted(keys, wanted).clamp(max=length - 1)
        there = real & (keys.gather(1, at) == wanted)
        own = itself if offset == (0, 0, 0) else torch.full_like(itself, length)
        found.append(torch.where(there, order.gather(1, at), own))
    return torch.stack(found)


class GridConvolution(nn.Module):
    """A convolution over the places of each stream, with zeros around, which positions of other streams never enter.

    On a full grid it is ``torch.nn.Conv3d`` with the same weights. It starts at zero, so that a network begins as it
    would without it. Source: the first layer of a block of WorldDreamer, arXiv:2401.09985, section 3.2, which gives no
    size.

    Args:
        width: D.
        kernel: odd sizes along time, row and column; (1, 3, 3) joins no frames.
    """

    def __init__(self, width: int, kernel: tuple[int, int, int]) -> None:
        super().__init__()
        self.kernel = kernel
        self.weight = nn.Parameter(torch.zeros(math.prod(kernel), width, width))

    def initialise(self, generator: torch.Generator) -> None:
        """Zeros."""
        self.weight.zero_()

    def forward(self, x: Tensor, near: Tensor) -> Tensor:
        """Args:
            x: float [B, L, D].
            near: int64 [n, B, L], of :func:`neighbours`.

        Returns:
            float [B, L, D], new.
        """
        padded = F.pad(x, (0, 0, 0, 1))
        total = torch.zeros_like(x)
        for place, weight in zip(near, self.weight, strict=True):
            total = total + linear(padded.gather(1, place[:, :, None].expand_as(x)), weight)
        return total

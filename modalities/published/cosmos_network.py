"""The network of Cosmos' discrete tokenizer of pictures: wavelets, convolutions, finite scalars.

Arrow: pixels [1, 3, H, W] --**codes**--> codes [h, w] --**pixels**--> pixels. Does not know: files, pictures. Names of
tensors are those of the published code (github.com/NVIDIA/Cosmos-Tokenizer, ``DiscreteImageTokenizer``), written here
anew from what it computes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from tokenmask.modalities.published.vqgan_network import Vqgan
from tokenmask.modalities.quantizers.fsq import FiniteScalarQuantizer, FiniteScalarQuantizerConfig


class CosmosVq(Vqgan):
    """Encoder, finite scalars and decoder.

    Args:
        tensors: "encoder.conv_in.weight" and so on.
        sizes: of the finite scalars, which have no tensors.

    Raises:
        ValueError: tensors that are missing, that it has no place for, or finite scalars of another number.
    """

    def __init__(self, tensors: Mapping[str, Tensor], sizes: Sequence[int]) -> None:
        super().__init__(tensors, "a Cosmos", "a discrete Cosmos tokenizer of pictures")
        self.finite = FiniteScalarQuantizer(FiniteScalarQuantizerConfig(tuple(sizes)))
        self.finite.initialise(torch.Generator())
        numbers = self.tensor("quant_conv.weight").shape[0]
        if numbers != len(sizes):
            raise ValueError(f"levels must name {numbers} sizes, got {list(sizes)}; use the own config.json")

    @property
    def patch(self) -> int:
        """Pixels of a side that go into the first convolution together."""
        return math.isqrt(self.tensor("encoder.conv_in.weight").shape[1] // 3)

    @property
    def stride(self) -> int:
        """Pixels of a side that a code covers."""
        return self.patch * super().stride

    def codes(self, pixels: Tensor) -> Tensor:
        """float32 [1, 3, H, W] from -1 to 1 -> int64 [H / stride, W / stride]."""
        x = pixels
        for _ in range(self.patch.bit_length() - 1):
            x = _split(x)
        x = self.encoded(x)
        return self.finite.nearest(x[0].flatten(1).T.contiguous())[:, 0].view(x.shape[2:])

    def pixels(self, codes: Tensor) -> Tensor:
        """int64 [h, w] -> float32 [1, 3, h * stride, w * stride]."""
        x = self.decoded(self.finite.lookup(codes.reshape(-1, 1)).T.view(1, -1, *codes.shape))
        for _ in range(self.patch.bit_length() - 1):
            x = _joined(x)
        return x


def _split(x: Tensor) -> Tensor:
    """Haar wavelets: [1, C, H, W] -> means, differences of rows, of columns and of both, [1, 4 C, H / 2, W / 2]."""
    rows = x[:, :, 0::2], x[:, :, 1::2]
    added, taken = rows[0] + rows[1], rows[0] - rows[1]
    parts = [
        (one[..., 0::2] + sign * one[..., 1::2]) / 4 for one, sign in ((added, 1), (taken, 1), (added, -1), (taken, -1))
    ]
    return torch.cat(parts, 1)


def _joined(x: Tensor) -> Tensor:
    """The inverse of :func:`_split`."""
    mean, rows, columns, both = x.chunk(4, 1)
    corners = [mean + a * rows + b * columns + a * b * both for a in (1, -1) for b in (1, -1)]
    tall = [torch.stack(pair, -1).flatten(-2) for pair in (corners[:2], corners[2:])]
    return torch.stack(tall, -2).flatten(-3, -2)

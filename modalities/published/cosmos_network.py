"""The network of Cosmos' discrete tokenizer of pictures: wavelets, convolutions, finite scalars.

Arrow: pixels [1, 3, H, W] --**codes**--> codes [h, w] --**pixels**--> pixels. Does not know: files, pictures. Names of
tensors are those of the published code (github.com/NVIDIA/Cosmos-Tokenizer, ``DiscreteImageTokenizer``), written here
anew from what it computes; how many stages and blocks there are, and which have attention, follows from the tensors.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tokenmask.modalities.quantizers.fsq import FiniteScalarQuantizer, FiniteScalarQuantizerConfig
from tokenmask.nn import Named, check_names

_GROUPS, _EPS = 32, 1e-6  # of norms
_ATTENTION = ("norm", "q", "k", "v", "proj_out")


class CosmosVq(Named):
    """Encoder, finite scalars and decoder.

    Args:
        tensors: "encoder.conv_in.weight" and so on.
        sizes: of the finite scalars, which have no tensors.

    Raises:
        ValueError: tensors that are missing, that it has no place for, or finite scalars of another number.
    """

    def __init__(self, tensors: Mapping[str, Tensor], sizes: Sequence[int]) -> None:
        check_names(set(_names(tensors)), tensors, "a Cosmos", "a discrete Cosmos tokenizer of pictures")
        super().__init__(tensors)
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
    def stages(self) -> int:
        """Of the encoder, as of the decoder."""
        return self.count("encoder.down.{}.block.0.norm1.weight")

    @property
    def stride(self) -> int:
        """Pixels of a side that a code covers."""
        halved = sum(self.has(f"encoder.down.{stage}.downsample.conv.weight") for stage in range(self.stages))
        return self.patch << halved

    def codes(self, pixels: Tensor) -> Tensor:
        """float32 [1, 3, H, W] from -1 to 1 -> int64 [H / stride, W / stride]."""
        x = pixels
        for _ in range(self.patch.bit_length() - 1):
            x = _split(x)
        x = self._conv(x, "encoder.conv_in", 1)
        for stage in range(self.stages):
            x = self._blocks(x, f"encoder.down.{stage}")
            if self.has(f"encoder.down.{stage}.downsample.conv.weight"):
                x = self._conv(F.pad(x, (0, 1, 0, 1)), f"encoder.down.{stage}.downsample.conv", 0, 2)
        x = self._conv(self._end(self._middle(x, "encoder"), "encoder"), "quant_conv", 0)
        return self.finite.nearest(x[0].flatten(1).T.contiguous())[:, 0].view(x.shape[2:])

    def pixels(self, codes: Tensor) -> Tensor:
        """int64 [h, w] -> float32 [1, 3, h * stride, w * stride]."""
        values = self.finite.lookup(codes.reshape(-1, 1)).T.view(1, -1, *codes.shape)
        x = self._conv(self._conv(values, "post_quant_conv", 0), "decoder.conv_in", 1)
        x = self._middle(x, "decoder")
        for stage in reversed(range(self.stages)):
            x = self._blocks(x, f"decoder.up.{stage}")
            if self.has(f"decoder.up.{stage}.upsample.conv.weight"):
                x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
                x = self._conv(x, f"decoder.up.{stage}.upsample.conv", 1)
        x = self._end(x, "decoder")
        for _ in range(self.patch.bit_length() - 1):
            x = _joined(x)
        return x

    def _conv(self, x: Tensor, name: str, padding: int, stride: int = 1) -> Tensor:
        return F.conv2d(x, self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias"), stride, padding)

    def _normed(self, x: Tensor, name: str) -> Tensor:
        return F.group_norm(x, _GROUPS, self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias"), _EPS)

    def _end(self, x: Tensor, part: str) -> Tensor:
        return self._conv(F.silu(self._normed(x, f"{part}.norm_out")), f"{part}.conv_out", 1)

    def _middle(self, x: Tensor, part: str) -> Tensor:
        x = self._attention(self._residual(x, f"{part}.mid.block_1"), f"{part}.mid.attn_1")
        return self._residual(x, f"{part}.mid.block_2")

    def _blocks(self, x: Tensor, name: str) -> Tensor:
        for block in range(self.count(name + ".block.{}.norm1.weight")):
            x = self._residual(x, f"{name}.block.{block}")
            if self.has(f"{name}.attn.{block}.norm.weight"):
                x = self._attention(x, f"{name}.attn.{block}")
        return x

    def _residual(self, x: Tensor, name: str) -> Tensor:
        inner = self._conv(F.silu(self._normed(x, f"{name}.norm1")), f"{name}.conv1", 1)
        inner = self._conv(F.silu(self._normed(inner, f"{name}.norm2")), f"{name}.conv2", 1)
        short = f"{name}.nin_shortcut"
        return inner + (self._conv(x, short, 0) if self.has(f"{short}.weight") else x)

    def _attention(self, x: Tensor, name: str) -> Tensor:
        inner = self._normed(x, f"{name}.norm")
        query, key, value = (self._conv(inner, f"{name}.{one}", 0).flatten(2).transpose(1, 2) for one in "qkv")
        weights = (query @ key.transpose(1, 2) * query.shape[2] ** -0.5).softmax(2)
        return x + self._conv((weights @ value).transpose(1, 2).reshape(x.shape), f"{name}.proj_out", 0)


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


def _names(tensors: Mapping[str, Tensor]) -> list[str]:
    layers = ["quant_conv", "post_quant_conv"]
    for part, stages in (("encoder", "down"), ("decoder", "up")):
        layers += [f"{part}.{one}" for one in ("conv_in", "norm_out", "conv_out")]
        layers += [f"{part}.mid.attn_1.{one}" for one in _ATTENTION]
        blocks = [f"{part}.mid.block_{one}" for one in (1, 2)]
        stage = 0
        while stage == 0 or f"{part}.{stages}.{stage}.block.0.norm1.weight" in tensors:
            name, block = f"{part}.{stages}.{stage}", 0
            while block == 0 or f"{name}.block.{block}.norm1.weight" in tensors:
                blocks.append(f"{name}.block.{block}")
                if f"{name}.attn.{block}.norm.weight" in tensors:
                    layers += [f"{name}.attn.{block}.{one}" for one in _ATTENTION]
                block += 1
            layers += [
                one for one in (f"{name}.downsample.conv", f"{name}.upsample.conv") if f"{one}.weight" in tensors
            ]
            stage += 1
        for one in blocks:
            layers += [f"{one}.{layer}" for layer in ("norm1", "conv1", "norm2", "conv2")]
            layers += [f"{one}.nin_shortcut"] if f"{one}.nin_shortcut.weight" in tensors else []
    return [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]

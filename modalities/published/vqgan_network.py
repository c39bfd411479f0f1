"""The convolutions of VQGAN (arXiv:2012.09841), which Cosmos and Chameleon share: pixels to vectors, and back.

Arrow: pixels [1, 3, H, W] --**encoded**--> vectors [1, D, h, w] --quantised--> vectors --**decoded**--> pixels. Does
not know: what is quantised, and how. Names of tensors are those of taming-transformers, written here anew from what it
computes; how many stages and blocks there are, and which have attention, follows from the tensors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from tokenmask.nn import Named, check_names

_GROUPS, _EPS = 32, 1e-6  # of norms
_ATTENTION = ("norm", "q", "k", "v", "proj_out")


class Vqgan(Named):
    """Encoder and decoder, each with the convolution that leads to what is quantised, or from it.

    Args:
        tensors: "encoder.conv_in.weight" and so on.
        who: for messages.
        whose: where weights are to be had, for messages.
        others: names of tensors that stand beside those of the convolutions.

    Raises:
        ValueError: tensors that are missing, or that it has no place for.
    """

    def __init__(self, tensors: Mapping[str, Tensor], who: str, whose: str, others: Iterable[str] = ()) -> None:
        check_names({*_names(tensors), *others}, tensors, who, whose)
        super().__init__(tensors)

    @property
    def stages(self) -> int:
        """Of the encoder, as of the decoder."""
        return self.count("encoder.down.{}.block.0.norm1.weight")

    @property
    def stride(self) -> int:
        """Pixels of a side that a vector covers."""
        return 1 << sum(self.has(f"encoder.down.{stage}.downsample.conv.weight") for stage in range(self.stages))

    def encoded(self, x: Tensor) -> Tensor:
        """float32 [1, C, H, W] -> [1, D, H / stride, W / stride]."""
        x = self._conv(x, "encoder.conv_in", 1)
        for stage in range(self.stages):
            x = self._blocks(x, f"encoder.down.{stage}")
            if self.has(f"encoder.down.{stage}.downsample.conv.weight"):
                x = self._conv(F.pad(x, (0, 1, 0, 1)), f"encoder.down.{stage}.downsample.conv", 0, 2)
        return self._conv(self._end(self._middle(x, "encoder"), "encoder"), "quant_conv", 0)

    def decoded(self, x: Tensor) -> Tensor:
        """float32 [1, D, h, w] -> [1, C, h * stride, w * stride]."""
        x = self._conv(self._conv(x, "post_quant_conv", 0), "decoder.conv_in", 1)
        x = self._middle(x, "decoder")
        for stage in reversed(range(self.stages)):
            x = self._blocks(x, f"decoder.up.{stage}")
            if self.has(f"decoder.up.{stage}.upsample.conv.weight"):
                x = x.repeat_interleave(2, 2).repeat_interleave(2, 3)
                x = self._conv(x, f"decoder.up.{stage}.upsample.conv", 1)
        return self._end(x, "decoder")

    def _conv(self, x: Tensor, name: str, padding: int, stride: int = 1) -> Tensor:
        return F.conv2d(x, self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias"), stride, padding)

    def _normed(self, x: Tensor, name: str) -> Tensor:
        return F.group_norm(x, _GROUPS, self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias"), _EPS)

    def _end(self, x: Tensor, part: str) -> Tensor:
        return self._conv(_swish(self._normed(x, f"{part}.norm_out")), f"{part}.conv_out", 1)

    def _middle(self, x: Tensor, part: str) -> Tensor:
        x = self._residual(x, f"{part}.mid.block_1")
        if self.has(f"{part}.mid.attn_1.norm.weight"):
            x = self._attention(x, f"{part}.mid.attn_1")
        return self._residual(x, f"{part}.mid.block_2")

    def _blocks(self, x: Tensor, name: str) -> Tensor:
        for block in range(self.count(name + ".block.{}.norm1.weight")):
            x = self._residual(x, f"{name}.block.{block}")
            if self.has(f"{name}.attn.{block}.norm.weight"):
                x = self._attention(x, f"{name}.attn.{block}")
        return x

    def _residual(self, x: Tensor, name: str) -> Tensor:
        inner = self._conv(_swish(self._normed(x, f"{name}.norm1")), f"{name}.conv1", 1)
        inner = self._conv(_swish(self._normed(inner, f"{name}.norm2")), f"{name}.conv2", 1)
        short = f"{name}.nin_shortcut"
        return (self._conv(x, short, 0) if self.has(f"{short}.weight") else x) + inner

    def _attention(self, x: Tensor, name: str) -> Tensor:
        """Multiplied in the order of the published code, so that sums are rounded as there."""
        inner = self._normed(x, f"{name}.norm")
        query, key, value = (self._conv(inner, f"{name}.{one}", 0).flatten(2) for one in "qkv")
        weights = (torch.bmm(query.transpose(1, 2), key) * query.shape[1] ** -0.5).softmax(2)
        return x + self._conv(torch.bmm(value, weights.transpose(1, 2)).view(x.shape), f"{name}.proj_out", 0)


def _swish(x: Tensor) -> Tensor:
    return x * torch.sigmoid(x)


def _names(tensors: Mapping[str, Tensor]) -> list[str]:
    layers = ["quant_conv", "post_quant_conv"]
    for part, stages in (("encoder", "down"), ("decoder", "up")):
        layers += [f"{part}.{one}" for one in ("conv_in", "norm_out", "conv_out")]
        if any(name.startswith(f"{part}.mid.attn_1.") for name in tensors):
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

"""The networks of T2M-GPT, MMM and MoMask between features of motion and vectors: convolutions that halve the time.

Arrow: features [1, F, time] --**MotionVq.codes**--> codes [time / 2^n, levels] --**MotionVq.features**--> features.
Does not know: skeletons, files. Names of tensors are those of the published code (github.com/EricGuo5513/momask-codes,
github.com/exitudio/MMM), written here anew after it; sizes follow from the tensors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from tokenmask.nn import Named, check_names, counted

_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": F.relu, "silu": F.silu, "gelu": F.gelu}
_STRIDE = 2


class MotionVq(Named):
    """Encoder, codebooks and decoder.

    Args:
        tensors: "encoder.model.0.weight" and so on, "quantizer.codebook" or "quantizer.layers.0.codebook" and so on.
        growth: each residual block of a stage sees as many times as far as the one before.
        activation: of residual blocks: "relu", "silu" or "gelu".

    Raises:
        ValueError: tensors that are missing, or that this network has no place for.
    """

    def __init__(self, tensors: Mapping[str, Tensor], growth: int = 3, activation: str = "relu") -> None:
        if activation not in _ACTIVATIONS:
            raise ValueError(f"vq_act must be one of {', '.join(_ACTIVATIONS)}, got {activation!r}")
        books = [name for name in tensors if name.endswith("codebook") or name == "quantizer.embedding.weight"]
        levels = [f"quantizer.layers.{level}.codebook" for level in range(len(books))] or ["quantizer.codebook"]
        if levels[0] not in tensors:
            levels = books[:1] or ["quantizer.codebook"]
        stages = counted("encoder.model.{}.1.model.0.conv1.weight", tensors, 2)
        depth = counted("encoder.model.2.1.model.{}.conv1.weight", tensors)
        wanted = {*_convolutions(stages, depth), *levels}
        check_names(wanted, tensors, "a network of motion", "a T2M-GPT, MMM or MoMask")
        super().__init__(tensors)
        self.growth, self.activation = growth, _ACTIVATIONS[activation]
        self.levels, self.stages, self.depth = levels, stages, depth

    @property
    def width(self) -> int:
        """F, features of a frame."""
        return self.tensor("encoder.model.0.weight").shape[1]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Codes of each level."""
        return tuple(len(self.tensor(level)) for level in self.levels)

    @property
    def frames(self) -> int:
        """Frames of a code."""
        frames: int = _STRIDE**self.stages
        return frames

    def codes(self, features: Tensor) -> Tensor:
        """float32 [1, F, time] -> int64 [time / frames, levels], the nearest vector of each codebook in turn."""
        x = F.relu(self._conv(features, "encoder.model.0", padding=1))
        for stage in range(2, 2 + self.stages):
            x = self._conv(x, f"encoder.model.{stage}.0", stride=_STRIDE, padding=1)
            x = self._resnet(x, f"encoder.model.{stage}.1")
        left = self._conv(x, f"encoder.model.{2 + self.stages}", padding=1)[0].T
        found = []
        for level in self.levels:
            book = self.tensor(level)
            products = 2 * torch.matmul(left, book.T)
            distance = left.square().sum(-1, keepdim=True) - products + book.square().sum(-1)
            found.append((-distance).argmax(-1))
            vectors = book[found[-1]]
            left = left - (left + (vectors - left))  # as straight-through rounds it
        return torch.stack(found, 1)

    def features(self, codes: Tensor) -> Tensor:
        """int64 [places, levels or fewer] -> float32 [places * frames, F]."""
        vectors = [self.tensor(level)[own] for level, own in zip(self.levels, codes.unbind(1), strict=False)]
        x = torch.stack(vectors).sum(0).T[None]
        x = F.relu(self._conv(x, "decoder.model.0", padding=1))
        for stage in range(2, 2 + self.stages):
            x = self._resnet(x, f"decoder.model.{stage}.0").repeat_interleave(_STRIDE, -1)
            x = self._conv(x, f"decoder.model.{stage}.2", padding=1)
        x = F.relu(self._conv(x, f"decoder.model.{2 + self.stages}", padding=1))
        return self._conv(x, f"decoder.model.{4 + self.stages}", padding=1)[0].T

    def _conv(self, x: Tensor, name: str, **options: Any) -> Tensor:
        return F.conv1d(x, self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias"), **options)

    def _resnet(self, x: Tensor, name: str) -> Tensor:
        for block in range(self.depth):  # the widest comes first
            reach = self.growth ** (self.depth - 1 - block)
            inner = self._conv(self.activation(x), f"{name}.model.{block}.conv1", padding=reach, dilation=reach)
            x = self._conv(self.activation(inner), f"{name}.model.{block}.conv2") + x
        return x


def _convolutions(stages: int, depth: int) -> list[str]:
    last = 2 + stages
    names = ["encoder.model.0", f"encoder.model.{last}", "decoder.model.0", f"decoder.model.{last}"]
    names.append(f"decoder.model.{last + 2}")
    for stage in range(2, last):
        names += [f"encoder.model.{stage}.0", f"decoder.model.{stage}.2"]
        for part, place in (("encoder", 1), ("decoder", 0)):
            blocks = [f"{part}.model.{stage}.{place}.model.{block}" for block in range(depth)]
            names += [f"{block}.conv{one}" for block in blocks for one in (1, 2)]
    return [f"{name}.{part}" for name in names for part in ("weight", "bias")]

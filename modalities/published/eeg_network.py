"""What the networks of LaBraM's and NeuroRVQ's tokenizers share: from waves of electrodes to codes, to spectra.

Arrow: waves [N, A, T] --**codes**--> codes [N, A, levels] --**spectrum**--> amplitudes and phases [N, A, T]. N
electrodes, A patches of T samples. Does not know: recordings, files, the size of amplitudes, which both leave out.
Names of tensors are those of the published code (github.com/935963004/LaBraM, github.com/KonstantinosBarmpas/NeuroRVQ),
written here anew from what it computes; sizes follow from the tensors.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from tokenmask.nn import Named, check_names, counted

GROUPS = 4  # of the norms of convolutions
_ATTENTION_EPS = 1e-6  # of the norms of queries and keys


class EegVq(Named):
    """What both are made of: two transformers around codebooks of unit length.

    Args:
        tensors: by their published names.
        heads: of attention; None where norms of queries say it.

    Raises:
        ValueError: tensors that are missing, that it has no place for, or a number of heads that does not fit.
    """

    whose: ClassVar[str]
    branches: ClassVar[int]
    """Of convolutions, each with codebooks of its own."""
    eps: ClassVar[float]
    """Of norms."""

    def __init__(self, tensors: Mapping[str, Tensor], heads: int | None = None) -> None:
        wanted = set(self.names(tensors))
        check_names(wanted, tensors, "a network of EEG", self.whose)
        super().__init__(tensors)
        said = "encoder.blocks.0.attn.q_norm.weight"
        self.heads = self.width // len(self.tensor(said)) if self.has(said) else (heads or 10)
        if self.width % self.heads:
            raise ValueError(f"num_heads must divide the width {self.width}, got {self.heads}; use the own config.json")

    @classmethod
    @abstractmethod
    def names(cls, tensors: Mapping[str, Tensor]) -> list[str]:
        """The tensors that it needs, as many blocks and levels as there are."""

    @abstractmethod
    def codes(self, waves: Tensor, places: Tensor) -> Tensor:
        """The codes of a window.

        Args:
            waves: float32 [N, A, T].
            places: int64 [N], of electrodes in the list of the network.

        Returns:
            int64 [N, A, branches * levels], branch by branch.
        """

    @abstractmethod
    def spectrum(self, codes: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """(amplitudes, phases) of a window's codes.

        Amplitudes are standard, less their mean and over their deviation. Phases are complex, amplitudes times them a
        Fourier transform, of which the real part of the inverse counts.
        """

    @property
    def width(self) -> int:
        """Of the transformers."""
        return self.tensor("encoder.cls_token").shape[-1]

    @property
    @abstractmethod
    def samples(self) -> int:
        """T."""

    @property
    def longest(self) -> int:
        """Most patches of a window."""
        return self.tensor("encoder.time_embed").shape[-2]

    @property
    def electrodes(self) -> int:
        """How many electrodes have a place."""
        return self.tensor("encoder.pos_embed").shape[-2] - 1

    def transformer(self, x: Tensor, part: str, places: Tensor, first_place: int, last: bool) -> Tensor:
        """Patches float32 [N * A, width], one by one or electrode by electrode -> the same, after all blocks.

        Args:
            x: patches.
            part: "encoder" or "decoder".
            places: of electrodes.
            first_place: where the first electrode of the list stands in the table of places.
            last: whether times are counted to the end of their table, or from its beginning.
        """
        count = len(x) // len(places)
        spaces = self.tensor(f"{part}.pos_embed").view(-1, self.width)
        times = self.tensor(f"{part}.time_embed").view(-1, self.width)
        times = times[len(times) - count :] if last else times[:count]
        x = torch.cat([self.tensor(f"{part}.cls_token").view(1, -1), x])
        x = x + torch.cat([spaces[:1], spaces[places + first_place].repeat_interleave(count, 0)])
        x = torch.cat([x[:1], x[1:] + times.repeat(len(places), 1)])
        for layer in range(self.count(part + ".blocks.{}.norm1.weight")):
            x = self._block(x, f"{part}.blocks.{layer}")
        return x[1:]

    def _block(self, x: Tensor, name: str) -> Tensor:
        mixed = self._attention(self.layer_norm(x, f"{name}.norm1", self.eps), f"{name}.attn")
        x = x + self._scaled(mixed, f"{name}.gamma_1")
        inner = self.linear(self.layer_norm(x, f"{name}.norm2", self.eps), f"{name}.mlp.fc1")
        return x + self._scaled(self.linear(F.gelu(inner), f"{name}.mlp.fc2"), f"{name}.gamma_2")

    def _scaled(self, x: Tensor, name: str) -> Tensor:
        return self.tensor(name) * x if self.has(name) else x

    def _attention(self, x: Tensor, name: str) -> Tensor:
        bias = None
        if self.has(f"{name}.q_bias"):
            first, value = self.tensor(f"{name}.q_bias"), self.tensor(f"{name}.v_bias")
            bias = torch.cat([first, torch.zeros_like(value), value])
        mixed = F.linear(x, self.tensor(f"{name}.qkv.weight"), bias).view(len(x), 3, self.heads, -1)
        query, key, value = mixed.permute(1, 2, 0, 3)
        if self.has(f"{name}.q_norm.weight"):
            query = self.layer_norm(query, f"{name}.q_norm", _ATTENTION_EPS)
            key = self.layer_norm(key, f"{name}.k_norm", _ATTENTION_EPS)
        weights = ((query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)).softmax(-1)
        return self.linear((weights @ value).transpose(0, 1).reshape(len(x), -1), f"{name}.proj")

    def task(self, x: Tensor, name: str, gelu: bool = False) -> Tensor:
        """Two layers with a bend between them."""
        inner = self.linear(x, f"{name}.0")
        return self.linear(F.gelu(inner) if gelu else inner.tanh(), f"{name}.2")

    def convolved(self, x: Tensor, name: str, **options: int) -> Tensor:
        """A convolution over the samples of each patch, [1, C, N * A, T]."""
        padding = (0, self.tensor(f"{name}.weight").shape[-1] // 2)
        stride = (1, options.get("stride", 1))
        return F.conv2d(x, self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias"), stride, padding)

    def nearest(self, unit: Tensor, name: str) -> Tensor:
        """int64 [tokens], of vectors of length one, float32 [tokens, D]."""
        book = self.tensor(name)
        products = torch.einsum("bd,nd->bn", unit, book)
        return (unit.pow(2).sum(1, keepdim=True) + book.pow(2).sum(1) - 2 * products).argmin(1)


def flat(x: Tensor) -> Tensor:
    """What convolutions made of patches, [1, C, N * A, T'] -> [N * A, T' * C]."""
    return x[0].permute(1, 2, 0).reshape(x.shape[2], -1)


def pairs(layers: list[str]) -> list[str]:
    """Names of the weight and the bias of each layer."""
    return [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]


def transformer_names(tensors: Mapping[str, Tensor], part: str) -> list[str]:
    """Of a transformer that has what its first block has in each."""
    names = [f"{part}.{one}" for one in ("cls_token", "pos_embed", "time_embed")]
    for layer in range(max(1, counted(part + ".blocks.{}.norm1.weight", tensors))):
        block = f"{part}.blocks.{layer}"
        names += pairs([f"{block}.{one}" for one in ("norm1", "norm2", "attn.proj", "mlp.fc1", "mlp.fc2")])
        names.append(f"{block}.attn.qkv.weight")
        optional = ("attn.q_bias", "attn.v_bias", "gamma_1", "gamma_2", *pairs(["attn.q_norm", "attn.k_norm"]))
        names += [f"{block}.{one}" for one in optional if f"{part}.blocks.0.{one}" in tensors]
    return names

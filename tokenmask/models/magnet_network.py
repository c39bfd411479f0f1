"""MAGNeT's network (arXiv:2401.04577): a transformer over the frames of a sound that looks at vectors of a text.

Arrow: codes [B, T, K], vectors of texts, a level --**MagnetNetwork**--> logits of the level's codes [B, T, codes].
Does not know: layouts, texts, sampling. Names of tensors are those of the published code
(github.com/facebookresearch/audiocraft, ``MagnetLMModel``), written here anew from what it computes; sizes follow from
the tensors.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from tokenmask.nn import Named, check_names, counted

PROJECTION = "condition_provider.conditioners.description.output_proj"
_EPS = 1e-5  # of norms
_PERIOD = 10_000.0  # of the slowest sine of a place


class MagnetNetwork(Named):
    """Pre-norm blocks: frames look at each other, then at the text, then by themselves.

    Args:
        tensors: by their published names.
        heads: of attention, which the tensors do not say.
        reach: frames to either side that a frame sees where a level after the first is asked; -1 for all.

    Raises:
        ValueError: tensors that are missing or that it has no place for, or a number of heads that does not fit.
    """

    def __init__(self, tensors: Mapping[str, Tensor], heads: int, reach: int = 5) -> None:
        check_names(set(_names(tensors)), tensors, "a MAGNeT", "a MAGNeT of audiocraft, its best_state")
        super().__init__(tensors)
        self.heads, self.reach = heads, reach
        self.levels, self.depth = self.count("emb.{}.weight"), self.count("transformer.layers.{}.norm1.weight")
        if heads < 1 or self.width % heads:
            raise ValueError(f"num_heads must divide the width {self.width}, got {heads}; use the own config.yaml")

    @property
    def width(self) -> int:
        """Of the blocks."""
        return self.tensor("out_norm.weight").shape[0]

    @property
    def codes(self) -> int:
        """Of each level; the same number hides one."""
        return self.tensor("linears.0.weight").shape[0]

    @property
    def reads(self) -> int:
        """Numbers in a vector of a text, before it is projected."""
        return self.tensor(f"{PROJECTION}.weight").shape[1]

    def projected(self, states: Tensor) -> Tensor:
        """Vectors of a text's pieces, float [n, reads] -> [n, width]."""
        return self.linear(states, PROJECTION)

    def forward(self, codes: Tensor, texts: Sequence[Tensor], level: int) -> Tensor:
        """Args:
            codes: int64 [B, T, K]; ``self.codes`` where one is hidden.
            texts: for each row vectors float [n, width], of at least one piece.
            level: that is asked.

        Returns:
            float [B, T, codes].
        """
        x = torch.stack([F.embedding(codes[..., k], self.tensor(f"emb.{k}.weight")) for k in range(self.levels)]).sum(0)
        x = x + _places(codes.shape[1], self.width, x)
        near, told = self._near(codes.shape[1], level, x.device), torch.nn.utils.rnn.pad_sequence(list(texts), True)
        sizes = torch.tensor([len(text) for text in texts], device=x.device)
        there = (torch.arange(told.shape[1], device=x.device) < sizes[:, None])[:, None, None]
        for layer in range(self.depth):
            name = f"transformer.layers.{layer}"
            inner = self.layer_norm(x, f"{name}.norm1", _EPS)
            x = x + self._attention(inner, inner, f"{name}.self_attn", near)
            inner = self.layer_norm(x, f"{name}.norm_cross", _EPS)
            x = x + self._attention(inner, told, f"{name}.cross_attention", there)
            inner = self.layer_norm(x, f"{name}.norm2", _EPS)
            x = x + self._layer(F.gelu(self._layer(inner, f"{name}.linear1")), f"{name}.linear2")
        return self._layer(self.layer_norm(x, "out_norm", _EPS), f"linears.{level}")

    def _near(self, frames: int, level: int, device: torch.device) -> Tensor | None:
        """bool [T, T], which frames a frame sees; None for all."""
        if level == 0 or self.reach < 0:
            return None
        places = torch.arange(frames, device=device)
        return (places[:, None] - places).abs() <= self.reach

    def _attention(self, x: Tensor, source: Tensor, name: str, allowed: Tensor | None) -> Tensor:
        weights = self.tensor(f"{name}.in_proj_weight").chunk(3)
        biases = self._bias(f"{name}.in_proj_bias", 3)
        query, key, value = (
            F.linear(one, weight, bias).view(*one.shape[:2], self.heads, -1).transpose(1, 2)
            for one, weight, bias in zip((x, source, source), weights, biases, strict=True)
        )
        mixed = F.scaled_dot_product_attention(query, key, value, allowed)
        return self._layer(mixed.transpose(1, 2).reshape(x.shape), f"{name}.out_proj")

    def _layer(self, x: Tensor, name: str) -> Tensor:
        return F.linear(x, self.tensor(f"{name}.weight"), self._bias(f"{name}.bias", 1)[0])

    def _bias(self, name: str, parts: int) -> Sequence[Tensor | None]:
        return self.tensor(name).chunk(parts) if self.has(name) else [None] * parts


def _places(frames: int, width: int, like: Tensor) -> Tensor:
    """Cosines, then sines, of each place: [T, width]."""
    half = width // 2
    numbers = torch.arange(half, device=like.device, dtype=like.dtype)
    slowness = torch.full([], _PERIOD, device=like.device, dtype=like.dtype) ** (numbers / (half - 1))
    phase = torch.arange(frames, device=like.device)[:, None].to(like.dtype) / slowness
    return torch.cat([phase.cos(), phase.sin()], -1)


def _names(tensors: Mapping[str, Tensor]) -> list[str]:
    levels = range(max(1, counted("emb.{}.weight", tensors)))
    names = [f"{one}.{level}.weight" for one in ("emb", "linears") for level in levels]
    layers = [f"{PROJECTION}", "out_norm"]
    optional = [f"linears.{level}.bias" for level in levels]
    for layer in range(max(1, counted("transformer.layers.{}.norm1.weight", tensors))):
        block = f"transformer.layers.{layer}"
        layers += [f"{block}.{norm}" for norm in ("norm1", "norm2", "norm_cross")]
        for part in ("self_attn", "cross_attention"):
            names += [f"{block}.{part}.in_proj_weight", f"{block}.{part}.out_proj.weight"]
            optional += [f"{block}.{part}.in_proj_bias", f"{block}.{part}.out_proj.bias"]
        names += [f"{block}.linear1.weight", f"{block}.linear2.weight"]
        optional += [f"{block}.linear1.bias", f"{block}.linear2.bias"]
    names += [f"{layer}.{part}" for layer in layers for part in ("weight", "bias")]
    return names + [name for name in optional if name in tensors]

"""The network of LaBraM's neural tokenizer, arXiv:2405.18765.

Arrow and names: see eeg_network.py. Does not know: recordings, files.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from tokenmask.modalities.published.eeg_network import GROUPS, EegVq, flat, pairs, transformer_names


class LabramVq(EegVq):
    """LaBraM's (arXiv:2405.18765): one codebook; amplitudes and angles are told, each standard."""

    whose = "a VQNSP of LaBraM"
    branches = 1
    eps = 1e-6
    angle_deviation: ClassVar[float] = torch.pi / 3**0.5
    """Of angles that are spread evenly, as those of waves are."""

    @classmethod
    def names(cls, tensors: Mapping[str, Tensor]) -> list[str]:
        """See the base."""
        convolutions = [f"encoder.patch_embed.{kind}{one}" for one in (1, 2, 3) for kind in ("conv", "norm")]
        tasks = ("encode_task_layer", "decode_task_layer", "decode_task_layer_angle")
        layers = [*convolutions, "decoder.patch_embed.proj", "encoder.fc_norm", "decoder.fc_norm"]
        return [
            *pairs([*layers, *(f"{task}.{place}" for task in tasks for place in (0, 2))]),
            *transformer_names(tensors, "encoder"),
            *transformer_names(tensors, "decoder"),
            "quantize.embedding.weight",
        ]

    @property
    def samples(self) -> int:
        """T."""
        return len(self.tensor("decode_task_layer.2.bias"))

    @property
    def sizes(self) -> tuple[tuple[int, ...], ...]:
        """Codes of each level of each branch."""
        return ((len(self.tensor("quantize.embedding.weight")),),)

    def codes(self, waves: Tensor, places: Tensor) -> Tensor:
        """See the base."""
        x = waves.reshape(1, 1, -1, waves.shape[-1])
        for one, stride in ((1, 8), (2, 1), (3, 1)):
            x = self.convolved(x, f"encoder.patch_embed.conv{one}", stride=stride)
            x = F.gelu(self.group_norm(x, f"encoder.patch_embed.norm{one}", GROUPS))
        x = self.transformer(flat(x), "encoder", places, 1, False)
        unit = F.normalize(self.task(self.layer_norm(x, "encoder.fc_norm", self.eps), "encode_task_layer"), dim=-1)
        return self.nearest(unit, "quantize.embedding.weight").view(*waves.shape[:2], 1)

    def spectrum(self, codes: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """See the base."""
        amplitudes, angles = self.told(codes, places)
        return amplitudes, torch.polar(torch.ones_like(angles), angles * self.angle_deviation)

    def told(self, codes: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """(amplitudes, angles) as the network tells them, each standard, float32 [N, A, T]."""
        vectors = self.tensor("quantize.embedding.weight")[codes.reshape(-1)]
        weight, bias = self.tensor("decoder.patch_embed.proj.weight"), self.tensor("decoder.patch_embed.proj.bias")
        x = self.transformer(F.linear(vectors, weight[..., 0, 0], bias), "decoder", places, 1, False)
        x = self.layer_norm(x, "decoder.fc_norm", self.eps)
        shape = (*codes.shape[:2], self.samples)
        return self.task(x, "decode_task_layer").view(shape), self.task(x, "decode_task_layer_angle").view(shape)

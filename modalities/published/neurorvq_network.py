"""The network of NeuroRVQ's tokenizer, arXiv:2510.13068.

Arrow and names: see eeg_network.py. Does not know: recordings, files.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from tokenmask.modalities.published.eeg_network import GROUPS, EegVq, flat, pairs, transformer_names
from tokenmask.nn import counted

_TOLD = ("amplitude", "angle_sin", "angle_cos")


class NeuroRvq(EegVq):
    """NeuroRVQ's (arXiv:2510.13068): four branches of residual levels; logarithmic amplitudes, sines and cosines."""

    whose = "a tokenizer of NeuroRVQ"
    branches = 4
    eps = 1e-5

    @classmethod
    def names(cls, tensors: Mapping[str, Tensor]) -> list[str]:
        """See the base."""
        branches = range(1, cls.branches + 1)
        layers = [
            f"encoder.patch_embed.{kind}{one}_{branch}"
            for one in (1, 2)
            for kind in ("conv", "norm")
            for branch in branches
        ]
        for branch in branches:
            layers += [f"decoder.patch_embed_{branch}.proj", f"encoder.fc_norm_{branch}", f"decoder.fc_norm_{branch}"]
            layers += [f"encode_task_layer_{branch}.{place}" for place in (0, 2)]
        layers += [f"decode_task_layer_{what}.{place}" for what in _TOLD for place in (0, 2)]
        books = [
            f"quantize_{branch}.layers.{level}.embedding.weight"
            for branch in branches
            for level in range(max(1, counted(f"quantize_{branch}.layers.{{}}.embedding.weight", tensors)))
        ]
        return [
            *pairs(layers),
            *transformer_names(tensors, "encoder"),
            *transformer_names(tensors, "decoder"),
            *books,
        ]

    @property
    def samples(self) -> int:
        """T."""
        return len(self.tensor("decode_task_layer_amplitude.2.bias"))

    @property
    def sizes(self) -> tuple[tuple[int, ...], ...]:
        """Codes of each level of each branch."""
        return tuple(
            tuple(len(self.tensor(_book(branch, level))) for level in range(self._levels(branch)))
            for branch in range(self.branches)
        )

    def _levels(self, branch: int) -> int:
        return self.count(f"quantize_{branch + 1}.layers.{{}}.embedding.weight")

    def codes(self, waves: Tensor, places: Tensor) -> Tensor:
        """See the base."""
        found = []
        for branch in range(self.branches):
            x = waves.reshape(1, 1, -1, waves.shape[-1])
            for one, pool in ((1, 2), (2, 4)):
                name = f"{one}_{branch + 1}"
                x = self.group_norm(
                    self.convolved(x, f"encoder.patch_embed.conv{name}"), f"encoder.patch_embed.norm{name}", GROUPS
                )
                x = F.avg_pool2d(F.gelu(x), (1, pool))
            x = self.transformer(flat(x), "encoder", places, 0, True)
            x = self.layer_norm(x, f"encoder.fc_norm_{branch + 1}", self.eps)
            left = self.task(x, f"encode_task_layer_{branch + 1}")
            for level in range(self._levels(branch)):
                unit = F.normalize(left, dim=-1)
                found.append(self.nearest(unit, _book(branch, level)))
                vectors = self.tensor(_book(branch, level))[found[-1]]
                left = left - (unit + (vectors - unit))  # as straight-through rounds it
        return torch.stack(found, -1).view(*waves.shape[:2], -1)

    def spectrum(self, codes: Tensor, places: Tensor) -> tuple[Tensor, Tensor]:
        """See the base."""
        amplitudes, sines, cosines = self.told(codes, places)
        return amplitudes, torch.complex(cosines, sines)

    def told(self, codes: Tensor, places: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(amplitudes, sines, cosines) of the first levels of each branch, float32 [N, A, T]."""
        chosen = codes.reshape(-1, self.branches, codes.shape[-1] // self.branches)
        parts = []
        for branch in range(self.branches):
            own = [self.tensor(_book(branch, level))[chosen[:, branch, level]] for level in range(chosen.shape[2])]
            name = f"decoder.patch_embed_{branch + 1}.proj"
            weight = self.tensor(f"{name}.weight")[..., 0, 0]
            x = F.linear(torch.stack(own).sum(0), weight, self.tensor(f"{name}.bias"))
            x = self.transformer(x, "decoder", places, 0, True)
            parts.append(self.layer_norm(x, f"decoder.fc_norm_{branch + 1}", self.eps))
        x, shape = torch.cat(parts, -1), (*codes.shape[:2], self.samples)
        amplitudes, sines, cosines = (
            self.task(x, f"decode_task_layer_{what}", gelu=what == "amplitude").view(shape) for what in _TOLD
        )
        return amplitudes, sines.tanh(), cosines.tanh()


def _book(branch: int, level: int) -> str:
    return f"quantize_{branch + 1}.layers.{level}.embedding.weight"

"""Cosmos' discrete tokenizer of pictures (arXiv:2501.03575, section 4): finite scalars over 8 or 16 pixels squared."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from tokenmask.modalities.published.cosmos_network import CosmosVq
from tokenmask.modalities.published.files import CONFIG_FILE
from tokenmask.modalities.published.named_picture import NamedPicture


class CosmosTokenizer(NamedPicture):
    """64,000 codes; see :class:`NamedPicture`.

    A folder holds ``model.safetensors`` with the names of the published code and, where they are others than
    8, 8, 8, 5, 5, 5, the sizes of the finite scalars as ``levels`` in ``config.json``. Computed in float32, where the
    published scripts take bfloat16, so that some of their codes are a neighbour's.
    """

    name: ClassVar[str] = "cosmos"
    model_type: ClassVar[str] = "cosmos"
    how: ClassVar[str] = (
        "save_file({name: own.float().contiguous() for name, own in torch.jit.load('autoencoder.jit', "
        "map_location='cpu').state_dict().items()}, 'model.safetensors')"
    )
    usual: ClassVar[dict[str, Any]] = {"levels": [8, 8, 8, 5, 5, 5]}
    parts: ClassVar[tuple[str, ...]] = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")

    @classmethod
    def read(cls, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Weights without the constants that a traced network also holds."""
        values, tensors = super().read(folder)
        return values, {name: own for name, own in tensors.items() if "patcher" not in name}

    def network_of(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> CosmosVq:
        """Of the sizes that the folder names."""
        sizes = values["levels"]
        if not isinstance(sizes, list) or not all(isinstance(size, int) for size in sizes):
            raise ValueError(f"levels in {CONFIG_FILE} must be a list of numbers, got {sizes!r}; use the own one")
        return CosmosVq(tensors, sizes)

    @property
    def codes(self) -> int:
        """Of the finite scalars."""
        return math.prod(self.network.finite.config.sizes)

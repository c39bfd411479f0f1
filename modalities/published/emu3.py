"""The VQ of Emu3 (arXiv:2409.18869) as transformers has it, for still pictures."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor

from tokenmask.modalities.published.picture import PublishedPicture


class Emu3Tokenizer(PublishedPicture):
    """A VQ of films; a picture is one that stands still; see :class:`PublishedPicture`."""

    name: ClassVar[str] = "emu3"
    model_class: ClassVar[str] = "Emu3VQVAE"
    model_type: ClassVar[str] = "emu3_vqgan"
    within: ClassVar[str] = "emu3"
    codes_field: ClassVar[str] = "codebook_size"

    @property
    def stride(self) -> int:
        """Of the network."""
        return int(self.network.spatial_scale_factor)

    def codes_of(self, pixels: Tensor) -> Tensor:
        """As Emu3 codes pictures."""
        sizes = torch.tensor([pixels.shape[2:]])
        return self.network.encode(pixels, image_sizes=sizes).image_tokens[0]  # type: ignore[no-any-return]

    def pixels_of(self, codes: Tensor) -> Tensor:
        """As it decodes them."""
        return self.network.decode(codes)  # type: ignore[no-any-return]

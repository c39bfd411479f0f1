"""Chameleon's pictures (arXiv:2405.09818), by its authors' VQGAN, and others of taming-transformers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from tokenmask.modalities.published.files import CONFIG_FILE, tensors_of
from tokenmask.modalities.published.networks import tried
from tokenmask.modalities.published.picture import PublishedPicture
from tokenmask.modalities.published.vqgan_network import Vqgan

_BOOK = "quantize.embedding.weight"
_PARTS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.", _BOOK)
_HOW = "save_file(torch.load('vqgan.ckpt', weights_only=True)['state_dict'], 'model.safetensors')"


class ChameleonVq(Vqgan):
    """Encoder, codebook and decoder; the arithmetic of ``transformers.ChameleonVQVAE``, which has no decoder."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__(tensors, "a Chameleon", "a VQGAN of Chameleon or taming-transformers", (_BOOK,))

    def codes(self, pixels: Tensor) -> Tensor:
        """float32 [1, 3, H, W] from -1 to 1 -> int64 [H / stride, W / stride], the nearest vectors."""
        vectors, book = self.encoded(pixels)[0].movedim(0, 2).contiguous(), self.tensor(_BOOK)
        x = vectors.view(-1, book.shape[1])
        near = (x**2).sum(1, keepdim=True) + (book**2).sum(1) - 2 * torch.einsum("bd,dn->bn", x, book.T)
        return near.argmin(1).view(vectors.shape[:2])

    def pixels(self, codes: Tensor) -> Tensor:
        """int64 [h, w] -> float32 [1, 3, h * stride, w * stride]."""
        return self.decoded(self.tensor(_BOOK)[codes].movedim(2, 0)[None].contiguous())


class ChameleonTokenizer(PublishedPicture):
    """A VQGAN with a codebook; see :class:`PublishedPicture`.

    A folder holds ``model.safetensors`` with the names of ``vqgan.ckpt`` as its authors publish it, decoder included,
    or a Chameleon of transformers whose folder has the decoder too. What only served training is left out.
    """

    name: ClassVar[str] = "chameleon"
    library: ClassVar[str] = "torch"
    model_class: ClassVar[str] = "Module"
    model_type: ClassVar[str] = "chameleon_vqgan"
    within: ClassVar[str] = "chameleon"

    @classmethod
    def read(cls, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Weights alone: the shape of the network follows from them."""
        own = (folder / CONFIG_FILE).is_file()
        tensors = super().read(folder)[1] if own else tensors_of(folder, how=_HOW)
        held = {name: tensor for name, tensor in tensors.items() if name.startswith(_PARTS)}
        if not any(name.startswith("decoder.") for name in held):
            raise ValueError(
                f"{folder} must hold the decoder of its pictures too, which transformers leaves out of a Chameleon; "
                f"take vqgan.ckpt of its authors, and convert it once, where you trust it: {_HOW}"
            )
        return {}, held

    def make_network(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> ChameleonVq:
        """Of ours."""
        network = ChameleonVq(tensors).eval()
        blank = torch.zeros(1, 3, 2 * network.stride, 2 * network.stride)
        tried(lambda: network.pixels(network.codes(blank)), type(self))
        return network

    @property
    def codes(self) -> int:
        """Of the codebook."""
        return len(self.network.tensor(_BOOK))

    @property
    def stride(self) -> int:
        """Of the network."""
        return int(self.network.stride)

    def codes_of(self, pixels: Tensor) -> Tensor:
        """Of the network."""
        found: Tensor = self.network.codes(pixels)
        return found

    def pixels_of(self, codes: Tensor) -> Tensor:
        """Of the network."""
        made: Tensor = self.network.pixels(codes[0])
        return made

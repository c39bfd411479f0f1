"""The network of Chameleon's pictures: the convolutions of VQGAN around a codebook.

Arrow: pixels [1, 3, H, W] --**codes**--> codes [h, w] --**pixels**--> pixels. Does not know: files, pictures.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from tokenmask.modalities.published.vqgan_network import Vqgan

BOOK = "quantize.embedding.weight"


class ChameleonVq(Vqgan):
    """Encoder, codebook and decoder; the arithmetic of ``transformers.ChameleonVQVAE``, which has no decoder."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__(tensors, "a Chameleon", "a VQGAN of Chameleon or taming-transformers", (BOOK,))

    def codes(self, pixels: Tensor) -> Tensor:
        """float32 [1, 3, H, W] from -1 to 1 -> int64 [H / stride, W / stride], the nearest vectors."""
        vectors, book = self.encoded(pixels)[0].movedim(0, 2).contiguous(), self.tensor(BOOK)
        x = vectors.view(-1, book.shape[1])
        near = (x**2).sum(1, keepdim=True) + (book**2).sum(1) - 2 * torch.einsum("bd,dn->bn", x, book.T)
        return near.argmin(1).view(vectors.shape[:2])

    def pixels(self, codes: Tensor) -> Tensor:
        """int64 [h, w] -> float32 [1, 3, h * stride, w * stride]."""
        return self.decoded(self.tensor(BOOK)[codes].movedim(2, 0)[None].contiguous())

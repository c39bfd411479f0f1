"""Chameleon's pictures (arXiv:2405.09818), by its authors' VQGAN, and others of taming-transformers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from tokenmask.modalities.published.chameleon_network import BOOK, ChameleonVq
from tokenmask.modalities.published.files import CONFIG_FILE
from tokenmask.modalities.published.named_picture import NamedPicture


class ChameleonTokenizer(NamedPicture):
    """A VQGAN with a codebook; see :class:`NamedPicture`.

    A folder holds ``model.safetensors`` with the names of ``vqgan.ckpt`` as its authors publish it, decoder included,
    or a Chameleon of transformers whose folder has the decoder too. What only served training is left out.
    """

    name: ClassVar[str] = "chameleon"
    model_type: ClassVar[str] = "chameleon_vqgan"
    within: ClassVar[str] = "chameleon"
    how: ClassVar[str] = "save_file(torch.load('vqgan.ckpt', weights_only=True)['state_dict'], 'model.safetensors')"
    parts: ClassVar[tuple[str, ...]] = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.", BOOK)

    @classmethod
    def read(cls, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Weights alone: the shape of the network follows from them."""
        tensors = (cls.read_saved if (folder / CONFIG_FILE).is_file() else cls.read_by_name)(folder)[1]
        held = {name: tensor for name, tensor in tensors.items() if cls.belongs(name)}
        if not any(name.startswith("decoder.") for name in held):
            raise ValueError(
                f"{folder} must hold the decoder of its pictures too, which transformers leaves out of a Chameleon; "
                f"take vqgan.ckpt of its authors, and convert it once, where you trust it: {cls.how}"
            )
        return {}, held

    def network_of(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> ChameleonVq:
        """Of the tensors alone."""
        return ChameleonVq(tensors)

    @property
    def codes(self) -> int:
        """Of the codebook."""
        return len(self.network.tensor(BOOK))

"""VQModel of diffusers: the pictures of aMUSEd (arXiv:2401.01808), and others of its class."""

from __future__ import annotations

import json
from typing import Any, ClassVar, Self

from torch import Tensor

from tokenmask.modalities.published.base import canonical
from tokenmask.modalities.published.files import needed
from tokenmask.modalities.published.networks import diffused
from tokenmask.modalities.published.picture import PublishedPicture


class VqmodelTokenizer(PublishedPicture):
    """A VQGAN whose black is 0, as in aMUSEd, unless ``low=-1`` says otherwise; see :class:`PublishedPicture`."""

    name: ClassVar[str] = "vqmodel"
    library: ClassVar[str] = "diffusers"
    model_class: ClassVar[str] = "VQModel"
    model_type: ClassVar[str] = "VQModel"
    usual_low: ClassVar[float] = 0.0
    codes_field: ClassVar[str] = "num_vq_embeddings"
    stages_field: ClassVar[str] = "block_out_channels"

    @classmethod
    def of(cls, network: Any, *, size: int, low: float | None = None) -> Self:
        """One of a ``VQModel`` in memory, such as ``pipeline.vqvae``; its weights are copied."""
        tensors = {name: tensor.detach().float().cpu().clone() for name, tensor in network.state_dict().items()}
        values = json.loads(network.to_json_string())
        return cls(cls.config_class(source="", keep="weights", model=canonical(values), size=size, low=low), tensors)

    def make_network(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
        """Of diffusers."""
        return diffused(needed("diffusers", type(self).__name__).VQModel, values, tensors, type(self).__name__)

    def codes_of(self, pixels: Tensor) -> Tensor:
        """As aMUSEd's pipelines code pictures."""
        codes: Tensor = self.network.quantize(self.network.encode(pixels).latents)[2][2]
        return codes

    def pixels_of(self, codes: Tensor) -> Tensor:
        """As they decode them."""
        shape = (*codes.shape, self.network.quantize.vq_embed_dim)
        latents = self.network.quantize.get_codebook_entry(codes.reshape(-1), shape)
        quantised = latents if self.network.config.norm_type == "spatial" else None
        made: Tensor = self.network.decoder(self.network.post_quant_conv(latents), quantised)
        return made

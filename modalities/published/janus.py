"""The VQ of Janus (arXiv:2410.13848) as transformers has it, which is the picture tokenizer of LlamaGen."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from tokenmask.modalities.published.picture import PublishedPicture


class JanusTokenizer(PublishedPicture):
    """A VQGAN with small normalised vectors, for pictures of one size; see :class:`PublishedPicture`."""

    name: ClassVar[str] = "janus"
    model_class: ClassVar[str] = "JanusVQVAE"
    model_type: ClassVar[str] = "janus_vqgan"
    within: ClassVar[str] = "janus"
    codes_field: ClassVar[str] = "num_embeddings"
    stages_field: ClassVar[str] = "channel_multiplier"

    @property
    def own_size(self) -> int | None:
        """Its decoder knows one grid."""
        return int(self.network.config.num_patches) * self.stride

    def codes_of(self, pixels: Tensor) -> Tensor:
        """As Janus codes pictures."""
        return self.network.encode(pixels).image_tokens  # type: ignore[no-any-return]

    def pixels_of(self, codes: Tensor) -> Tensor:
        """As it decodes them."""
        return self.network.decode(codes.flatten(1))  # type: ignore[no-any-return]

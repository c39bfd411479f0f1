"""EnCodec (arXiv:2210.13438) as transformers has it, mono models such as facebook/encodec_24khz."""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor

from tokenmask.modalities.published.sound import PublishedCodec


class EncodecTokenizer(PublishedCodec):
    """Residual levels over causal convolutions; see :class:`PublishedCodec`."""

    name: ClassVar[str] = "encodec"
    model_class: ClassVar[str] = "EncodecModel"
    model_type: ClassVar[str] = "encodec"

    def resolved(self, config: Any) -> Any:
        """Refuses models whose sound needs more than codes: a scale for each second (encodec_48khz)."""
        own = self.network.config
        if own.normalize or own.chunk_length_s or own.audio_channels > 1:
            what = "needs a loudness beside its codes, or two channels; take a mono model such as encodec_24khz"
            raise ValueError(f"the sound of {self.source} must follow from codes alone, but {what}")
        return super().resolved(config)

    def codes_of(self, samples: Tensor) -> Tensor:
        """All levels: coarse ones do not depend on how many follow."""
        codes: Tensor = self.network.encode(samples, bandwidth=max(self.network.config.target_bandwidths)).audio_codes
        return codes[0, 0]

    def sound_of(self, codes: Tensor) -> Tensor:
        """Of any number of levels."""
        made: Tensor = self.network.decode(codes[None], [None]).audio_values
        return made

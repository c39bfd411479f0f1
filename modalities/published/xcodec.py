"""X-Codec (arXiv:2408.17175) as transformers has it, such as hf-audio/xcodec-hubert-librispeech."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from tokenmask.modalities.published.sound import PublishedCodec


class XcodecTokenizer(PublishedCodec):
    """Residual levels over sound and over what HuBERT hears in it; see :class:`PublishedCodec`."""

    name: ClassVar[str] = "xcodec"
    model_class: ClassVar[str] = "XcodecModel"
    model_type: ClassVar[str] = "xcodec"
    rate_field: ClassVar[str] = "sample_rate"

    def codes_of(self, samples: Tensor) -> Tensor:
        """All levels: coarse ones do not depend on how many follow."""
        codes: Tensor = self.network.encode(samples, bandwidth=max(self.network.config.target_bandwidths)).audio_codes
        return codes[0]

    def sound_of(self, codes: Tensor) -> Tensor:
        """Of any number of levels."""
        made: Tensor = self.network.decode(codes).audio_values
        return made

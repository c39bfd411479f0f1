"""The Descript audio codec (arXiv:2306.06546) as transformers has it, such as descript/dac_16khz."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor

from tokenmask.modalities.published.sound import PublishedCodec


class DacTokenizer(PublishedCodec):
    """Residual levels of small vectors over convolutions; see :class:`PublishedCodec`."""

    name: ClassVar[str] = "dac"
    model_class: ClassVar[str] = "DacModel"
    model_type: ClassVar[str] = "dac"
    levels_field: ClassVar[str] = "n_codebooks"
    whole_frames: ClassVar[bool] = True  # as its own feature extractor does

    def codes_of(self, samples: Tensor) -> Tensor:
        """Only the levels that are asked for."""
        codes: Tensor = self.network.encode(samples, n_quantizers=self.config.levels).audio_codes
        return codes[0]

    def sound_of(self, codes: Tensor) -> Tensor:
        """Of any number of levels."""
        made: Tensor = self.network.decode(audio_codes=codes).audio_values
        return made

"""EnCodec (arXiv:2210.13438) as transformers has it, mono models such as facebook/encodec_24khz; audiocraft's too."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor

from tokenmask.modalities.published.audiocraft import HOW, SETTINGS, encodec_tensors, encodec_values
from tokenmask.modalities.published.files import CONFIG_FILE, tensors_of
from tokenmask.modalities.published.sound import PublishedCodec


class EncodecTokenizer(PublishedCodec):
    """Residual levels over causal convolutions; see :class:`PublishedCodec`.

    A folder is as transformers saves it, or holds what audiocraft publishes: ``model.safetensors`` with the names of
    its best_state, and its xp.cfg as ``config.yaml``.
    """

    name: ClassVar[str] = "encodec"
    model_class: ClassVar[str] = "EncodecModel"
    model_type: ClassVar[str] = "encodec"

    @classmethod
    def read(cls, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Of transformers, or of audiocraft, whose names are brought to theirs."""
        if (folder / CONFIG_FILE).is_file() or not (folder / SETTINGS).is_file():
            return super().read(folder)
        return encodec_values(folder / SETTINGS), encodec_tensors(tensors_of(folder, how=HOW))

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

"""WavTokenizer (arXiv:2408.16532): EnCodec's encoder, one codebook, a decoder of spectra; 40 or 75 codes a second."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from tokenmask.modalities.published.files import CONFIG_FILE, json_if_there, tensors_of
from tokenmask.modalities.published.networks import tried
from tokenmask.modalities.published.sound import PublishedCodec
from tokenmask.modalities.published.wavtokenizer_network import BOOK, ENCODER, WavVq

_HOW = "save_file(torch.load('FILE.ckpt', weights_only=True)['state_dict'], 'model.safetensors')"


class WavTokenizer(PublishedCodec):
    """One level; see :class:`PublishedCodec`. ``sampling_rate`` in a ``config.json`` where it is not 24000."""

    name: ClassVar[str] = "wavtokenizer"
    whole_frames: ClassVar[bool] = True
    levels_field: ClassVar[str] = "levels"

    @classmethod
    def read(cls, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What codes and sound follow from; a checkpoint holds more."""
        values = json_if_there(folder / CONFIG_FILE, cls.__name__)
        return {"sampling_rate": values.get("sampling_rate", 24000)}, {
            name: own
            for name, own in tensors_of(folder, how=_HOW).items()
            if name.startswith((ENCODER, "backbone.", "head.out.")) or name == BOOK
        }

    def make_network(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> WavVq:
        """Of ours; the decoder is tried once."""
        network = WavVq(tensors, int(values["sampling_rate"]), type(self).__name__).eval()
        tried(lambda: network.sound(torch.zeros(1, dtype=torch.int64)), type(self))
        return network

    def codes_of(self, samples: Tensor) -> Tensor:
        """Of the network."""
        return self.network.codes(samples)  # type: ignore[no-any-return]

    def sound_of(self, codes: Tensor) -> Tensor:
        """Of the network."""
        return self.network.sound(codes[0, 0])  # type: ignore[no-any-return]

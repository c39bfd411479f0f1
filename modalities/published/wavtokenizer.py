"""WavTokenizer (arXiv:2408.16532): EnCodec's encoder, one codebook, a decoder of spectra; 40 or 75 codes a second."""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor

from tokenmask.modalities.published.networks import tried
from tokenmask.modalities.published.sound import PublishedCodec
from tokenmask.modalities.published.wavtokenizer_network import BOOK, ENCODER, WavVq


class WavTokenizer(PublishedCodec):
    """One level; see :class:`PublishedCodec`. ``sampling_rate`` in a ``config.json`` where it is not 24000."""

    name: ClassVar[str] = "wavtokenizer"
    whole_frames: ClassVar[bool] = True
    levels_field: ClassVar[str] = "levels"
    how: ClassVar[str] = "save_file(torch.load('FILE.ckpt', weights_only=True)['state_dict'], 'model.safetensors')"
    usual: ClassVar[dict[str, Any]] = {"sampling_rate": 24000}
    parts: ClassVar[tuple[str, ...]] = (ENCODER, "backbone.", "head.out.", BOOK)

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

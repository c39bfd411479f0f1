"""SNAC (arXiv:2410.14411), of the package snac, such as hubertsiuzdak/snac_24khz: codebooks of several rates."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from tokenmask.modalities.published.files import CONFIG_FILE, json_of, needed, tensors_of
from tokenmask.modalities.published.networks import built
from tokenmask.modalities.published.sound import PublishedCodec

_HOW = "save_file(SNAC.from_pretrained(FOLDER).state_dict(), 'model.safetensors'), beside its config.json"


class SnacTokenizer(PublishedCodec):
    """A frame is a code of the slowest codebook, then those of the others meanwhile; see :class:`PublishedCodec`.

    So 24 kHz has 1 + 2 + 4 levels, and ``levels`` may be 1, 3 or 7. The noise that its decoder adds is drawn from seed
    0, so that codes always sound alike.
    """

    name: ClassVar[str] = "snac"
    library: ClassVar[str] = "snac"

    @classmethod
    def read(cls, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """Its configuration names no kind."""
        values = json_of(folder / CONFIG_FILE, cls.__name__)
        if "vq_strides" not in values:
            raise ValueError(f"{folder / CONFIG_FILE} must be SNAC's, but has no vq_strides; name another folder")
        return values, tensors_of(folder, how=_HOW)

    def make_network(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> Any:
        """Of its package."""
        kind = needed("snac", type(self).__name__).SNAC
        return built(lambda: kind(**values), tensors, type(self).__name__, "use both of one SNAC")

    @property
    def repeats(self) -> list[int]:
        """Codes a frame of each codebook."""
        strides = self.network.vq_strides
        return [max(strides) // stride for stride in strides]

    @property
    def all_levels(self) -> int:
        """Codes a frame."""
        return sum(self.repeats)

    @property
    def rates(self) -> tuple[int, int]:
        """(samples a second, samples of a frame)."""
        return self.network.sampling_rate, int(self.network.hop_length) * max(self.network.vq_strides)

    @property
    def choices(self) -> list[int]:
        """Whole codebooks only."""
        return [sum(self.repeats[: count + 1]) for count in range(len(self.repeats))]

    def codes_of(self, samples: Tensor) -> Tensor:
        """Codebook by codebook, those of a frame one below the other; none of the silence that fills up a window."""
        found = self.network.encode(samples)
        codes = torch.cat([own.view(-1, count).T for own, count in zip(found, self.repeats, strict=True)])
        return codes[:, : -(-samples.shape[-1] // self.rates[1])]

    def sound_of(self, codes: Tensor) -> Tensor:
        """Of any whole codebooks; its attention sees whole windows, which the last frame fills up."""
        count, (_, hop) = codes.shape[-1], self.rates
        slowest = max(self.network.vq_strides)
        window = math.lcm(slowest, self.network.attn_window_size or 1) // slowest
        codes = codes[0, :, torch.arange(-(-count // window) * window).clamp(max=count - 1)]
        vectors, first = torch.zeros(()), 0
        for book, own in zip(self.network.quantizer.quantizers, self.repeats, strict=True):
            if first < len(codes):
                part = codes[first : first + own].T.reshape(1, -1)
                vectors = vectors + book.out_proj(book.decode_code(part)).repeat_interleave(book.stride, -1)
            first += own
        with torch.random.fork_rng(devices=[self.device] if self.device.type == "cuda" else []):
            torch.manual_seed(0)
            sound: Tensor = self.network.decoder(vectors)
        return sound[..., : count * hop]

"""WavTokenizer (arXiv:2408.16532): EnCodec's encoder, one codebook, a decoder of spectra; 40 or 75 codes a second."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from tokenmask.modalities.published.audiocraft import renamed
from tokenmask.modalities.published.files import CONFIG_FILE, json_of, needed, tensors_of
from tokenmask.modalities.published.networks import built
from tokenmask.modalities.published.sound import PublishedCodec
from tokenmask.modalities.published.vocos import spectrum_sound
from tokenmask.nn import Named

_HOW = "save_file(torch.load('FILE.ckpt', weights_only=True)['state_dict'], 'model.safetensors')"
_ENCODER, _BOOK = (
    "feature_extractor.encodec.encoder.model.",
    "feature_extractor.encodec.quantizer.vq.layers.0._codebook.embed",
)


class _Network(Named):
    """The encoder of transformers, and the tensors of the rest by their published names."""

    def __init__(self, encoder: nn.Module, tensors: dict[str, Tensor], ratios: list[int], rate: int) -> None:
        super().__init__(tensors)
        self.encoder, self.rate, self.hop = encoder, rate, math.prod(ratios)


class WavTokenizer(PublishedCodec):
    """One level; see :class:`PublishedCodec`. ``sampling_rate`` in a ``config.json`` where it is not 24000."""

    name: ClassVar[str] = "wavtokenizer"
    whole_frames: ClassVar[bool] = True

    @classmethod
    def read(cls, folder: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
        """What codes and sound follow from; a checkpoint holds more."""
        values = json_of(folder / CONFIG_FILE, cls.__name__) if (folder / CONFIG_FILE).is_file() else {}
        return {"sampling_rate": values.get("sampling_rate", 24000)}, {
            name: own
            for name, own in tensors_of(folder, how=_HOW).items()
            if name.startswith((_ENCODER, "backbone.", "head.out.")) or name == _BOOK
        }

    def make_network(self, values: dict[str, Any], tensors: dict[str, Tensor]) -> _Network:
        """Sizes follow from the tensors."""
        library = needed("transformers", type(self).__name__)
        encoder = {name: own for name, own in tensors.items() if name.startswith(_ENCODER)}
        rest = {name: own for name, own in tensors.items() if name not in encoder}
        steps = [name for name in encoder if re.fullmatch(re.escape(_ENCODER) + r"\d+\.conv\.conv\.weight_v", name)]
        sizes = [encoder[name].shape for name in sorted(steps, key=lambda name: int(name.split(".")[4]))]
        if len(sizes) < 3 or _BOOK not in rest:
            raise ValueError(
                f"a {type(self).__name__} must hold {_ENCODER}... and {_BOOK}, but does not; take its weights"
            )
        ratios = [int(size[2]) // 2 for size in sizes[1:-1]]
        shape = library.EncodecConfig(
            num_filters=sizes[0][0],
            hidden_size=sizes[-1][0],
            upsampling_ratios=ratios[::-1],
            use_causal_conv=False,
            kernel_size=sizes[0][2],
            last_kernel_size=sizes[-1][2],
        )
        names = {}
        for name, own in encoder.items():
            names[renamed("layers." + name.removeprefix(_ENCODER))] = own
        kind = needed("transformers.models.encodec.modeling_encodec", type(self).__name__).EncodecEncoder
        made = built(lambda: kind(shape), names, type(self).__name__, "take all weights of one WavTokenizer")
        network = _Network(made, rest, ratios, int(values["sampling_rate"])).eval()
        try:
            spectrum_sound(rest[_BOOK][:1].float().T[None], network.tensor, network.hop)
        except (KeyError, RuntimeError, ValueError) as error:
            reason = " ".join(str(error).split())[:200]
            raise ValueError(
                f"{type(self).__name__} must have all weights of its decoder, but lacks {reason}"
            ) from error
        return network

    @property
    def all_levels(self) -> int:
        """One."""
        return 1

    @property
    def codes(self) -> int:
        """Of its codebook."""
        return len(self.network.tensor(_BOOK))

    @property
    def rates(self) -> tuple[int, int]:
        """(samples a second, samples of a frame)."""
        return self.network.rate, self.network.hop

    def codes_of(self, samples: Tensor) -> Tensor:
        """The nearest vector of each frame."""
        vectors, book = self.network.encoder(samples)[0].T, self.network.tensor(_BOOK).T
        distance = vectors.square().sum(1, keepdim=True) - 2 * vectors @ book + book.square().sum(0, keepdim=True)
        nearest: Tensor = (-distance).max(-1).indices
        return nearest[None]

    def sound_of(self, codes: Tensor) -> Tensor:
        """With the first of the scales that its norms were trained with, as its authors do."""
        vectors = self.network.tensor(_BOOK)[codes[0, 0]].T[None]
        return spectrum_sound(vectors, self.network.tensor, self.network.hop)

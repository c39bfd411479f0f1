"""WavTokenizer's network: EnCodec's encoder as transformers has it, one codebook, and a decoder of spectra.

Arrow: samples --**WavVq**--> codes, and codes --> vectors [1, D, frames] --**spectrum_sound**--> samples. Does not
know: files. Tensors have the names of the published code (github.com/jishengpeng/WavTokenizer, after Vocos,
arXiv:2306.00814), written here anew.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from tokenmask.modalities.published.audiocraft import renamed
from tokenmask.modalities.published.files import needed
from tokenmask.modalities.published.networks import built
from tokenmask.nn import Named

ENCODER = "feature_extractor.encodec.encoder.model."
BOOK = "feature_extractor.encodec.quantizer.vq.layers.0._codebook.embed"
GROUPS, EPS = 32, 1e-6
LOUDEST = 1e2  # of a line of the spectrum
Held = Callable[[str], Tensor]
"""A tensor by its published name."""


class WavVq(Named):
    """Codes of sound, and sound of codes; sizes follow from the tensors.

    Args:
        tensors: by their published names.
        rate: samples a second.
        who: for sentences about what does not fit.
    """

    levels = 1

    def __init__(self, tensors: Mapping[str, Tensor], rate: int, who: str) -> None:
        encoder = {name: own for name, own in tensors.items() if name.startswith(ENCODER)}
        super().__init__({name: own for name, own in tensors.items() if name not in encoder})
        steps = [name for name in encoder if re.fullmatch(re.escape(ENCODER) + r"\d+\.conv\.conv\.weight_v", name)]
        sizes = [encoder[name].shape for name in sorted(steps, key=lambda name: int(name.split(".")[4]))]
        if len(sizes) < 3 or not self.has(BOOK):
            raise ValueError(f"a {who} must hold {ENCODER}... and {BOOK}, but does not; take its weights")
        ratios = [int(size[2]) // 2 for size in sizes[1:-1]]
        shape = needed("transformers", who).EncodecConfig(
            num_filters=sizes[0][0],
            hidden_size=sizes[-1][0],
            upsampling_ratios=ratios[::-1],
            use_causal_conv=False,
            kernel_size=sizes[0][2],
            last_kernel_size=sizes[-1][2],
        )
        kind = needed("transformers.models.encodec.modeling_encodec", who).EncodecEncoder
        names = {renamed("layers." + name.removeprefix(ENCODER)): own for name, own in encoder.items()}
        self.encoder = built(lambda: kind(shape), names, who, "take all weights of one WavTokenizer")
        self.sampling_rate, self.hop_length = rate, math.prod(ratios)

    @property
    def codebook_size(self) -> int:
        """Of its one codebook."""
        return len(self.tensor(BOOK))

    def codes(self, samples: Tensor) -> Tensor:
        """The nearest vector of each frame: float32 [1, 1, time] -> int64 [1, frames]."""
        vectors, book = self.encoder(samples)[0].T, self.tensor(BOOK).T
        distance = vectors.square().sum(1, keepdim=True) - 2 * vectors @ book + book.square().sum(0, keepdim=True)
        nearest: Tensor = (-distance).max(-1).indices
        return nearest[None]

    def sound(self, codes: Tensor) -> Tensor:
        """Codes int64 [frames] -> [frames * hop], with the first of the scales that its norms were trained with."""
        return spectrum_sound(self.tensor(BOOK)[codes].T[None], self.tensor, self.hop_length)


def spectrum_sound(vectors: Tensor, held: Held, hop: int, bandwidth: int = 0) -> Tensor:
    """Sound of vectors float32 [1, D, frames] -> float32 [frames * hop]; ``bandwidth`` chooses the norm's scales."""
    x = _conv(vectors, held, "backbone.embed", padding=3)
    for part in range(5):
        x = _attention(x, held, f"backbone.pos_net.{part}") if part == 2 else _residual(x, held, part)
    x = _grouped(x, held, "backbone.pos_net.5")
    x = _layer_norm(x.transpose(1, 2), held, "backbone.norm", bandwidth).transpose(1, 2)
    layer = 0
    while True:
        name = f"backbone.convnext.{layer}"
        try:
            gamma = held(f"{name}.gamma")
        except KeyError:
            break
        inner = _conv(x, held, f"{name}.dwconv", padding=3, groups=x.shape[1]).transpose(1, 2)
        inner = _layer_norm(inner, held, f"{name}.norm", bandwidth)
        inner = _linear(F.gelu(_linear(inner, held, f"{name}.pwconv1")), held, f"{name}.pwconv2")
        x = x + (gamma * inner).transpose(1, 2)
        layer += 1
    weight, bias = held("backbone.final_layer_norm.weight"), held("backbone.final_layer_norm.bias")
    x = F.layer_norm(x.transpose(1, 2), (x.shape[1],), weight, bias, EPS)
    size, phase = _linear(x, held, "head.out").transpose(1, 2).chunk(2, dim=1)
    size = torch.exp(size).clip(max=LOUDEST)
    return _inverse(size * (torch.cos(phase) + 1j * torch.sin(phase)), hop)


def _inverse(spectrum: Tensor, hop: int) -> Tensor:
    """Overlapping windows [1, n / 2 + 1, frames] -> [frames * hop]; half a window less a step is cut at either end."""
    size, frames = 2 * (spectrum.shape[1] - 1), spectrum.shape[2]
    window = torch.hann_window(size, device=spectrum.device)
    cut = (size - hop) // 2
    total = (frames - 1) * hop + size

    def added(columns: Tensor) -> Tensor:
        whole = F.fold(columns, output_size=(1, total), kernel_size=(1, size), stride=(1, hop))
        return whole[0, 0, 0, cut : total - cut]

    waves = torch.fft.irfft(spectrum, size, dim=1) * window[None, :, None]
    return added(waves) / added(window.square().expand(1, frames, -1).transpose(1, 2))


def _residual(x: Tensor, held: Held, part: int) -> Tensor:
    inner = x
    for one in (1, 2):
        inner = _grouped(inner, held, f"backbone.pos_net.{part}.norm{one}")
        inner = _conv(inner * torch.sigmoid(inner), held, f"backbone.pos_net.{part}.conv{one}", padding=1)
    return x + inner


def _attention(x: Tensor, held: Held, name: str) -> Tensor:
    seen = _grouped(x, held, f"{name}.norm")
    query, key, value = (_conv(seen, held, f"{name}.{one}") for one in "qkv")
    scores = torch.bmm(query.transpose(1, 2), key) * x.shape[1] ** -0.5
    mixed = torch.bmm(value, torch.softmax(scores, 2).transpose(1, 2))
    return x + _conv(mixed, held, f"{name}.proj_out")


def _layer_norm(x: Tensor, held: Held, name: str, bandwidth: int) -> Tensor:
    scale, shift = (held(f"{name}.{one}.weight")[bandwidth] for one in ("scale", "shift"))
    return F.layer_norm(x, (x.shape[-1],), eps=EPS) * scale + shift


def _grouped(x: Tensor, held: Held, name: str) -> Tensor:
    return F.group_norm(x, GROUPS, held(f"{name}.weight"), held(f"{name}.bias"), EPS)


def _conv(x: Tensor, held: Held, name: str, padding: int = 0, groups: int = 1) -> Tensor:
    return F.conv1d(x, held(f"{name}.weight"), held(f"{name}.bias"), padding=padding, groups=groups)


def _linear(x: Tensor, held: Held, name: str) -> Tensor:
    return F.linear(x, held(f"{name}.weight"), held(f"{name}.bias"))

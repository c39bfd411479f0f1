"""The scale of EEG: how loud a second is, in codes of some decibels, and the gain that follows from them.

Arrow: samples --scale_codes--> codes --gain--> microvolts. Does not know: networks, recordings, streams.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from tokenmask.modalities.eeg.network import EegTokenizerConfig

_SMALLEST = 1e-12  # square microvolts; keeps logarithms finite


def scale_codes(samples: Tensor, known: Tensor, config: EegTokenizerConfig) -> Tensor:
    """The scale of every token, from the samples around its middle that are known.

    Args:
        samples: float32 [rows, tokens * stride], microvolts, zero where not known.
        known: the same shape, 1.0 or 0.0.

    Returns:
        int64 [rows, tokens], in 0 .. scale_steps - 1.
    """
    reach = config.scale_halo * config.stride - config.stride // 2
    window = torch.hann_window(2 * reach, periodic=False, dtype=torch.float64, device=samples.device) + 1e-6
    pad = (reach - config.stride // 2,) * 2

    def around(values: Tensor) -> Tensor:
        wide = nn.functional.pad(values.double(), pad)
        return (wide.unfold(1, 2 * reach, config.stride) * window).sum(2)

    power = around(samples.double().square()) / around(known).clamp_min(_SMALLEST)
    octaves = 0.5 * power.clamp_min(_SMALLEST).log2() - math.log2(config.scale_low_microvolt)
    codes = (octaves / octaves_per_step(config)).round()
    return codes.clamp(0, config.scale_steps - 1).long()


def octaves_per_step(config: EegTokenizerConfig) -> float:
    """How far apart two neighbouring codes of the scale are."""
    return math.log2(config.scale_high_microvolt / config.scale_low_microvolt) / (config.scale_steps - 1)


def gain(codes: Tensor, inside: Tensor, config: EegTokenizerConfig) -> Tensor:
    """Microvolts by which a wave of scale one is multiplied: lines in logarithm between the middles of tokens.

    Args:
        codes: int64 [rows, tokens], scale codes.
        inside: float32 [rows, tokens], 0.0 for tokens before the first or after the last of a recording; those
            take the code of the nearest one.

    Returns:
        float32 [rows, tokens * stride].
    """
    tokens, stride = codes.shape[1], config.stride
    places = torch.arange(tokens, device=codes.device)
    first, last = inside.argmax(1, keepdim=True), tokens - 1 - inside.flip(1).argmax(1, keepdim=True)
    codes = codes.gather(1, places.clamp(first, last)).double()
    padded = torch.cat([codes[:, :1], codes, codes[:, -1:]], 1)
    share = (torch.arange(stride, dtype=torch.float64, device=codes.device) + 0.5) / stride
    before, after = (0.5 - share).clamp_min(0), (share - 0.5).clamp_min(0)
    lines = padded[:, :-2, None] * before + padded[:, 2:, None] * after + codes[:, :, None] * (1 - before - after)
    octaves = lines.flatten(1) * octaves_per_step(config) + math.log2(config.scale_low_microvolt)
    return torch.exp2(octaves).float()


def normalised(samples: Tensor, config: EegTokenizerConfig) -> tuple[Tensor, Tensor]:
    """Whole rows as :meth:`EegTokenizer.encode` sees them: (wave, gain), each float32 [rows, tokens * stride]."""
    extra = -samples.shape[1] % config.stride
    known = nn.functional.pad(torch.ones_like(samples), (0, extra))
    padded = nn.functional.pad(samples, (0, extra))
    gains = gain(scale_codes(padded, known, config), known[:, :: config.stride], config)
    return padded / gains, gains

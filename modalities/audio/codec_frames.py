"""Frames of speech codecs: which bits mean what in Codec 2 and LPCNet, and how they become codes and bits again.

Does not know: clips, libraries, streams.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Frame:
    """How a codec cuts sound into frames and what the bits of one mean.

    Args:
        number: of the mode, as the library counts.
        sample_rate_hz: of the codec.
        samples: that a frame covers.
        delay_samples: by which decoded sound is late.
        fields: (name, bits) in their order, the most significant bit first; a field without a name is not used.
        gray: whether fields hold Gray codes.
        stages: names of fields that refine each other, coarse to fine; each other field stands for itself.
    """

    number: int
    sample_rate_hz: int
    samples: int
    delay_samples: int
    fields: tuple[tuple[str, int], ...]
    gray: bool = False
    stages: tuple[str, ...] = ()

    @property
    def bits(self) -> int:
        """Of a frame, spare ones included."""
        return sum(bits for _, bits in self.fields)

    @property
    def levels(self) -> dict[str, int]:
        """Codes of each field that is used, by its name."""
        return {name: 1 << bits for name, bits in self.fields if name}

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """Levels that refine each other, in the order of their first."""
        names = list(self.levels)
        stages = tuple(names.index(name) for name in self.stages)
        return tuple(sorted([*([stages] if stages else []), *((n,) for n in range(len(names)) if n not in stages)]))

    def codes(self, bits: Tensor) -> Tensor:
        """uint8 [frames, bits], zeros and ones -> int32 [frames, levels]."""
        columns, place = [], 0
        for name, width in self.fields:
            field = bits[:, place : place + width].int()
            place += width
            if self.gray:  # each bit of the number is the sum of those of the Gray code up to it
                field = field.cumsum(1, dtype=torch.int32) % 2
            if name:
                columns.append((field << torch.arange(width - 1, -1, -1, dtype=torch.int32)).sum(1, dtype=torch.int32))
        return torch.stack(columns, 1)

    def pack(self, codes: Tensor) -> Tensor:
        """The reverse of :meth:`codes`; bits that are not used are zero."""
        columns, levels = [], iter(codes.int().unbind(1))
        for name, width in self.fields:
            number = next(levels) if name else codes.new_zeros(len(codes))
            if self.gray:
                number = number ^ (number >> 1)
            columns.append((number[:, None] >> torch.arange(width - 1, -1, -1, dtype=torch.int32)) & 1)
        return torch.cat(columns, 1).to(torch.uint8)


_LSP = tuple((f"lsp_{place}", bits) for place, bits in enumerate((4, 4, 4, 4, 4, 4, 4, 3, 3, 2), 1))
_LSP_STEPS = tuple((f"lsp_step_{place}", 5) for place in range(1, 11))
_TWO, _FOUR = (("voiced_1", 1), ("voiced_2", 1)), tuple((f"voiced_{place}", 1) for place in range(1, 5))

CODEC2_MODES = {
    "3200": Frame(0, 8000, 160, 160, (*_TWO, ("pitch", 7), ("energy", 5), *_LSP_STEPS), gray=True),
    "2400": Frame(1, 8000, 160, 160, (*_TWO, ("pitch_and_energy", 8), *_LSP, ("", 2)), gray=True),
    "1600": Frame(
        2,
        8000,
        320,
        160,
        (*_TWO, ("pitch_2", 7), ("energy_2", 5), *_FOUR[2:], ("pitch_4", 7), ("energy_4", 5), *_LSP),
        gray=True,
    ),
    "1400": Frame(
        3, 8000, 320, 160, (*_TWO, ("pitch_and_energy_2", 8), *_FOUR[2:], ("pitch_and_energy_4", 8), *_LSP), gray=True
    ),
    "1300": Frame(4, 8000, 320, 160, (*_FOUR, ("pitch", 7), ("energy", 5), *_LSP), gray=True),
    "1200": Frame(
        5,
        8000,
        320,
        160,
        (
            *(*_TWO, ("pitch_and_energy_2", 8), *_FOUR[2:], ("pitch_and_energy_4", 8)),
            *(("lsp_stage_1", 9), ("lsp_stage_2_low", 9), ("lsp_stage_2_high", 9), ("", 1)),
        ),
        gray=True,
        stages=("lsp_stage_1", "lsp_stage_2_low", "lsp_stage_2_high"),
    ),
    "700C": Frame(
        8,
        8000,
        320,
        240,
        (("spectrum_stage_1", 9), ("spectrum_stage_2", 9), ("energy", 4), ("voiced_and_pitch", 6)),
        stages=("spectrum_stage_1", "spectrum_stage_2"),
    ),
}
"""Frames of the modes of Codec 2, named by their bits a second.

pitch is uniform in frequency from 50 to 400 Hz, energy in decibels from -10 to 40; lsp_1 .. lsp_10 are line spectral
frequencies, lsp_step_n the differences from one to the next. Mode 450 is left out: later libraries do not have it.

Source: the bit allocations documented in codec2.c of Codec 2 (D. Rowe).
"""

_STAGES = tuple(f"cepstrum_stage_{stage}" for stage in range(1, 5))
_LPCNET_FIELDS = (*((name, 11) for name in _STAGES), ("pitch", 6), ("pitch_gain", 2))
LPCNET_MODES = {
    "predictive": Frame(0, 16000, 480, 920, _LPCNET_FIELDS, stages=_STAGES),
    "direct": Frame(1, 16000, 480, 920, _LPCNET_FIELDS, stages=_STAGES),
}
"""Frames of LPCNet: "direct" codes each frame on its own, "predictive" what the frame before does not tell of it.

Source: Valin and Skoglund, arXiv:1903.12087, in the variant of D. Rowe's LPCNet 0.1: four stages of 2048 vectors of 18
cepstral coefficients that are added up, pitch and its gain; 1733 bit/s.
"""

"""Sound that a codec codes in chunks: which samples and frames each has, and how loud it is.

Does not know: which codec.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LOUDNESS = 256  # codes of how loud a chunk is
_STEP_DB, _TOP_DB = 0.5, 12.0


@dataclass(frozen=True)
class Chunks:
    """Chunks of equal length that overlap, but for the last one, which ends with the sound.

    Args:
        length: samples of a chunk; None where a sound is one chunk.
        stride: from the begin of one to that of the next.
        hop: samples of a frame.
    """

    length: int | None
    stride: int | None
    hop: int

    def rate_hz(self, samples_hz: int) -> float:
        """Frames in a second of sound: more than its samples would give, where chunks have some in common."""
        if self.length is None or self.stride is None:
            return samples_hz / self.hop
        return self.frames * samples_hz / self.stride

    @property
    def frames(self) -> int:
        """Of a whole chunk."""
        assert self.length is not None
        return -(-self.length // self.hop)

    def of(self, samples: int) -> list[tuple[int, int]]:
        """(first, stop) of each chunk: as many as hold all samples, none of which is within the one before."""
        if self.length is None or self.stride is None:
            return [(0, samples)]
        later = -(-max(samples - self.length, 0) // self.stride)
        return [(at * self.stride, min(at * self.stride + self.length, samples)) for at in range(later + 1)]

    def parts(self, codes: Tensor) -> tuple[Tensor, list[int], int]:
        """The frames of each chunk.

        Args:
            codes: int64 [1, K, frames], of any number.

        Returns:
            codes [chunks, 1, K, frames of a chunk], with zeros behind those of the last one; how many they are, of each
            chunk; samples of the sound.
        """
        total = codes.shape[2]
        if self.length is None or self.stride is None:
            return codes[None], [0], total * self.hop
        size = self.frames if total > self.frames else total
        count = -(-total // size)
        last = total - (count - 1) * size
        ends = self.stride * (count - 1) + last * self.hop
        if count > 1:  # a last chunk that is within the one before: its frames go on as they end
            ends = max(ends, self.stride * (count - 2) + self.length)
            least = -(-(self.length - self.stride) // self.hop)
            codes = torch.cat([codes, codes[..., -1:].expand(-1, -1, max(least - last, 0))], 2)
        lacking = count * size - codes.shape[2]
        parts = F.pad(codes, (0, lacking)).view(1, -1, count, size).permute(2, 0, 1, 3)
        return parts, [0] * (count - 1) + [lacking], ends


def loudness_of(scale: Tensor) -> Tensor:
    """A root mean square, float [1, 1] -> its code, int64 [1, 1]: half decibels, up to 12 dB over full scale."""
    decibels = 20 * scale.double().clamp(min=1e-12).log10()
    return (LOUDNESS - 1 + (decibels - _TOP_DB) / _STEP_DB).round().clamp(0, LOUDNESS - 1).long()


def scale_of(codes: Tensor) -> Tensor:
    """Codes int64 [frames] of one chunk -> the root mean square of their median, float32 [1, 1]."""
    decibels = _TOP_DB + (codes.median().double() - (LOUDNESS - 1)) * _STEP_DB
    return (10 ** (decibels / 20)).float().view(1, 1)

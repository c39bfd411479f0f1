"""Sound that a codec codes in chunks: which samples and frames each has, and how loud it is.

Does not know: which codec.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

LOUDNESS = 256  # codes of how loud a chunk is
_STEP_DB, _TOP_DB = 0.5, 12.0


@dataclass(frozen=True)
class Plan:
    """How frames are chunks.

    Args:
        size: frames of each chunk but the last.
        count: of chunks.
        again: times that the last frame goes on, where the last chunk would be within the one before.
        steps: samples of the sound.
    """

    size: int
    count: int
    again: int
    steps: int


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

    def plan(self, total: int) -> Plan:
        """How so many frames are chunks."""
        if self.length is None or self.stride is None:
            return Plan(total, 1, 0, total * self.hop)
        size = self.frames if total > self.frames else total
        count = -(-total // size)
        last = total - (count - 1) * size
        steps = self.stride * (count - 1) + last * self.hop
        if count == 1:
            return Plan(size, 1, 0, steps)
        least = -(-(self.length - self.stride) // self.hop)
        before = self.stride * (count - 2) + self.length
        return Plan(size, count, max(least - last, 0), max(steps, before))

    def parts(self, codes: Tensor) -> tuple[Tensor, list[int], int]:
        """The frames of each chunk.

        Args:
            codes: int64 [1, K, frames], of any number.

        Returns:
            codes [chunks, 1, K, frames of a chunk], with zeros behind those of the last one; how many they are, of each
            chunk; samples of the sound.
        """
        plan = self.plan(codes.shape[2])
        codes = torch.cat([codes, codes[..., -1:].expand(-1, -1, plan.again)], 2)
        lacking = plan.count * plan.size - codes.shape[2]
        parts = F.pad(codes, (0, lacking)).view(1, -1, plan.count, plan.size).permute(2, 0, 1, 3)
        return parts, [0] * (plan.count - 1) + [lacking], plan.steps

    def cut(self, pieces: Iterable[Tensor], plan: Plan) -> Iterator[Tensor]:
        """The codes of each chunk, int [frames, K], out of pieces of any length; the last frame goes on as planned."""
        held, done = None, 0
        for piece in pieces:
            held = piece if held is None else torch.cat([held, piece])
            while len(held) >= plan.size and done < plan.count - 1:
                yield held[: plan.size]
                held, done = held[plan.size :], done + 1
        if held is not None:
            yield torch.cat([held, held[-1:].expand(plan.again, -1)])

    def added(self, sounds: Iterable[Tensor], plan: Plan) -> Iterator[Tensor]:
        """The sound of chunks as pieces, each as soon as what overlaps it is there.

        Args:
            sounds: float32 [channels, samples] of each chunk, in order; the weights of what overlaps, their sums and
                the order of sums are those of EnCodec, so that joined pieces are its sound bit for bit.
            plan: of all of them.
        """
        weight = torch.zeros(0)
        held, sums, done, stride = torch.zeros(1, 0), torch.zeros(0), 0, self.stride or 0
        for at, sound in enumerate(sounds):
            if at == 0:
                place = torch.linspace(0, 1, sound.shape[1] + 2)[1:-1]
                weight = 0.5 - (place - 0.5).abs()
            mine = weight[: sound.shape[1]]
            held = _sum(held.expand(len(sound), -1), mine * sound)
            sums = _sum(sums, mine)
            ready = plan.steps - done if at == plan.count - 1 else stride
            yield held[:, :ready] / sums[:ready]
            held, sums, done = held[:, ready:], sums[ready:], done + ready


def _sum(first: Tensor, then: Tensor) -> Tensor:
    """Of tensors [..., T] of any lengths, as if the shorter one went on with zeros."""
    size = max(first.shape[-1], then.shape[-1])
    return F.pad(first, (0, size - first.shape[-1])) + F.pad(then, (0, size - then.shape[-1]))


def loudness_of(scale: Tensor) -> Tensor:
    """A root mean square, float [1, 1] -> its code, int64 [1, 1]: half decibels, up to 12 dB over full scale."""
    decibels = 20 * scale.double().clamp(min=1e-12).log10()
    return (LOUDNESS - 1 + (decibels - _TOP_DB) / _STEP_DB).round().clamp(0, LOUDNESS - 1).long()


def scale_of(codes: Tensor) -> Tensor:
    """Codes int64 [frames] of one chunk -> the root mean square of their median, float32 [1, 1]."""
    decibels = _TOP_DB + (codes.median().double() - (LOUDNESS - 1)) * _STEP_DB
    return (10 ** (decibels / 20)).float().view(1, 1)

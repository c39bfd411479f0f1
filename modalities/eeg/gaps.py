"""Gaps that a program filled: a stretch of time in which no channel of a recording moves.

Arrow: samples of each channel --**Gaps**--> a sentence. Does not know: files, headers.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_SHORTEST_SECONDS = 0.5
_FEWEST = 16  # samples; of a slow recording some equal ones may be chance


class Gaps:
    """Where all channels that have a wave hold their value at once; channels without a wave are told elsewhere.

    Args:
        rate_hz: of the samples.
    """

    def __init__(self, rate_hz: float) -> None:
        self._rate = rate_hz
        self._still: Tensor | None = None

    def see(self, samples: Tensor) -> None:
        """One more channel, [time], as it was recorded: what a filter leaves of zeros is none."""
        still = samples[1:] == samples[:-1]
        if not bool(still.all()):
            self._still = still if self._still is None else self._still & still

    def told(self) -> str:
        """What is told of all channels; "" where there is nothing."""
        if self._still is None:
            return ""
        edges = torch.nn.functional.pad(self._still.to(torch.int8), (1, 1)).diff()
        begins, ends = (edges == 1).nonzero()[:, 0], (edges == -1).nonzero()[:, 0]
        sizes = ends - begins + 1  # n pairs of equal neighbours are n + 1 samples
        chosen = sizes >= max(_FEWEST, math.ceil(_SHORTEST_SECONDS * self._rate))
        if not bool(chosen.any()):
            return ""
        first, size = int(begins[chosen][0]), int(sizes[chosen][0])
        more = int(chosen.sum()) - 1
        others = f"; {more} more, {int(sizes[chosen].sum()) / self._rate:.6g} s in all" if more else ""
        return (
            f"no channel moves for {size / self._rate:.6g} s from {first / self._rate:.6g} s on{others}, as where a "
            "gap was filled; they are read as they are (EegRecording.between takes what is before or behind)"
        )


def gaps_in(samples: Tensor, rate_hz: float) -> str:
    """The sentence on samples [channels, time] that are in memory."""
    gaps = Gaps(rate_hz)
    for row in samples:
        gaps.see(row)
    return gaps.told()

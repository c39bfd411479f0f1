"""Schedules: how many slots stay open after each step.

Arrow: inside the Sampler loop. Does not know: which slots, codes, models. Counts live on the host, so that the loop
never waits for a device.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal

from tokenmask.masking.processes import Cosine, MaskingProcess


@dataclass(frozen=True)
class Schedule(ABC):
    """Base of all schedules."""

    @abstractmethod
    def open_after(self, initial: int, index: int, steps: int) -> int:
        """How many of ``initial`` slots are still open after step ``index`` (0 .. steps - 1); 0 after the last."""


@dataclass(frozen=True)
class ProcessSchedule(Schedule):
    """Follows a masking process from t = 1 to t = 0, revealing at least one slot in every step.

    With Cosine and "floor" these are MaskGIT's counts: 256 slots in 8 steps reveal 5, 15, 24, 31, 39, 45, 48, 49
    (the published loop leaves one slot masked and returns its last draw). Source: arXiv:2202.04200, section 3.2.

    Args:
        process: hidden share over time.
        rounding: of share * slots.
    """

    process: MaskingProcess = field(default_factory=Cosine)
    rounding: Literal["floor", "round", "ceil"] = "floor"

    def open_after(self, initial: int, index: int, steps: int) -> int:
        if index >= steps - 1:
            return 0
        share = self.process.share(1 - (index + 1) / steps)
        rounded = {"floor": math.floor, "round": round, "ceil": math.ceil}[self.rounding](share * initial)
        before = self.open_after(initial, index - 1, steps) if index else initial
        return max(0, min(before - 1, max(1, int(rounded))))


@dataclass(frozen=True)
class UniformSchedule(Schedule):
    """Reveals n // steps slots a step, one more in each of the first n % steps. Source: LLaDA, arXiv:2502.09992."""

    def open_after(self, initial: int, index: int, steps: int) -> int:
        done = index + 1
        return initial - (done * (initial // steps) + min(done, initial % steps))

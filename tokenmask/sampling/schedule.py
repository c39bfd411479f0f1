"""Schedules: how many slots stay open after each step.

Arrow: inside the Sampler loop. Does not know: which slots, codes, models. Counts live on the host, so that the loop
never waits for a device.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from tokenmask.masking.processes import Cosine, MaskingProcess, Rounding, open_counts


class Schedule(ABC):
    """Base of all schedules."""

    @abstractmethod
    def plan(self, initial: int, steps: int) -> list[int]:
        """How many of ``initial`` slots are still open after each of ``steps`` steps; the last entry is 0."""


@dataclass(frozen=True)
class ProcessSchedule(Schedule):
    """Follows a masking process from t = 1 to t = 0; every step reveals a slot while there are as many as steps.

    With Cosine and "floor" these are MaskGIT's counts: 256 slots in 8 steps reveal 5, 15, 24, 31, 39, 45, 48, 49
    (the published loop leaves one slot masked and returns its last draw). Source: arXiv:2202.04200, section 3.2.

    Args:
        process: hidden share over time.
        rounding: of share * slots.
    """

    process: MaskingProcess = field(default_factory=Cosine)
    rounding: Rounding = "floor"

    def plan(self, initial: int, steps: int) -> list[int]:
        return open_counts(self.process, initial, steps, self.rounding)


@dataclass(frozen=True)
class UniformSchedule(Schedule):
    """Reveals n // steps slots a step, one more in each of the first n % steps. Source: LLaDA, arXiv:2502.09992."""

    def plan(self, initial: int, steps: int) -> list[int]:
        each, more = divmod(initial, steps)
        return [initial - (done * each + min(done, more)) for done in range(1, steps + 1)]

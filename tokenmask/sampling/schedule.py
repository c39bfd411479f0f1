"""Schedules: how many slots stay open after each step.

Arrow: inside the Sampler loop. Does not know: which slots, codes, models. Counts that are known beforehand live on
the host, so that the loop never waits for a device.
"""

from __future__ import annotations

import itertools
import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import ClassVar, Literal

from torch import Tensor

from tokenmask.masking.processes import ROUNDINGS, Cosine, Linear, MaskingProcess, Rounding, open_counts
from tokenmask.scores import ScoreContext
from tokenmask.scores.arguments import is_a, number, one_of, whole


class Schedule(ABC):
    """Base of all schedules."""

    def steps(self, initial: int, steps: int) -> int:
        """The number of steps for a row of ``initial`` open slots in a stage of ``steps`` steps."""
        return steps

    @abstractmethod
    def plan(self, initial: int, steps: int) -> list[int]:
        """How many of ``initial`` slots are still open after each of ``steps`` steps; the last entry is 0."""

    def law(self) -> MaskingProcess | None:
        """The masking process whose share of slots is open at each time, or None where there is no such law."""
        return None

    def time(self, share: Tensor) -> Tensor:
        """The masking time in 0..1 at which ``share`` of the slots is open, by its own law; ``share`` without one.

        A model that is told the time gets it, unless ``Sampler.process`` names the law that it was trained with.

        Args:
            share: float32 [B], in 0..1.
        """
        law = self.law()
        return share if law is None else law.time(share)


class DecidingSchedule(Schedule):
    """Base of the schedules that decide in each step how much it reveals; the stage ends when nothing is open.

    Attributes:
        least: slots that a step reveals at the least, 1 or 0; with 0 a stage may need all of its steps.
    """

    least: ClassVar[int] = 1

    def plan(self, initial: int, steps: int) -> list[int]:
        """Nothing is known beforehand but that the last step reveals all that is left."""
        return [initial] * (steps - 1) + [0]

    @abstractmethod
    def reveal(self, context: ScoreContext) -> Tensor:
        """int64 [B], how many open slots of each row this step reveals; ``least`` at the least are revealed."""


@dataclass(frozen=True)
class ProcessSchedule(Schedule):
    """Follows a masking process from t = 1 to t = 0; every step reveals a slot while there are enough (grid "after").

    With Cosine and "floor" these are MaskGIT's counts: 256 slots in 8 steps reveal 5, 15, 24, 31, 39, 45, 48, 49
    (the published loop leaves one slot masked and returns its last draw). Source: arXiv:2202.04200, section 3.2.

    Args:
        process: hidden share over time.
        rounding: of share * slots.
        grid: step i of S leaves the share of t = 1 - (i + 1) / S on "after"; on "ends" the share of t = 1 - (i + 1) /
            (S - 1), at least one slot until the last step, so that the first steps may reveal nothing. "ends" with
            "round" are MoMask's counts (arXiv:2312.00063), with "floor" MAGNeT's (arXiv:2401.04577), published codes.
            On "first" step i leaves the share of t = 1 - i / (S - 1), so that the first step reveals one slot; with
            "ceil" these are the counts of MaskGIT's reproduction (arXiv:2310.14400), published code.
    """

    process: MaskingProcess = field(default_factory=Cosine)
    rounding: Rounding = "floor"
    grid: Literal["after", "ends", "first"] = "after"

    def __post_init__(self) -> None:
        is_a("ProcessSchedule.process", self.process, MaskingProcess)
        one_of("ProcessSchedule.rounding", self.rounding, tuple(ROUNDINGS))
        one_of("ProcessSchedule.grid", self.grid, ("after", "ends", "first"))

    def law(self) -> MaskingProcess:
        return self.process

    def plan(self, initial: int, steps: int) -> list[int]:
        if self.grid == "ends":
            law = ROUNDINGS[self.rounding]
            shares = self.process.shares([left / (steps - 1) for left in range(steps - 2, -1, -1)])
            return [min(initial, max(1, law(share * initial))) for share in shares] + [0]
        if self.grid == "first":
            law, plan, left = ROUNDINGS[self.rounding], [], initial
            for share in self.process.shares([1 - i / (steps - 1) for i in range(steps - 1)]):
                left = max(0, min(left - 1, law(share * initial)))
                plan.append(left)
            return [*plan, 0]
        return open_counts(self.process, initial, steps, self.rounding)


@dataclass(frozen=True)
class UniformSchedule(Schedule):
    """Reveals n // steps slots a step, one more in each of the first n % steps. Source: LLaDA, arXiv:2502.09992.

    Args:
        each: slots of a step; it then says the number of steps itself, and the last one reveals what is left. GenMol,
            arXiv:2501.06158, reveals 1 a step. None takes the number of steps that is asked for.
    """

    each: int | None = None

    def __post_init__(self) -> None:
        if self.each is not None:
            whole("UniformSchedule.each", self.each)

    def steps(self, initial: int, steps: int) -> int:
        return steps if self.each is None else -(-initial // self.each)

    def law(self) -> MaskingProcess:
        return Linear()

    def plan(self, initial: int, steps: int) -> list[int]:
        if self.each is not None:
            return [max(0, initial - done * self.each) for done in range(1, steps)] + [0]
        each, more = divmod(initial, steps)
        return [initial - (done * each + min(done, more)) for done in range(1, steps + 1)]


@dataclass(frozen=True)
class ExpectedSchedule(Schedule):
    """Reveals as many slots as the reversed process would on the average, rounded down, of those that are left.

    A step from time t to s reveals floor(n (h_t - h_s) / h_t) of n open slots, which may be none, and the last step all
    that is left. Source: Dream, arXiv:2508.15487, published code, with its rules "maskgit_plus", "topk_margin" and
    "entropy", where n is the mean over a batch.

    Args:
        process: hidden share over time.
        end: hidden share at time 0, so that h becomes end + (1 - end) h; Dream's ``eps``.
    """

    process: MaskingProcess = field(default_factory=Linear)
    end: float = 1e-3

    def __post_init__(self) -> None:
        is_a("ExpectedSchedule.process", self.process, MaskingProcess)
        if number("ExpectedSchedule.end", self.end, least=0.0) >= 1:
            raise ValueError(f"ExpectedSchedule.end must lie below 1, got {self.end}; 1e-3, say")

    def law(self) -> MaskingProcess:
        return self.process

    def plan(self, initial: int, steps: int) -> list[int]:
        hidden = [self.end + (1 - self.end) * h for h in self.process.shares([1 - i / steps for i in range(steps)])]
        plan, left = [], initial
        for before, after in itertools.pairwise(hidden):
            left -= math.floor(left * (1 - after / before))
            plan.append(left)
        return [*plan, 0]


@dataclass(frozen=True)
class ConfidenceAbove(DecidingSchedule):
    """Reveals every slot whose drawn code is at least so probable, one at the least; ends when nothing is open.

    Goes with an order by confidence, so that these are the slots that are revealed. A row has as many steps as it has
    slots, and takes as few as its predictions allow. Source: Fast-dLLM, arXiv:2505.22618, section 3.3.

    Args:
        threshold: probability of the drawn code before temperature, 0..1.
    """

    threshold: float = 0.9

    def __post_init__(self) -> None:
        if not 0 < number("ConfidenceAbove.threshold", self.threshold) <= 1:
            raise ValueError(f"ConfidenceAbove.threshold must lie in 0..1 and above 0, got {self.threshold}")

    def steps(self, initial: int, steps: int) -> int:
        return initial

    def reveal(self, context: ScoreContext) -> Tensor:
        sure = context.predictions["plain_logprob"] >= math.log(self.threshold)
        return (sure & context.is_open).sum((1, 2))

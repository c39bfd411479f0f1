"""Schedules of schedules: counts in runs, in blocks, by length, and twice over.

Arrow: inside the Sampler loop. Does not know: which slots, codes, models, which schedule stands inside.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from tokenmask.masking.processes import MaskingProcess
from tokenmask.sampling.schedule import DecidingSchedule, ProcessSchedule, Schedule, UniformSchedule
from tokenmask.scores.arguments import is_a, whole


class _Around(Schedule):
    """Base of a schedule around another one whose counts are known beforehand."""

    schedule: Schedule

    def __post_init__(self) -> None:
        name = f"{type(self).__name__}.schedule"
        is_a(name, self.schedule, Schedule)
        if isinstance(self.schedule, DecidingSchedule):
            raise ValueError(f"{name} must know its counts beforehand, got {self.schedule}; take ProcessSchedule")

    def law(self) -> MaskingProcess | None:
        return self.schedule.law()


@dataclass(frozen=True)
class Chunks(_Around):
    """Counts of another schedule in runs of ``span`` slots, as :class:`~tokenmask.scores.ChunkScore` reveals them.

    Exact where the slots to fill are whole runs of one level; else the last run of a step may be cut. Source: MAGNeT,
    arXiv:2401.04577, published code, with ``ProcessSchedule(grid="ends")``.

    Args:
        schedule: of the runs.
        span: slots of a run.
    """

    schedule: Schedule = field(default_factory=lambda: ProcessSchedule(grid="ends"))
    span: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("Chunks.span", self.span)

    def steps(self, initial: int, steps: int) -> int:
        return self.schedule.steps(-(-initial // self.span), steps)

    def plan(self, initial: int, steps: int) -> list[int]:
        runs = self.schedule.plan(-(-initial // self.span), steps)
        return [min(initial, self.span * count) for count in runs]


@dataclass(frozen=True)
class Blocks(_Around):
    """Fills blocks of ``block`` slots one after another, each by another schedule with its share of the steps.

    Goes with :class:`~tokenmask.scores.Blockwise`, which says the same of the order. Source: LLaDA, arXiv:2502.09992,
    appendix B.4 and published code, where the number of blocks divides the steps.

    Args:
        schedule: of a block.
        block: slots of a block; the last one has what is left.
    """

    schedule: Schedule = field(default_factory=UniformSchedule)
    block: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("Blocks.block", self.block)

    def _sizes(self, initial: int) -> list[int]:
        return [min(self.block, initial - start) for start in range(0, initial, self.block)]

    def steps(self, initial: int, steps: int) -> int:
        sizes = self._sizes(initial)
        return sum(max(1, self.schedule.steps(size, max(1, steps // len(sizes)))) for size in sizes)

    def plan(self, initial: int, steps: int) -> list[int]:
        sizes, plan, left = self._sizes(initial), [], initial
        for size in sizes:
            left -= size
            own = max(1, self.schedule.steps(size, max(1, steps // len(sizes))))
            plan += [left + count for count in self.schedule.plan(size, own)]
        return (plan + [0] * steps)[:steps]


@dataclass(frozen=True)
class PerLength(_Around):
    """Fewer steps for shorter rows: the steps that are asked for are those of ``longest`` slots.

    Source: MMM, arXiv:2312.03596, published code: 10 steps for 49 slots, rounded for others.

    Args:
        schedule: with the number of steps so found.
        longest: slots of a row that takes all steps; longer ones take no more.
    """

    schedule: Schedule = field(default_factory=ProcessSchedule)
    longest: int = 49

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("PerLength.longest", self.longest)

    def steps(self, initial: int, steps: int) -> int:
        return self.schedule.steps(initial, max(1, min(steps, round(steps / self.longest * initial))))

    def plan(self, initial: int, steps: int) -> list[int]:
        return self.schedule.plan(initial, steps)


@dataclass(frozen=True)
class Twice(_Around):
    """Every step of another schedule twice but the last, so that what was revoked in between is filled again.

    Goes with :class:`~tokenmask.sampling.Zigzag`. Source: arXiv:2411.10781, section 4.3.

    Args:
        schedule: whose counts are reached twice each.
    """

    schedule: Schedule = field(default_factory=ProcessSchedule)

    def steps(self, initial: int, steps: int) -> int:
        return max(1, 2 * self.schedule.steps(initial, steps) - 1)

    def plan(self, initial: int, steps: int) -> list[int]:
        plan = self.schedule.plan(initial, (steps + 1) // 2)
        return [*[count for count in plan for _ in range(2)][: steps - 1], 0]

"""Space: the settings of a sampler that are tried, those of the run among them.

Arrow: the run's sampler + Space --**settings**--> Settings. Does not know: how good any is.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field, fields, replace
from typing import Any

from tokenmask.analysis.intervals import generator
from tokenmask.masking import Arccos, Cosine, Linear
from tokenmask.sampling import NoGuidance, ProcessSchedule, Sampler, Schedule
from tokenmask.scores import ConfidenceScore, HaltonScore, RandomScore, Score

OWN = "the run's own"


@dataclass(frozen=True)
class Space:
    """What is combined; None stands for what the run's sampler has itself.

    Args:
        schedules: how many slots a step reveals.
        orders: which ones.
        temperatures: of the pick, at the start.
        guidances: scales; 1 is none, and takes one pass a step instead of two.
    """

    schedules: tuple[Schedule | None, ...] = (
        None,
        *(ProcessSchedule(process) for process in (Cosine(), Linear(), Arccos())),
    )
    orders: tuple[Score | None, ...] = (
        None,
        *(ConfidenceScore(noise) for noise in (0.5, 1.0, 2.0, 4.5)),
        RandomScore(),
        HaltonScore(),
    )
    temperatures: tuple[float | None, ...] = (None, 1.0, 0.85, 0.7)
    guidances: tuple[float | None, ...] = (None, 1.0, 1.5, 2.0, 3.0)


@dataclass(frozen=True)
class Settings:
    """One combination, for any number of steps.

    Args:
        sampler: with all but the number of steps.
        said: what it changes, in words.
    """

    sampler: Sampler
    said: str = field(default=OWN)

    def within(self, passes: int, levels: int) -> Sampler | None:
        """The sampler with as many steps as so many passes allow; None where one step is too much.

        Args:
            passes: of a record through the model.
            levels: of the stream, each of which takes the steps of a sampler without stages.
        """
        for steps in range(passes, 0, -1):
            sampler = self.sampler.adapted(steps)
            if _passes(sampler, levels) <= passes:
                return sampler
        return None


def settings(sampler: Sampler, space: Space, count: int | None, *, conditional: bool, seed: int) -> list[Settings]:
    """The run's own settings, and others that differ from them and from each other.

    Args:
        sampler: the run's.
        space: what is combined; combinations that a sampler refuses are left out.
        count: how many in all, drawn from all combinations; None takes each.
        conditional: whether there are conditions that guidance could pull towards.
        seed: of the draw.
    """
    guidances = space.guidances if conditional else (None,)
    every = list(itertools.product(space.schedules, space.orders, space.temperatures, guidances))
    order = range(len(every)) if count is None else generator(seed, 71).permutation(len(every)).tolist()
    found = [Settings(sampler)]
    for number in order:
        if count is not None and len(found) >= count:
            break
        made = _made(sampler, *every[number])
        if made is not None and all(made.sampler != one.sampler for one in found):
            found.append(made)
    return found


def _made(
    sampler: Sampler, schedule: Schedule | None, order: Score | None, temperature: float | None, scale: float | None
) -> Settings | None:
    """The sampler with what is not None; None if it refuses."""
    said = [
        *([f"schedule {_words(schedule)}"] if schedule is not None else []),
        *([f"order {_words(order)}"] if order is not None else []),
        *([f"temperature {temperature:g}"] if temperature is not None else []),
        *([f"guidance {scale:g}"] if scale is not None else []),
    ]
    stages = tuple(
        replace(
            stage,
            schedule=None if schedule is not None else stage.schedule,
            order=None if order is not None else stage.order,
        )
        for stage in sampler.stages
    )
    try:
        changed = replace(
            sampler, stages=stages, schedule=schedule or sampler.schedule, order=order or sampler.order
        ).adapted(None, scale, temperature)
    except ValueError:
        return None
    if scale == 1.0:
        changed = replace(changed, guidance=NoGuidance())
    return Settings(changed, ", ".join(said) or OWN)


def _words(value: Schedule | Score) -> str:
    """A component in words: its first field, and those that are not as usual."""
    whole: Any = value  # components are dataclasses
    own = [f for number, f in enumerate(fields(whole)) if not number or getattr(value, f.name) != f.default]
    return f"{type(value).__name__}({', '.join(f'{getattr(value, f.name)}' for f in own)})"


def _passes(sampler: Sampler, levels: int) -> int:
    """Passes of a record as far as they are known before: cheap steps are counted whole, deciding schedules
    as set, and of blocks one."""
    steps = [stage.steps for stage in sampler.stages] or [sampler.steps] * levels
    guided = [2 if guidance.pushes_away else 1 for guidance in sampler.guidances]
    guided = guided if sampler.stages else guided * levels
    return sum(a * b for a, b in zip(steps, guided, strict=True))

"""Race: settings are measured on few records, and the better half on more, until one is left.

Arrow: Settings + records --**Track.measure**--> Trials --**best_of**--> the best one. Does not know: which settings
there are, where what was found goes. Source of the halving: Jamieson and Talwalkar, arXiv:1502.07943.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from tokenmask.evaluation.metric import Metric
from tokenmask.evaluation.part import Streams, part_of
from tokenmask.recipes import recipe_yaml
from tokenmask.run import Run
from tokenmask.sampling import Sampler
from tokenmask.tuning.kept import Kept, ground
from tokenmask.tuning.space import Settings

FIRST = 8  # records of the first heat, if there are as many
_MEASURED = ("value", "interval", "passes", "seconds", "records")  # of a trial


@dataclass(frozen=True)
class Trial:
    """Settings with a number of steps, measured.

    Args:
        said: the settings in words.
        sampler: what was measured.
        value: the figure; None if it could not be measured.
        interval: 95 %, over the records.
        passes: of a record through the model.
        seconds: a record.
        records: that were generated.
    """

    said: str
    sampler: Sampler
    value: float | None
    interval: tuple[float, float] | None
    passes: float
    seconds: float
    records: int


@dataclass(frozen=True, eq=False)
class Track:
    """Where settings are measured alike.

    Args:
        run: whose stream is filled.
        stream: its name.
        records: split -> records; the held-out ones give conditions and are compared with.
        metric: what measures.
        figure: the beginning of the name of its figure; "" is its first.
        higher: whether more is better.
        seed: of the draws.
        kept: what was measured before is taken from here, and what is measured goes here; None measures all anew.
    """

    run: Run
    stream: str
    records: Mapping[str, Sequence[Streams]]
    metric: Metric
    figure: str
    higher: bool
    seed: int
    kept: Kept | None = None

    @cached_property
    def _ground(self) -> str:
        return ground(self.run, self.stream, self.records, self.metric)

    def measure(self, said: str, sampler: Sampler, samples: int) -> Trial:
        """A trial with so many records, at most as many as are held out.

        Raises:
            ValueError: the metric has no such figure for the stream.
        """
        samplers = {**self.run.recipe.samplers, self.stream: sampler}
        run = replace(self.run, recipe=replace(self.run.recipe, samplers=samplers))
        if self.kept is None:
            return self._measured(said, sampler, run, samples)
        about = [self._ground, recipe_yaml(run.recipe), self.figure, self.seed, samples]
        digest = hashlib.sha256(json.dumps(about).encode()).hexdigest()
        values = self.kept.of(digest)
        if values is None:
            trial = self._measured(said, sampler, run, samples)
            self.kept.put(digest, {name: getattr(trial, name) for name in _MEASURED})
            return trial
        interval = values["interval"] and tuple(values["interval"])
        return Trial(said, sampler, **{**values, "interval": interval})

    def _measured(self, said: str, sampler: Sampler, run: Run, samples: int) -> Trial:
        part = part_of(run, self.stream, self.records, samples=samples, seed=self.seed, draws=1)
        begun = time.perf_counter()
        part.generated(part.chosen)
        seconds = time.perf_counter() - begun
        figures = list(self.metric(part))
        found = next((one for one in figures if one.name.startswith(self.figure)), None)
        if found is None:
            names = "; ".join(one.name for one in figures) or "none"
            raise ValueError(
                f"{type(self.metric).__name__} has the figures {names} for {self.stream}, got {self.figure!r}; name one"
            )
        rows, positions = part.tally.get("rows", 1), part.tally.get("positions", 1)
        passes = part.tally.get("computed_positions", 0) / positions
        return Trial(said, sampler, found.value, found.interval, passes, seconds / rows, rows)

    def better(self, trial: Trial) -> float:
        """Something that is lower for better trials."""
        if trial.value is None:
            return float("inf")
        return -trial.value if self.higher else trial.value


def best_of(
    track: Track,
    candidates: Sequence[Settings],
    passes: int,
    samples: int,
    levels: int,
    say: Callable[[str], None],
) -> list[Trial]:
    """All trials of a budget; the last one is the best.

    Args:
        track: measures.
        candidates: the first one wins a tie.
        passes: the budget.
        samples: records of the last heat.
        levels: of the stream.
        say: is told of each heat.

    Returns:
        nothing if no candidate fits the budget.
    """
    left = [(one.said, sampler) for one in candidates if (sampler := one.within(passes, levels)) is not None]
    trials: list[Trial] = []
    for heat in _heats(samples) if left else ():
        say(f"{passes} passes: {len(left)} settings with {heat} records each")
        found = [track.measure(said, sampler, heat) for said, sampler in left]
        fitting = [trial for trial in found if trial.passes <= passes + 1e-6 and trial.value is not None]
        fitting.sort(key=track.better)  # stable
        trials += [trial for trial in found if trial not in fitting[:1]] + fitting[:1]
        if not fitting or (len(fitting) == 1 or heat == samples):
            return trials if fitting else []
        left = [(trial.said, trial.sampler) for trial in fitting[: (len(fitting) + 1) // 2]]
    return trials


def seconds_of(first: Trial, took: float, budgets: Sequence[int], candidates: int, samples: int) -> float:
    """About how long the rest of a tuning takes.

    Args:
        first: the run's own settings, measured.
        took: seconds of that, with the figure.
        budgets: passes.
        candidates: settings that are tried in each.
        samples: records of the last heat.
    """
    each = first.seconds / max(1.0, first.passes)  # of a record and pass
    figure = max(0.0, took - first.seconds * first.records)
    trials, records = 1, first.records  # the report for each budget
    left = candidates
    for heat in _heats(samples):
        trials, records = trials + left, records + left * min(heat, first.records)
        if left == 1:
            break
        left = (left + 1) // 2
    return took + sum(trials * figure + records * passes * each for passes in budgets)


def _heats(samples: int) -> Iterator[int]:
    """Records of each heat."""
    heat = min(samples, max(FIRST, samples // 4))
    while heat < samples:
        yield heat
        heat = min(samples, 2 * heat)
    yield heat

"""What tuning found: settings for each budget, in tables, files and a plot.

Arrow: Trials --**Found**--> run folder, JSON, plot. Does not know: how settings are tried.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenmask.files import write_text_atomic, writing_atomically
from tokenmask.recipes import Budget
from tokenmask.run import Run
from tokenmask.run.folder import write_tuned
from tokenmask.tuning.race import Trial

HEAD = ("passes", "settings", "figure", "95 % interval", "passes taken", "ms a record")


@dataclass(frozen=True)
class Chosen:
    """The settings of a budget.

    Args:
        passes: the budget.
        trial: as they were chosen.
        reported: the same on records that had no part in the choice.
    """

    passes: int
    trial: Trial
    reported: Trial


@dataclass(frozen=True, eq=False)
class Found:
    """What tuning found.

    Args:
        run: generates by it.
        stream: that is filled.
        chosen: from the smallest budget to the largest.
        own: the settings that the run had, on the records of the report.
        usual: those that it has now where no budget is asked for, as they were chosen.
        trials: everything that was measured for the choice.
        figure: what was measured, in words.
        higher: whether more of it is better.
    """

    run: Run
    stream: str
    chosen: tuple[Chosen, ...]
    own: Trial
    usual: Trial
    trials: tuple[Trial, ...]
    figure: str
    higher: bool

    def rows(self) -> list[list[str]]:
        """Cells of a table under ``HEAD``, on the records of the report; the run's former settings come last."""
        named = [(str(one.passes), one.reported) for one in self.chosen]
        return [_row(name, trial) for name, trial in [*named, ("as it was", self.own)]]

    @property
    def told_apart(self) -> bool:
        """Whether the records of the report tell any of the settings from the former ones: their intervals part."""
        reports = [one.reported.interval for one in self.chosen if one.reported.said != self.own.said]
        own = self.own.interval
        return own is not None and any(one is not None and (one[1] < own[0] or own[1] < one[0]) for one in reports)

    def to_json(self) -> dict[str, Any]:
        """JSON values."""
        return {
            "stream": self.stream,
            "figure": self.figure,
            "better": "higher" if self.higher else "lower",
            "usual": self.usual.said,
            "as_it_was": _plain(self.own),
            "budgets": [
                {"passes": one.passes, "chosen": _plain(one.trial), "reported": _plain(one.reported)}
                for one in self.chosen
            ],
            "trials": [_plain(trial) for trial in self.trials],
        }

    def write(self) -> None:
        """Writes the settings into the run's folder, and what they were chosen by below ``tuning``."""
        folder = self.run.folder
        text = json.dumps(self.to_json(), indent=1, allow_nan=False, ensure_ascii=False)
        write_text_atomic(folder / "tuning" / f"{self.stream}.json", text + "\n")
        self.draw(folder / "tuning" / f"{self.stream}.svg")
        budgets = [Budget(one.passes, one.trial.sampler) for one in self.chosen]
        write_tuned(folder, self.stream, self.usual.sampler, budgets)

    def draw(self, path: str | Path) -> None:
        """Draws quality over time, as SVG or PNG by the ending of the path."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure

        figure = Figure(figsize=(5.2, 3.6), layout="constrained")
        FigureCanvasAgg(figure)
        panel = figure.add_subplot()
        xs, ys, _ = _points(self.trials)
        panel.plot(xs, ys, ".", color="0.75", label="tried")
        for label, trials in {"chosen": [one.reported for one in self.chosen], "as it was": [self.own]}.items():
            xs, ys, reach = _points(trials)
            panel.errorbar(xs, ys, yerr=reach, fmt="o-" if len(xs) > 1 else "s", ms=4, lw=1.2, label=label)
        better = "higher" if self.higher else "lower"
        panel.set(xlabel="milliseconds a record", ylabel=f"{self.figure} ({better} is better)")
        panel.set_xscale("log")
        panel.set_title(self.stream, fontsize=10)
        panel.legend(frameon=False, fontsize=8)
        with writing_atomically(path) as partial:
            figure.savefig(partial, format=Path(path).suffix.lstrip("."))


def _row(name: str, trial: Trial) -> list[str]:
    value = "-" if trial.value is None else f"{trial.value:.4g}"
    interval = "" if trial.interval is None else f"{trial.interval[0]:.4g} .. {trial.interval[1]:.4g}"
    return [name, trial.said, value, interval, f"{trial.passes:.3g}", f"{1000 * trial.seconds:.3g}"]


def _plain(trial: Trial) -> dict[str, Any]:
    return {
        "settings": trial.said,
        "value": trial.value,
        "interval": trial.interval and list(trial.interval),
        "passes": round(trial.passes, 4),
        "seconds": float(f"{trial.seconds:.4g}"),
        "records": trial.records,
    }


def _points(trials: Sequence[Trial]) -> tuple[list[float], list[float], list[list[float]]]:
    """Milliseconds, values, and how far intervals reach below and above, of the trials that have a value."""
    xs, ys, reach = list[float](), list[float](), [list[float](), list[float]()]
    for one in trials:
        if one.value is not None:
            low, high = one.interval or (one.value, one.value)
            xs.append(1000 * one.seconds)
            ys.append(one.value)
            reach[0].append(max(0.0, one.value - low))
            reach[1].append(max(0.0, high - one.value))
    return xs, ys, reach

"""Metrics: figures of one stream that repeat, with their sample sizes and intervals.

Does not know: which metric.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache, cached_property
from typing import Any

import torch

from tokenmask import data
from tokenmask.analysis import Figure
from tokenmask.corpus import Record
from tokenmask.evaluation import Metric
from tokenmask.evaluation.part import Part, Streams
from tokenmask.modalities.image import Image
from tokenmask.modalities.text import Text
from tokenmask.run import load
from tokenmask.sampling import Sampler
from tokenmask.testing.alike import alike, copied
from tokenmask.testing.anything import comes_back_from_a_file
from tokenmask.testing.contract import Contract, require
from tokenmask.testing.draws import global_random_state_untouched
from tokenmask.testing.world import small_model
from tokenmask.training import held_out_scores

_RECORDS, _SAMPLES = 6, 4


@dataclass(frozen=True)
class Subject:
    """What is checked: the metric, and what it measures; a few pictures and their names if None."""

    component: Metric
    own: Part | None = None

    @cached_property
    def part(self) -> Part:
        """Measured."""
        return small_part() if self.own is None else self.own

    @cached_property
    def figures(self) -> list[Figure]:
        """Measured once for all requirements that read them."""
        return list(self.component(_fresh(self.part)))

    @cached_property
    def again(self) -> _Second:
        """Measured a second time, with an eye on everything that must stay as it was."""
        part = _fresh(self.part)
        models, records = copied(dict(part.run.models)), copied([*part.train, *part.held_out])
        drew = ""
        try:
            with global_random_state_untouched():
                figures = list(self.component(part))
        except AssertionError as error:
            figures, drew = self.figures, str(error)
        return _Second(
            figures,
            drew,
            alike(models, copied(dict(part.run.models))),
            alike(records, copied([*part.train, *part.held_out])),
        )


@dataclass(frozen=True)
class _Second:
    """What a second measurement found: figures, what it drew from global generators, what it left as it was."""

    figures: list[Figure]
    drew: str
    models_stay: bool
    records_stay: bool


def _fresh(part: Part, **changes: Any) -> Part:
    """The same part before anything was generated for it."""
    return replace(part, filled={}, **changes)


@cache
def small_part() -> Part:
    """Pictures, with their names as conditions, and a small model without training; some records are held out."""
    shipped = load()
    recipe = replace(shipped.recipe, sampler=Sampler(2), samplers={})
    run = replace(shipped, recipe=recipe, models={"main": small_model(layout=shipped.layout)})
    entries = data.emoji()[: 2 * _RECORDS]
    pictures = [Image(torch.from_numpy(entry.pixels)) for entry in entries]
    records: list[Streams] = [
        {"text": run.tokenizers["text"].encode(Text(entry.name)), "image": run.tokenizers["image"].encode(picture)}
        for entry, picture in zip(entries, pictures, strict=True)
    ]
    train, held_out = records[:_RECORDS], records[_RECORDS:]
    counts = {
        name: [torch.ones(size, dtype=torch.int64) for size in spec.codebook_sizes]
        for name, spec in run.layout.streams.items()
    }
    named = [Record(str(number), one) for number, one in enumerate(held_out)]
    scores = held_out_scores(run.models["main"], recipe.packing, named, counts, draws=1)
    its = [score for score in scores if score.stream == "image"]
    return Part(run, "image", train, held_out, _SAMPLES, 0, 1, its, pictures[_RECORDS:])


def figures_say_what_they_are(subject: Subject) -> None:
    """Figures with names of their own; a number is finite and has its sample size, no number has a reason."""
    for figure in subject.figures:
        require(isinstance(figure, Figure), f"must give figures, got {type(figure).__name__}")
        require(bool(figure.name), "a figure must have a name, got none")
        if figure.value is None:
            require(bool(figure.note), f"{figure.name!r} has no value, so its note must say why, got none")
            continue
        require(math.isfinite(figure.value), f"{figure.name!r} must be a finite number or None, got {figure.value}")
        sized = figure.count > 0 and bool(figure.of)
        require(sized, f"{figure.name!r} must say on how many items of what, got {figure.count} {figure.of!r}")
    names = [figure.name for figure in subject.figures]
    require(len(set(names)) == len(names), f"figures must have names of their own, got {names}")


def intervals_hold_the_value(subject: Subject) -> None:
    """(low, high) around the value, or None for fewer than two items."""
    for figure in subject.figures:
        if figure.value is None:
            continue
        if figure.interval is None:
            require(figure.count < 2, f"{figure.name!r} must have an interval, since it has {figure.count} items")
            continue
        low, high = figure.interval
        slack = 1e-6 * (1 + abs(figure.value))
        got = f"got {low:g} to {high:g} for {figure.value:g}"
        held = low - slack <= figure.value <= high + slack
        require(held, f"the interval of {figure.name!r} must hold its value, {got}")


def repeats(subject: Subject) -> None:
    """The same part gives the same figures."""
    require(alike(subject.figures, subject.again.figures), "must give the same figures of the same part, got others")


def leaves_global_draws_alone(subject: Subject) -> None:
    """It draws from the generators of the part."""
    require(not subject.again.drew, subject.again.drew)


def leaves_the_run_alone(subject: Subject) -> None:
    """Measuring changes no weight and no record."""
    require(subject.again.models_stay, "must not change the weights of the run")
    require(subject.again.records_stay, "must not change the records")


def measures_nothing_of_nothing(subject: Subject) -> None:
    """Without records or media there are no numbers, and it says so rather than fails."""
    found = subject.component(_fresh(subject.part, train=[], held_out=[], scores=[], media=[]))
    wrong = [figure.name for figure in found if figure.value is not None]
    require(not wrong, f"must have no numbers of a part without records, got {', '.join(wrong)}")


def is_made_without_arguments(subject: Subject) -> None:
    """An entry point names its class."""
    try:
        type(subject.component)()
    except TypeError as error:
        raise AssertionError(
            f"must be made without arguments, since an entry point names its class, got: {error}"
        ) from error


def _subject(metric: Metric, *, part: Part | None = None) -> Subject:
    return Subject(metric, part)


METRICS = Contract(
    "metric",
    Metric,
    (
        figures_say_what_they_are,
        intervals_hold_the_value,
        repeats,
        leaves_global_draws_alone,
        leaves_the_run_alone,
        measures_nothing_of_nothing,
        is_made_without_arguments,
        comes_back_from_a_file,
    ),
    _subject,
)


def check_metric(metric: Metric, *, part: Part | None = None) -> list[str]:
    """Runs every check of a metric; see :meth:`Contract.check` for what it returns and raises.

    Args:
        metric: any.
        part: what it measures; a few pictures and their names if None.
    """
    return METRICS.check(metric, part=part)

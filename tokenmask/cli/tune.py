"""``tokenmask tune``: the settings that fill a stream best, found by measuring and written into the run."""

from __future__ import annotations

import argparse
import sys

from tokenmask.cli.show import say, table
from tokenmask.components import component
from tokenmask.evaluation.metric import Metric
from tokenmask.run import Run
from tokenmask.tuning import tune as tune_run
from tokenmask.tuning.found import HEAD, Found
from tokenmask.tuning.space import OWN


def tune(arguments: argparse.Namespace) -> int:
    """Finds, shows and writes them."""
    metric = None
    if arguments.metric:
        home = "tokenmask.evaluation.metrics"
        path = arguments.metric if "." in arguments.metric else f"{home}.{arguments.metric}"
        metric = component({"class_path": path}, Metric, home)  # type: ignore[type-abstract]
    found = tune_run(
        Run.load(arguments.run),
        arguments.stream,
        budgets=arguments.budgets,
        candidates=arguments.candidates,
        samples=arguments.samples,
        metric=metric,
        figure=arguments.figure or "",
        higher=arguments.higher,
        seed=arguments.seed,
        write=not arguments.dry,
        say=_waiting,
    )
    table(HEAD, found.rows())
    say(f"On records that had no part in the choice. Where no budget is asked for: {_usual(found)}.")
    if not found.told_apart:
        say(too_few(found.own.records, arguments.samples))
    if not arguments.dry:
        folder = found.run.folder
        say(f"\nsaved: {folder}/tuned.yaml, {folder}/tuning/{found.stream}.json and .svg")
    return 0


def too_few(records: int, asked: int) -> str:
    """What to do where so many records tell nothing apart; fewer than were asked for are all that there are."""
    more = "train with more held-out ones" if records < asked else "ask for more"
    return f"{records} records do not tell any of them from what was: the intervals overlap; {more}."


def _usual(found: Found) -> str:
    if found.usual.sampler == found.own.sampler:
        return f"{OWN}; nothing cheaper was as good on both halves"
    return f"{found.usual.said}, in {found.usual.passes:.3g} passes"


def _waiting(text: str) -> None:
    sys.stderr.write(f"{text} ...\n")
    sys.stderr.flush()

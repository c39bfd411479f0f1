"""``tokenmask study``: a page of variants, measured alike, as table, plot and JSON."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from pathlib import Path

from tokenmask.cli.show import say, table
from tokenmask.files import write_text_atomic
from tokenmask.run import SHIPPED, Run
from tokenmask.studies import Results, read_study, run_study

_PAGE = """\
about: how many steps {stream} needs, and in which order
kind: sample
run: {run}
stream: {stream}
{data}axes:  # their product is compared; fields are those of the sampler, see `tokenmask recipes NAME`
  order:
    confident: {{order: {{class_path: ConfidenceScore, init_args: {{noise: 1.0}}}}}}
    random: {{order: {{class_path: RandomScore}}}}
  steps: {{2: {{steps: 2}}, 8: {{steps: 8}}}}
metrics: [Generated]  # of tokenmask.evaluation.metrics, or a class path
figures: [Fréchet, diversity, seconds]
samples: 32
seeds: 1  # three or more give intervals over seeds
claims:
  - {{says: more steps help, lower: "confident, steps 8", than: "confident, steps 2"}}
"""


def study(arguments: argparse.Namespace) -> int:
    """Measures what is not measured yet, prints the table and what became of the claims; or writes a first page."""
    if arguments.new:
        return _begin(arguments)
    read = read_study(arguments.file)
    work = Path(arguments.work or Path("runs") / "studies" / read.name)
    out = Path(arguments.out or work)
    results = run_study(read, work, out, _waiting)
    show(results)
    say(f"\nsaved: {out / read.name}.json, {out / read.name}.svg")
    return 0


def _begin(arguments: argparse.Namespace) -> int:
    run, path = Run.load(SHIPPED if arguments.new == "shipped" else arguments.new), Path(arguments.file)
    name = arguments.stream or next(iter(run.tokenizers))
    run.inputs.check(name)
    if path.exists() and not arguments.force:
        raise ValueError(f"{path} exists; choose another name, or add --force")
    data = "" if run.corpora else _data(name)
    write_text_atomic(path, _PAGE.format(run=json.dumps(str(arguments.new)), stream=json.dumps(name), data=data))
    say(f"saved: {path}; change it as you like, then run `tokenmask study {shlex.quote(str(path))}`")
    return 0


def _data(stream: str) -> str:
    """The line of a run without data of its own: a set that ships and holds the stream, if there is one."""
    from tokenmask.demo import items  # late: it reads media

    held = [name for name, records in items.corpora().items() if stream in records[0].media]
    named = f"set: {held[0]}" if held else "corpus: FOLDER"
    return f"data: {{{named}}}  # whose held-out records it is compared with; the run itself has none\n"


def show(results: Results) -> None:
    """The table of a study, with its claims."""
    study = results.study
    say(f"{study.name}: {study.about}")
    head, rows = results.table()
    table(head, rows)
    seeds = len(study.seeds)
    over = f"over {seeds} seeds" if seeds >= 3 else "of each figure over its items"
    say(f"In brackets: 95 % intervals {over}.")
    for verdict in results.verdicts:
        say(f"{verdict.verdict}: {verdict.says} ({verdict.numbers})")
    if study.note:
        say(study.note)


def _waiting(text: str) -> None:
    sys.stderr.write(f"{text} ...\n")
    sys.stderr.flush()

"""``tokenmask evaluate``: what a run is worth, in tables with sample sizes and intervals."""

from __future__ import annotations

import argparse
import json
import math
import sys
from collections.abc import Sequence

from tokenmask.analysis.figures import FILE, HEAD
from tokenmask.cli.asked import asked_of_data
from tokenmask.cli.learning import read_report
from tokenmask.cli.report import media_of
from tokenmask.cli.show import figures, say, table
from tokenmask.evaluation import QUICK_SAMPLES, SAMPLES
from tokenmask.evaluation import evaluate as evaluate_run
from tokenmask.files import write_text_atomic
from tokenmask.run import Run
from tokenmask.training import StreamScore

_BITS = 1 / math.log(2)


def evaluate(arguments: argparse.Namespace) -> int:
    """Prints and saves held-out scores, and a table of figures for each stream."""
    from tokenmask.demo.showing import held_out_media

    run = Run.load(arguments.run)
    wanted = asked_of_data(arguments)
    media = media_of(run, arguments.data, wanted) if arguments.data else held_out_media(run)
    draws = arguments.draws or (1 if arguments.quick else 4)
    samples = QUICK_SAMPLES if arguments.quick else SAMPLES
    found = evaluate_run(run, media=media, samples=samples, draws=draws, seed=arguments.seed, say=_waiting)
    head = ["stream", "level", "in records of", "given", "nats", "bits", "unigram nats", "unigram bits"]
    table([*head, "margin nats", "gain nats", "codes", "records"], [_row(score) for score in found.scores])
    say(
        "Masked cross-entropy a hidden code, on held-out records, beside a unigram of the training codes on the same "
        "codes; margin: unigram less model; gain: model without what is given less model with it; both are means over "
        "records +- their standard error."
    )
    for stream in found.streams:
        say(f"\n{stream.stream} ({stream.modality})")
        table(HEAD, [figure.row() for figure in stream.figures])
        if stream.features:
            say(f"distances in: {stream.features}")
    tokenizers = {name: read_report(run.folder / "tokenizers" / name) for name in run.tokenizers}
    for name, kept in tokenizers.items():
        if kept is not None:
            say(f"\ntokenizer of {name}, when it was fitted:")
            figures(kept["figures"], f"{kept['held_out_items']} held-out items")
    path = run.folder / FILE
    values = {**found.to_json(), "tokenizers": {name: kept for name, kept in tokenizers.items() if kept is not None}}
    write_text_atomic(path, json.dumps(values, indent=2, allow_nan=False) + "\n")
    say(f"\nsaved: {path}")
    return 0


def _waiting(text: str) -> None:
    sys.stderr.write(f"{text} ...\n")
    sys.stderr.flush()


def _row(score: StreamScore) -> Sequence[str]:
    gain = "-" if score.gain is None else f"{score.gain:.3f} +- {score.gain_error:.3f}"
    return [
        score.stream,
        str(score.level),
        " + ".join(score.record),
        ", ".join(score.given) or "-",
        f"{score.cross_entropy:.3f}",
        f"{score.cross_entropy * _BITS:.3f}",
        f"{score.unigram:.3f}",
        f"{score.unigram * _BITS:.3f}",
        f"{score.margin:.3f} +- {score.margin_error:.3f}",
        gain,
        str(score.num_codes),
        str(score.num_records),
    ]

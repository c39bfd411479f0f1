"""Evaluation of a run: a table for each stream, every number with its sample size and interval.

Arrow: Run + media --**evaluate**--> Evaluation. Does not know: how a figure is computed (``tokenmask.analysis``), where
media come from. ``metrics/`` holds a kind of figure a file, ``part.py`` is what they are measured on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tokenmask.analysis.figures import Evaluation, StreamFigures
from tokenmask.evaluation.metric import Metric as Metric
from tokenmask.evaluation.metric import installed_metrics
from tokenmask.evaluation.metrics import METRICS
from tokenmask.evaluation.part import Part as Part
from tokenmask.evaluation.part import part_of, records_of
from tokenmask.run import Run

SAMPLES, QUICK_SAMPLES = 64, 16


def evaluate(
    run: Run,
    *,
    media: Mapping[str, Sequence[Any]] | None = None,
    samples: int = SAMPLES,
    draws: int = 4,
    seed: int = 0,
    metrics: Sequence[Metric] | None = None,
    say: Callable[[str], None] | None = None,
) -> Evaluation:
    """Measures a run on the held-out records of its corpora.

    For each stream: bits a hidden code and a second; the Fréchet distance of generated streams to held-out ones, beside
    that of training streams; the diversity of what is generated, beside that of data; how well conditions are met,
    by the rank of the own condition, by a class probe and, for spoken digits, by a recogniser; and how well the
    tokenizer gives media back.

    Args:
        run: with corpora.
        media: stream name -> held-out media, for the figures of tokenizers.
        samples: streams to generate for each figure, at most.
        draws: masks of each held-out record.
        seed: of masks, samples and resamples.
        metrics: what is measured; those of tokenmask, then those of installed packages if None.
        say: is told what is being done.

    Raises:
        ValueError: the run has no corpora or no held-out records.
    """
    chosen = [*METRICS, *installed_metrics()] if metrics is None else metrics
    tell = say or (lambda _: None)
    tell("scoring held-out records")
    scores = run.held_out_scores(draws=draws, seed=seed)
    records = records_of(run)
    tables = []
    for name in run.layout.names:
        tell(f"generating and judging {name}")
        its = [score for score in scores if score.stream == name]
        shown = (media or {}).get(name, ())
        part = part_of(run, name, records, samples=samples, seed=seed, draws=min(draws, 2), scores=its, media=shown)
        figures = [figure for metric in chosen for figure in metric(part)]
        spec = run.layout.streams[name]
        tables.append(StreamFigures(name, spec.modality, part.compared_in, tuple(figures)))
    about = {"draws": draws, "seed": seed, "samples": samples}
    return Evaluation(tuple(tables), tuple(scores), about)

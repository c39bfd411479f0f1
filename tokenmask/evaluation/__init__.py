"""Evaluation of a run: a table for each stream, every number with its sample size and interval.

Arrow: Run + media --**evaluate**--> Evaluation. Does not know: how a figure is computed (``tokenmask.analysis``), where
media come from. ``metrics/`` holds a kind of figure a file, ``part.py`` is what they are measured on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tokenmask.analysis.figures import Evaluation, StreamFigures
from tokenmask.corpus import HELD_OUT, TRAIN
from tokenmask.evaluation.metric import Metric as Metric
from tokenmask.evaluation.metric import installed_metrics
from tokenmask.evaluation.metrics import METRICS
from tokenmask.evaluation.part import Part, Streams
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
    records = {split: [_fitted(run, one.streams) for one in run.records(split)] for split in (TRAIN, HELD_OUT)}
    tables = []
    for name in run.layout.names:
        tell(f"generating and judging {name}")
        own = {split: [one for one in found if _usable(one, name)] for split, found in records.items()}
        its = [score for score in scores if score.stream == name]
        shown = (media or {}).get(name, ())
        part = Part(run, name, own[TRAIN], own[HELD_OUT], samples, seed, min(draws, 2), its, shown)
        figures = [figure for metric in chosen for figure in metric(part)]
        spec = run.layout.streams[name]
        tables.append(StreamFigures(name, spec.modality, part.compared_in, tuple(figures)))
    about = {"draws": draws, "seed": seed, "samples": samples}
    return Evaluation(tuple(tables), tuple(scores), about)


def _fitted(run: Run, streams: Streams) -> Streams:
    """The streams of a record, cut to what the model takes."""
    return run.layout.unpack(run.recipe.packing(run.layout, streams))


def _usable(streams: Streams, name: str) -> bool:
    return name in streams and streams[name].codes.numel() > 0

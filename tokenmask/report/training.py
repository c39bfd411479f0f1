"""Sections about learning: loss curves from the metrics of a run, and scores on held-out records."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

from tokenmask.fitting import METRICS_FILE
from tokenmask.report.charts import Line, line_chart
from tokenmask.report.page import Section, figure, grid, note, table
from tokenmask.run import Run
from tokenmask.training import StreamScore

BITS = 1 / math.log(2)
_MOST_LEVELS = 8  # lines of a chart
_SMOOTHED = 30  # a mean over this part of the steps


def training_section(run: Run) -> Section | None:
    """A chart for each stream, a line for each level; None if the folder keeps no metrics."""
    steps = read_metrics(run.folder / METRICS_FILE)
    charts = []
    for name in run.layout.names:
        lines = _lines(run, name, steps)
        if lines:
            last = ", ".join(f"{line.name} {line.up[-1]:.2f}".strip() for line in lines)
            label = f"training loss of {name} over {len(steps)} steps; at the end {last} bits a code"
            drawn = line_chart(lines, across="step", up="bits a hidden code", label=label)
            charts.append(figure(drawn, f"{name}; codebooks of {_sizes(run, name)}"))
    if not charts:
        return None
    lead = (
        "Masked cross-entropy of the training batches, a running mean. A code that is guessed blindly costs log2 of "
        "the size of its codebook."
    )
    return Section("Training", lead, grid(charts, "charts"))


def held_out_section(scores: Sequence[StreamScore]) -> Section | None:
    """A table of :class:`StreamScore`, in bits."""
    if not scores:
        return None
    head = ["stream", "level", "given", "bits a code", "unigram", "saved", "given brings", "records"]
    rows = [
        [
            score.stream,
            str(score.level + 1),
            ", ".join(score.given) or "nothing",
            f"{score.cross_entropy * BITS:.2f}",
            f"{score.unigram * BITS:.2f}",
            plus_minus(score.margin, score.margin_error),
            "" if score.gain is None or score.gain_error is None else plus_minus(score.gain, score.gain_error),
            f"{score.num_records:,}",
        ]
        for score in scores
    ]
    lead = (
        "Cross-entropy of hidden codes of records that were never trained on, coarse levels first, beside a unigram of "
        "the training codes on the same codes."
    )
    below = note(
        "Saved: bits a code less than the unigram, mean over records \u00b1 its standard error; below zero the model "
        "is worse. Given brings: bits a code less than without what is given."
    )
    whole = table(head, rows, "Masked cross-entropy by stream and level")
    folded = f"<details><summary>Every level, {len(rows)} rows</summary>{whole}{below}</details>"
    return Section("Held-out scores", lead, table(*_by_stream(scores), "Means over the levels of a stream") + folded)


def _by_stream(scores: Sequence[StreamScore]) -> tuple[list[str], list[list[str]]]:
    """Head and rows of a table with the mean over the levels of each stream and what is given."""
    groups: dict[tuple[str, tuple[str, ...], tuple[str, ...]], list[StreamScore]] = {}
    for score in scores:
        groups.setdefault((score.stream, score.record, score.given), []).append(score)
    rows = []
    for (stream, record, given), levels in groups.items():
        means = [
            sum(values) / len(levels) * BITS
            for values in zip(*((one.cross_entropy, one.unigram) for one in levels), strict=True)
        ]
        gains = [one.gain for one in levels if one.gain is not None]
        gain = f"{sum(gains) / len(gains) * BITS:+.2f}" if gains else ""
        given_words = ", ".join(given) or ("nothing" if len(record) > 1 else "nothing; it stands alone")
        rows.append(
            [
                *(stream, given_words, f"{means[0]:.2f}", f"{means[1]:.2f}", f"{means[1] - means[0]:+.2f}", gain),
                f"{max(one.num_records for one in levels):,}",
            ]
        )
    return ["stream", "given", "bits a code", "unigram", "saved", "given brings", "records"], rows


def plus_minus(nats: float, error: float) -> str:
    """A mean and its standard error, nats in, bits out."""
    return f"{nats * BITS:+.2f} \u00b1 {error * BITS:.2f}" if math.isfinite(error) else f"{nats * BITS:+.2f}"


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The steps of a metrics file; a last line that was cut short by a kill is left out."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
    return [json.loads(line) for line in lines if line]


def _lines(run: Run, name: str, steps: Sequence[dict[str, float]]) -> list[Line]:
    spec = run.layout.streams[name]
    if spec.num_levels == 1:
        keys = {"": [f"{name}/nats"]}
    elif spec.num_levels <= _MOST_LEVELS:
        keys = {f"level {level + 1}": [f"{name}.{level}/nats"] for level in range(spec.num_levels)}
    else:
        depth = max(map(len, spec.level_groups))
        keys = {
            f"level {at + 1}, mean of {len(spec.level_groups)} groups": [
                f"{name}.{group[at]}/nats" for group in spec.level_groups if at < len(group)
            ]
            for at in range(depth)
        }
    lines = []
    for colour, (title, wanted) in enumerate(keys.items(), 1):
        points = []
        for number, step in enumerate(steps):
            found = [step[key] for key in wanted if key in step]
            if found:
                points.append((float(step.get("step", number)), sum(found) / len(found) * BITS))
        if points:
            across, up = zip(*points, strict=True)
            lines.append(Line(title, across, _smooth(up, max(1, len(up) // _SMOOTHED)), colour))
    return lines


def _smooth(values: Sequence[float], window: int) -> list[float]:
    """Mean of the values up to ``window`` before and after each."""
    total = [0.0]
    for value in values:
        total.append(total[-1] + value)
    ends = [(max(0, at - window), min(len(values), at + window + 1)) for at in range(len(values))]
    return [(total[end] - total[start]) / (end - start) for start, end in ends]


def _sizes(run: Run, name: str) -> str:
    sizes = run.layout.streams[name].codebook_sizes
    same = len(set(sizes)) == 1
    return escape(f"{sizes[0]:,}" if same else ", ".join(f"{size:,}" for size in sizes))

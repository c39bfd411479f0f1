"""Plot of a study, as SVG or PNG: figures over the last axis, a line for each entry of the others.

Arrow: Results --**draw_plot**--> file. Does not know: how anything was measured.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tokenmask.files import writing_atomically
from tokenmask.studies.results import Results, Row
from tokenmask.studies.study import Study, Variant, is_number

INCH = (4.6, 3.4)  # of a panel
_MOST_PANELS = 3


def draw_plot(results: Results, path: str | Path) -> None:
    """Draws the first figures that tables show, a panel each; the ending of the path says the format."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = results.shown[:_MOST_PANELS]
    with rc_context({"svg.hashsalt": "tokenmask", "svg.fonttype": "none"}):
        figure = Figure(figsize=(INCH[0] * len(shown), INCH[1]), layout="constrained")
        FigureCanvasAgg(figure)
        lines = _lines(results.study)
        for panel, name in zip(figure.subplots(1, len(shown), squeeze=False)[0], shown, strict=True):
            _draw_panel(panel, results, name, lines)
        with writing_atomically(path) as partial:
            format = Path(path).suffix.lstrip(".")
            figure.savefig(partial, format=format, metadata={"Date": None} if format == "svg" else None)


def _lines(study: Study) -> dict[str, list[Variant]]:
    """Variants of one line of the plot: those that differ on the last axis alone; without axes all are one."""
    lines: dict[str, list[Variant]] = {}
    for variant in study.variants:
        lines.setdefault(", ".join(variant.places[:-1]), []).append(variant)
    return lines


def _draw_panel(panel: Any, results: Results, name: str, lines: dict[str, list[Variant]]) -> None:
    labels = [variant.places[-1] if variant.places else variant.name for variant in next(iter(lines.values()))]
    places = _numbers(labels) if results.study.axes else None
    for shift, (line, variants) in enumerate(lines.items()):
        rows = [results.row(variant.name, name) for variant in variants]
        at = [float(number) for number in range(len(rows))] if places is None else places
        known = [(x, row) for x, row in zip(at, rows, strict=True) if row is not None and row.value is not None]
        beside = (shift - (len(lines) - 1) / 2) * 0.06 if places is None else 0.0
        xs = [x + beside for x, _ in known]
        joined = "-" if places is not None else ""
        values = [row.value for _, row in known]
        panel.errorbar(xs, values, yerr=_reach([row for _, row in known]), fmt=f"o{joined}", ms=3, lw=1.2, label=line)
    if places is None:
        panel.set_xticks(range(len(labels)), labels, rotation=20 if len(labels) > 2 else 0, fontsize=8)
    elif min(places) > 0 and max(places) / min(places) >= 8:
        panel.set_xscale("log", base=2)
        panel.set_xticks(places, labels)
        panel.minorticks_off()
    panel.set_ylabel(name, fontsize=9)
    if results.study.axes:
        panel.set_xlabel(results.study.axes[-1], fontsize=9)
    if len(lines) > 1:
        panel.legend(frameon=False, fontsize=8)


def _reach(rows: Sequence[Row]) -> list[list[float]]:
    """How far each interval reaches below and above its value, not below zero."""
    ends = [(row.value or 0.0, row.interval or (row.value or 0.0,) * 2) for row in rows]
    return [[max(0.0, value - low) for value, (low, _) in ends], [max(0.0, high - value) for value, (_, high) in ends]]


def _numbers(labels: Sequence[str]) -> list[float] | None:
    return [float(label) for label in labels] if all(map(is_number, labels)) else None

"""Line charts as inline SVG: they take the page's colours, in light and dark, and stay sharp at any width.

Does not know: runs, media, sections.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

_WIDTH, _HEIGHT = 360.0, 210.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 40.0, 8.0, 10.0, 34.0
_POINTS = 240  # of a line; longer ones are averaged


@dataclass(frozen=True)
class Line:
    """A line of a chart.

    Args:
        name: in the legend.
        across, up: coordinates, equally many, finite.
        colour: number of a colour of the page, from 1 to 8.
        dashed: drawn so.
    """

    name: str
    across: Sequence[float]
    up: Sequence[float]
    colour: int = 1
    dashed: bool = False


def line_chart(lines: Sequence[Line], *, across: str, up: str, label: str, unit: str = "") -> str:
    """A chart with ticks, names of both axes and, for several lines, a legend.

    Args:
        lines: at least one, each with a point at least.
        across, up: names of the axes.
        label: what a reader who does not see it is told.
        unit: behind the largest number across.
    """
    shown = [_thinned(line) for line in lines]
    xs = [x for line in shown for x in line.across]
    ys = [y for line in shown for y in line.up]
    x_low, x_high = min(xs), max(xs)
    x_high = x_high if x_high > x_low else x_low + 1
    ticks = _ticks(min(ys), max(ys))
    y_low, y_high = ticks[0], ticks[-1]

    def place(x: float, y: float) -> tuple[float, float]:
        right = _LEFT + (x - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT)
        down = _TOP + (y_high - y) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM)
        return right, down

    parts = []
    for tick in ticks:
        _, down = place(x_low, tick)
        parts.append(f'<line class="rule" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{down:.1f}" y2="{down:.1f}"/>')
        parts.append(f'<text class="tick end" x="{_LEFT - 6}" y="{down + 4:.1f}">{tick:g}</text>')
    bottom = _HEIGHT - _BOTTOM + 15
    parts.append(f'<text class="tick" x="{_LEFT}" y="{bottom}">{x_low:g}</text>')
    parts.append(f'<text class="tick end" x="{_WIDTH - _RIGHT}" y="{bottom}">{x_high:g}{escape(unit)}</text>')
    parts.append(f'<text class="tick middle" x="{(_LEFT + _WIDTH) / 2}" y="{_HEIGHT - 5}">{escape(across)}</text>')
    for line in shown:
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in map(place, line.across, line.up))
        dash = " dashed" if line.dashed else ""
        parts.append(f'<polyline class="line c{line.colour}{dash}" points="{points}"/>')
    return _with_legend(_svg(parts, _WIDTH, _HEIGHT, label), lines, up)


def traces(
    groups: Sequence[tuple[str, Sequence[Sequence[float]]]],
    names: Sequence[str],
    seconds: float,
    unit: str,
    label: str,
    spans: Sequence[tuple[float, ...]] = (),
) -> str:
    """Rows of samples under each other; the rows of several groups are laid over each other.

    Args:
        groups: (name, row -> samples) of each, all with the rows ``names``.
        names: of the rows.
        seconds: length.
        unit: of the samples, for the note about the scale.
        label: as in :func:`line_chart`.
        spans: (start, end) in seconds that are shaded.
    """
    step, height = 20.0, 20.0 * len(names) + 34
    deviations = sorted(_deviation(row) for row in groups[0][1])
    spacing = max(4 * deviations[len(deviations) // 2], 1e-6)
    across = _WIDTH - _LEFT - _RIGHT
    parts = [
        f'<rect class="span" x="{_LEFT + across * start / seconds:.1f}" y="4" '
        f'width="{across * (end - start) / seconds:.1f}" height="{step * len(names) + 6:g}"/>'
        for start, end in spans
    ]
    for number, name in enumerate(names):
        middle = 16 + step * number
        parts.append(f'<text class="tick end" x="{_LEFT - 6}" y="{middle + 4:.1f}">{escape(name)}</text>')
        parts.append(f'<line class="rule" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{middle}" y2="{middle}"/>')
    for colour, (_, rows) in enumerate(groups, 1):
        for number, row in enumerate(rows):
            middle, values = 16 + step * number, _averaged(row, _POINTS)
            width = across / max(len(values) - 1, 1)
            points = " ".join(
                f"{_LEFT + width * at:.1f},{middle - step * max(-1.4, min(1.4, value / spacing)):.1f}"
                for at, value in enumerate(values)
            )
            parts.append(f'<polyline class="line thin c{colour}" points="{points}"/>')
    parts.append(f'<text class="tick" x="{_LEFT}" y="{height - 6}">0</text>')
    parts.append(f'<text class="tick end" x="{_WIDTH - _RIGHT}" y="{height - 6}">{seconds:g} s</text>')
    drawn = _svg(parts, _WIDTH, height, label)
    named = [Line(name, (0.0,), (0.0,), colour) for colour, (name, _) in enumerate(groups, 1)]
    return _with_legend(drawn, named, f"rows {spacing:.3g} {unit} apart")


def bar(share: float, label: str) -> str:
    """A horizontal bar of 0..1."""
    width = 100 * max(0.0, min(1.0, share))
    spoken = escape(label, quote=True)
    return f'<span class="bar" role="img" aria-label="{spoken}"><span style="width:{width:.1f}%"></span></span>'


def _svg(parts: Sequence[str], width: float, height: float, label: str) -> str:
    spoken = escape(label, quote=True)
    return f'<svg viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{spoken}">{"".join(parts)}</svg>'


def _with_legend(drawn: str, lines: Sequence[Line], up: str) -> str:
    keys = "".join(
        f'<span class="key"><i class="c{line.colour}{" dashed" if line.dashed else ""}"></i>{escape(line.name)}</span>'
        for line in lines
        if line.name
    )
    return f'<div class="chart"><div class="legend"><span>{escape(up)}</span>{keys}</div>{drawn}</div>'


def _ticks(low: float, high: float) -> list[float]:
    """Three to six round numbers that enclose a range."""
    span = high - low
    if span <= max(abs(low), abs(high), 1e-9) * 1e-6:
        low, span = low - 0.5, 1.0
        high = low + span
    rough = span / 4
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * factor for factor in (1, 2, 2.5, 5, 10) if power * factor >= rough * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * number, 10) for number in range(first, last + 1)]


def _thinned(line: Line) -> Line:
    return Line(line.name, _averaged(line.across, _POINTS), _averaged(line.up, _POINTS), line.colour, line.dashed)


def _averaged(values: Sequence[float], at_most: int) -> list[float]:
    """Means of runs of neighbours, ``at_most`` of them."""
    count = len(values)
    if count <= at_most:
        return list(values)
    edges = [count * number // at_most for number in range(at_most + 1)]
    return [sum(values[start:end]) / (end - start) for start, end in itertools.pairwise(edges)]


def _deviation(row: Sequence[float]) -> float:
    mean = sum(row) / len(row)
    return math.sqrt(sum((value - mean) ** 2 for value in row) / len(row))

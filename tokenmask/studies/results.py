"""Results of a study: figures of all seeds together, and what became of its claims.

Arrow: cells --**results_of**--> Results --> JSON, table, plot. Does not know: how a cell was measured.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from tokenmask.analysis.figures import Figure
from tokenmask.analysis.intervals import seeds_interval
from tokenmask.studies.study import Claim, Study

SHOWN, NOT_SHOWN, CONTRADICTED = "shown", "not shown", "contradicted"
Interval = tuple[float, float]


@dataclass(frozen=True)
class Row:
    """One figure of one variant.

    Args:
        variant: its name.
        figure: its name.
        value: mean over seeds; None if no seed has one.
        interval: 95 %: over seeds (Student's t) where there are three, else that of the figure over its items.
        by_seed: the value of each seed.
        of: what the interval is over, in words.
        beside: what it is compared with, of the first seed.
    """

    variant: str
    figure: str
    value: float | None
    interval: Interval | None
    by_seed: tuple[float | None, ...]
    of: str
    beside: str = ""


@dataclass(frozen=True)
class Verdict:
    """What became of a claim.

    Args:
        says: the claim.
        verdict: "shown", "not shown" (the interval does not decide) or "contradicted".
        numbers: the values that were compared, in words.
    """

    says: str
    verdict: str
    numbers: str


@dataclass(frozen=True)
class Results:
    """What a study found.

    Args:
        study: of which.
        rows: of every variant and figure.
        verdicts: of every claim.
    """

    study: Study
    rows: tuple[Row, ...]
    verdicts: tuple[Verdict, ...]

    @property
    def shown(self) -> list[str]:
        """Names of the figures that tables show, as they were measured."""
        names = list(dict.fromkeys(row.figure for row in self.rows))
        wanted = self.study.figures or names[:1]
        found = [next((name for name in names if _is(name, one)), None) for one in wanted]
        lost = [one for one, name in zip(wanted, found, strict=True) if name is None]
        if lost:
            raise ValueError(f"figures must name what was measured ({'; '.join(names)}), got {lost[0]!r}; correct it")
        return [name for name in found if name is not None]

    def row(self, variant: str, figure: str) -> Row | None:
        """The row of a figure of a variant."""
        return next((row for row in self.rows if row.variant == variant and row.figure == figure), None)

    def table(self) -> tuple[list[str], list[list[str]]]:
        """Head and rows of words: a variant a row, a figure a column, with its interval."""
        shown = self.shown
        lines = []
        for variant in self.study.variants:
            lines.append([variant.name, *(_cell(self.row(variant.name, figure)) for figure in shown)])
        return ["variant", *shown], lines

    def to_json(self) -> dict[str, Any]:
        """JSON values; what is not finite is null."""
        study = self.study
        return {
            "study": study.name,
            "about": study.about,
            "recipe": study.recipe,
            "kind": study.kind,
            "note": study.note,
            "samples": study.samples,
            "seeds": list(study.seeds),
            "shown": self.shown,
            "claims": [asdict(one) for one in self.verdicts],
            "rows": [asdict(row) for row in self.rows],
        }


def results_of(study: Study, cells: Mapping[tuple[str, int], Sequence[Figure]]) -> Results:
    """The results of all cells.

    Args:
        study: of which.
        cells: (name of the variant, seed) -> its figures, of every cell.
    """
    rows = []
    for variant in study.variants:
        found: dict[str, list[Figure]] = {}
        for seed in study.seeds:
            for figure in cells[variant.name, seed]:
                found.setdefault(figure.name, []).append(figure)
        rows += [_row(variant.name, name, figures) for name, figures in found.items()]
    results = Results(study, tuple(rows), ())
    return Results(study, results.rows, tuple(_verdict(results, claim) for claim in study.claims))


def _row(variant: str, name: str, figures: Sequence[Figure]) -> Row:
    values = tuple(_finite(figure.value) for figure in figures)
    known = np.array([value for value in values if value is not None])
    if not len(known):
        return Row(variant, name, None, None, values, "", figures[0].note)
    interval, of = seeds_interval(known), f"{len(known)} seeds"
    if interval is None:
        ends = [figure.interval for figure in figures if figure.interval is not None]
        interval = (min(low for low, _ in ends), max(high for _, high in ends)) if ends else None
        of = f"{figures[0].count:,} {figures[0].of}"
    return Row(variant, name, float(known.mean()), interval, values, of, figures[0].beside)


def _verdict(results: Results, claim: Claim) -> Verdict:
    figure = next((name for name in _names(results) if _is(name, claim.figure)), None) if claim.figure else None
    if claim.figure and figure is None:
        names = "; ".join(_names(results))
        raise ValueError(f"a claim must name a figure that was measured ({names}), got {claim.figure!r}; correct it")
    name = figure or results.shown[0]
    one = results.row(claim.variant, name)
    other = results.row(claim.than, name) if isinstance(claim.than, str) else None
    if one is None or one.value is None or (isinstance(claim.than, str) and (other is None or other.value is None)):
        return Verdict(claim.says, NOT_SHOWN, f"{name} was not measured")
    low, high = _difference(one, other if other is not None else float(claim.than))
    told = f"{name}: {_cell(one)} and {_cell(other) if other is not None else f'{float(claim.than):.4g}'}"
    if claim.is_ == "alike":
        inside = -claim.within <= low and high <= claim.within
        outside = high < -claim.within or low > claim.within
        return Verdict(claim.says, SHOWN if inside else CONTRADICTED if outside else NOT_SHOWN, told)
    right, wrong = (high < 0, low > 0) if claim.is_ == "lower" else (low > 0, high < 0)
    return Verdict(claim.says, SHOWN if right else CONTRADICTED if wrong else NOT_SHOWN, told)


def _difference(one: Row, other: Row | float) -> Interval:
    """Where one value less another lies: seed by seed where there are three seeds, else by both intervals."""
    beside = other.by_seed if isinstance(other, Row) else (other,) * len(one.by_seed)
    pairs = [a - b for a, b in zip(one.by_seed, beside, strict=True) if a is not None and b is not None]
    over_seeds = seeds_interval(np.array(pairs))
    if over_seeds is not None:
        return over_seeds
    low, high = _ends(one)
    least, most = _ends(other) if isinstance(other, Row) else (other, other)
    return low - most, high - least


def _ends(row: Row) -> Interval:
    assert row.value is not None
    return row.interval or (row.value, row.value)


def _names(results: Results) -> list[str]:
    return list(dict.fromkeys(row.figure for row in results.rows))


def _is(name: str, wanted: str) -> bool:
    return name.startswith(wanted)


def _cell(row: Row | None) -> str:
    if row is None or row.value is None:
        return "-"
    return f"{row.value:.4g}" + (f" ({row.interval[0]:.3g} .. {row.interval[1]:.3g})" if row.interval else "")


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None

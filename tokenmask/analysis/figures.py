"""Figures with their sample sizes and intervals, in tables that print and save.

Does not know: how figures are measured.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tokenmask.files import write_text_atomic
from tokenmask.training import StreamScore

FILE = "evaluation.json"


@dataclass(frozen=True)
class Figure:
    """A number, or the reason why there is none.

    Args:
        name: what it says.
        value: None if it could not be measured.
        interval: 95 %, (low, high); None for fewer than two items.
        count: items it was measured on.
        of: what the items are, for example "held-out records".
        beside: what it is compared with, in words and numbers.
        note: the reason, or how it was measured where that is not plain.
    """

    name: str
    value: float | None
    interval: tuple[float, float] | None = None
    count: int = 0
    of: str = ""
    beside: str = ""
    note: str = ""

    def row(self) -> list[str]:
        """Cells of a table: name, value, interval, sample size, what it is compared with."""
        if self.value is None:
            return [self.name, "-", "", "", self.note]
        interval = "" if self.interval is None else f"{self.interval[0]:.4g} .. {self.interval[1]:.4g}"
        beside = "; ".join(filter(None, (self.beside, self.note)))
        return [self.name, f"{self.value:.4g}", interval, f"{self.count:,} {self.of}", beside]


HEAD = ("figure", "value", "95 % interval", "measured on", "compare")


@dataclass(frozen=True)
class StreamFigures:
    """The table of one stream.

    Args:
        stream: its name.
        modality: of its media.
        features: the space that distances are measured in, in words; "" if there are none.
        figures: rows.
    """

    stream: str
    modality: str
    features: str
    figures: tuple[Figure, ...]

    def __str__(self) -> str:
        rows = [list(HEAD), *(figure.row() for figure in self.figures)]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
        return "\n".join([f"{self.stream} ({self.modality})", *lines])


@dataclass(frozen=True)
class Evaluation:
    """What was measured of a run.

    Args:
        streams: a table each.
        scores: held-out masked cross-entropy of each stream and level.
        about: JSON values that say how it was measured (seed, samples, draws).
    """

    streams: tuple[StreamFigures, ...]
    scores: tuple[StreamScore, ...]
    about: dict[str, Any]

    def __str__(self) -> str:
        return "\n\n".join(map(str, self.streams))

    def to_json(self) -> dict[str, Any]:
        """JSON values; what is not finite is null."""
        return {
            **self.about,
            "scores": [_finite(score.to_json()) for score in self.scores],
            "streams": [_finite(asdict(one)) for one in self.streams],
        }

    def save(self, path: str | Path) -> None:
        """Writes JSON, atomically."""
        write_text_atomic(path, json.dumps(self.to_json(), indent=2, allow_nan=False) + "\n")


def figures_of_json(values: Sequence[dict[str, Any]]) -> list[StreamFigures]:
    """The tables of what :meth:`Evaluation.save` wrote under "streams".

    Raises:
        ValueError: a field is missing or of another kind.
    """
    try:
        return [
            StreamFigures(
                str(one["stream"]),
                str(one["modality"]),
                str(one["features"]),
                tuple(
                    Figure(**{**row, "interval": row["interval"] and tuple(row["interval"])}) for row in one["figures"]
                ),
            )
            for one in values
        ]
    except (KeyError, TypeError) as error:
        raise ValueError(f"an evaluation must hold tables of figures, but lacks {error}; evaluate again") from error


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Section about an evaluation: the table of each stream, as ``tokenmask evaluate`` prints it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from tokenmask.analysis.figures import FILE, HEAD, StreamFigures, figures_of_json
from tokenmask.report.page import Section, note, table


def read_evaluation(folder: Path) -> list[StreamFigures]:
    """The tables that an evaluation left in a run folder; none if there was none.

    Raises:
        ValueError: the file is damaged.
    """
    path = folder / FILE
    if not path.is_file():
        return []
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return figures_of_json(values["streams"])
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}); run tokenmask evaluate again, or delete it") from error


def evaluation_section(tables: Sequence[StreamFigures], made_by: str) -> Section | None:
    """A table for each stream; None without any. ``made_by`` says what was evaluated."""
    if not tables:
        return None
    parts = []
    for one in tables:
        parts.append(table(HEAD, [figure.row() for figure in one.figures], f"{one.stream} ({one.modality})"))
        if one.features:
            parts.append(note(f"Distances in: {one.features}."))
    lead = f"Of {made_by}. Each number has its 95 % interval, its sample size, and what it should be compared with."
    return Section("Evaluation", lead, "".join(parts))

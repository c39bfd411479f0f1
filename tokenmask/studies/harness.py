"""Harness: measures the cells of a study that are not measured yet, and writes what they show.

Arrow: Study --**run_study**--> files of cells --> Results as JSON and plot. Does not know: how a cell is measured.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tokenmask.analysis.figures import Figure
from tokenmask.files import write_text_atomic
from tokenmask.studies.measuring import Bench
from tokenmask.studies.plot import draw_plot
from tokenmask.studies.results import Results, results_of
from tokenmask.studies.study import Study, Variant


def run_study(study: Study, work: str | Path, out: str | Path, say: Callable[[str], None] | None = None) -> Results:
    """Measures a study, or goes on with it, and writes ``out/NAME.json`` and ``out/NAME.svg``.

    Each cell, a variant with a seed, is a file that is whole or not there; one whose variant, data or metrics were
    changed since is measured anew.

    Args:
        study: what is compared.
        work: folder of cells, corpora and trained runs.
        out: folder of the results.
        say: is told what is being done.

    Raises:
        ValueError: a field, metric, world or set of data that there is not; before anything is measured. The sentence
            begins with the study's file, or its name.
    """
    try:
        return _measured(study, work, out, say)
    except ValueError as error:
        raise ValueError(f"study {study.source or study.name}: {error}") from error


def _measured(study: Study, work: str | Path, out: str | Path, say: Callable[[str], None] | None) -> Results:
    tell, work = say or (lambda _: None), Path(work)
    bench = Bench(study, work)
    bench.check()
    cells, jobs = dict[tuple[str, int], list[Figure]](), study.cells()
    for number, (variant, seed) in enumerate(jobs, 1):
        path, digest = _path(work, variant, seed), bench.digest(variant, seed)
        kept = _read(path, digest)
        if kept is None:
            tell(f"{study.name} {number} of {len(jobs)}: {variant.name}, seed {seed}")
            kept = bench.measure(variant, seed)
            values = {"variant": variant.name, "seed": seed, "digest": digest}
            figures = [asdict(one) for one in kept]
            write_text_atomic(path, json.dumps(_plain({**values, "figures": figures}), indent=1) + "\n")
            kept = _read(path, digest) or kept
        cells[variant.name, seed] = kept
    results = results_of(study, cells)
    text = json.dumps(_plain(results.to_json()), indent=1, allow_nan=False, ensure_ascii=False)
    write_text_atomic(Path(out) / f"{study.name}.json", text + "\n")
    draw_plot(results, Path(out) / f"{study.name}.svg")
    return results


def _path(work: Path, variant: Variant, seed: int) -> Path:
    return work / "cells" / f"{variant.slug}-seed-{seed}.json"


def _read(path: Path, digest: str) -> list[Figure] | None:
    """The figures of a cell that was measured as it would be now; None if there is none."""
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        if values["digest"] != digest:
            return None
        return [Figure(**{**one, "interval": one["interval"] and tuple(one["interval"])}) for one in values["figures"]]
    except (FileNotFoundError, NotADirectoryError):  # where the second is so, writing says what stands in the way
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{path} is damaged ({error}); remove it, and the cell is measured again") from error


def _plain(value: Any) -> Any:
    """JSON values without what is not finite; floats of ten digits, so that files say no more than was measured."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    if isinstance(value, float):
        return float(f"{value:.10g}") if abs(value) < float("inf") else None
    return value

"""Commands that are printed as the next ones: they work as they stand.

Arrow: Run --> lines to copy. Does not know: what the commands do.
"""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Sequence
from pathlib import Path

from tokenmask.cli.media import is_words, suffix_of
from tokenmask.corpus import HELD_OUT, Corpus
from tokenmask.generation import Request
from tokenmask.run import Run

_SIZES = (24, 16, 12, 8, 6, 4, 3, 2, 1)  # along the axis that is free


def after_training(run: Run) -> list[str]:
    """How every stream is generated, and how the run is judged."""
    folder = shlex.quote(str(run.folder))
    sizes = {name: _size(run, name) for name in run.layout.names}
    made = [
        f"tokenmask generate {name} --run {folder}{size}{_out(run, name)}"
        for name, size in sizes.items()
        if size is not None
    ]
    if any(len(Corpus(path, split=HELD_OUT)) for path, _ in run.corpora):
        made.append(f"tokenmask evaluate {folder}")
    return [*made, f"tokenmask report {folder}"]


def after_swap(run: Run, corpora: Sequence[str]) -> str:
    """How the new rows learn, on the corpora that were named, or on data that are to be named."""
    folder = run.folder
    data = [f"--corpus {shlex.quote(str(path))}" for path in corpora] or ["--data SOURCE"]
    recipe, out = (shlex.quote(str(path)) for path in (folder / "recipe.yaml", Path(f"{folder}-trained")))
    freeze = ["--freeze"] if run.fresh else []
    words = ["tokenmask train", recipe, "--from", shlex.quote(str(folder)), *freeze, *data, "--out", out]
    return " ".join(words)


def _out(run: Run, name: str) -> str:
    """Where a sample goes, with a blank before it: a file of the run's name that is not there; words are printed."""
    modality = run.layout.streams[name].modality
    if is_words(modality):
        return ""
    begin, ending = f"{run.folder.name}-{name}", suffix_of(modality)
    numbered = (f"{begin}{'' if number == 1 else f'-{number}'}{ending}" for number in itertools.count(1))
    return f" --out {shlex.quote(next(one for one in numbered if not Path(one).exists()))}"


def _size(run: Run, name: str) -> str | None:
    """What `generate` must be told of a stream's size, with a blank before it; None where not one place fits."""
    free = None in run.layout.streams[name].grid
    for length in _SIZES if free else (None,):
        try:
            grid = run.inputs.grid(name, None, length, None, None)
            Request.blank(run.layout, name, grid).pack(run.layout, run.recipe.packing)
        except ValueError:
            continue
        return "" if length is None else f" --length {length}"
    return _whole(run, name) if free else None


def _whole(run: Run, name: str) -> str | None:
    """The same for a stream with more than one free axis."""
    for length in _SIZES:
        grid = tuple(length if size is None else size for size in run.layout.streams[name].grid)
        try:
            Request.blank(run.layout, name, grid).pack(run.layout, run.recipe.packing)
        except ValueError:
            continue
        return f" --grid {','.join(map(str, grid))}"
    return None

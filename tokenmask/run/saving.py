"""Saving: a run in memory as a folder.

Arrow: Run --**saved**--> run.json, models, tokenizers. Does not know: the form of the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tokenmask.corpus import Corpus
from tokenmask.run.folder import LENGTHS, model_path, write_run

if TYPE_CHECKING:
    from tokenmask.run.run import Run


def saved(run: Run, folder: str | Path, corpora: Sequence[tuple[str | Path, float]]) -> Path:
    """Writes all of the folder but its card, and returns it; see :meth:`Run.save`."""
    if not isinstance(folder, str | Path) or not str(folder):
        raise TypeError(f"folder must be the path of a run folder, got {folder!r}; name one")
    folder = Path(folder)
    for above in (folder, *folder.parents):
        if above.exists() and not above.is_dir():
            raise ValueError(f"a run is saved as a folder, but {above} is a file; name another")
    for model in run.models.values():
        model.about()  # refuses what no file could name
    for path, _ in corpora:
        Corpus(path, specs=dict(run.layout.streams))
    labels = {name: {axis: list(names) for axis, names in axes.items()} for name, axes in run.labels.items()}
    origin = {"fresh": list(run.fresh)} if run.fresh else {}
    write_run(folder, run.recipe, run.layout, run.tokenizers, corpora, labels, origin)
    if run.lengths.seen:
        run.lengths.save(folder / LENGTHS)
    for name, model in run.models.items():
        path = model_path(folder, name)
        path.parent.mkdir(exist_ok=True)
        model.save(path)
    return folder

"""Layouts: folders of media as they are handed on, with a table or a tree that says which words belong to which file.

Arrow: folder --**find**--> Layout. Does not know: streams, tokens, corpora. One file a family: its functions take a
folder, the names of its files, modalities and columns, and give a layout, or None where it is another one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from pathlib import Path

from tokenmask.cli.folders import visible_files
from tokenmask.cli.layouts.bids import bids
from tokenmask.cli.layouts.described import described
from tokenmask.cli.layouts.entry import Entry, Layout
from tokenmask.cli.layouts.flickr import flickr
from tokenmask.cli.layouts.motions import humanml3d
from tokenmask.cli.layouts.named import named
from tokenmask.cli.layouts.pictures import class_folders, coco
from tokenmask.cli.layouts.saved import saved_datasets
from tokenmask.cli.layouts.shards import shard, shards
from tokenmask.cli.layouts.speech import kaldi, librispeech, libritts, ljspeech, vctk
from tokenmask.cli.layouts.tables import tables
from tokenmask.telling import tell

__all__ = ["Entry", "Layout", "find", "shard"]

Finder = Callable[[Path, list[Path], Collection[str], Mapping[str, str]], Layout | None]
FINDERS: tuple[Finder, ...] = (
    *(saved_datasets, shards, kaldi, ljspeech, named, coco, flickr, librispeech, libritts, vctk, bids, humanml3d),
    *(tables, described, class_folders),  # which take what others leave
)


def find(folder: Path, modalities: Collection[str], columns: Mapping[str, str] | None = None) -> Layout | None:
    """The layout of a folder, or None for one that holds files of its own, with captions or without.

    Args:
        folder: to look through.
        modalities: that are wanted.
        columns: modality -> column of tables.

    Raises:
        ValueError: a table that cannot be read.
    """
    files = visible_files(folder)
    for finder in FINDERS:
        layout = finder(folder, files, modalities, columns or {})
        if layout is None:
            continue
        if any(entry.media for entry in layout.entries):
            return layout
        if problem := next((entry.problem for entry in layout.entries if entry.problem), ""):
            tell(f"{folder} is not read as {layout.name}: {problem}")
    return None

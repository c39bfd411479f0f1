"""A format: how a whole file of a kind is made, how it is read, and what counts as refusing one."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Format:
    """One kind of file.

    Args:
        make: writes a whole one (or a folder of files) below a folder and returns the file that is to be damaged.
        read: opens it, and all that belongs to it, given that file.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], Any]


def reason_of(error: Exception) -> str:
    """What is wrong with an error as the answer to a damaged file; "" if it is one sentence of the right kind."""
    text = str(error).strip()
    if not isinstance(error, (ValueError, OSError)):
        return f"{type(error).__name__}: {text[:200]}"
    told = len(text) >= 20 and "\n" not in text and not isinstance(error, UnicodeError)
    return "" if told else f"no sentence: {type(error).__name__}: {text[:200]}"


def media(module: str, name: str) -> Callable[[Path], Any]:
    """Reads a file as a medium of ours."""

    def read(path: Path) -> Any:
        return getattr(importlib.import_module(f"tokenmask.modalities.{module}"), name).load(path)

    return read


WHOLE: set[tuple[str, int, int]] = set()
"""Media files beside the damaged one that were read well: which, when they were written, how many bytes they have."""


def items(kinds: Mapping[str, str], up: int = 0) -> Callable[[Path], Any]:
    """Finds the items of a folder, so many folders above the file, and reads all media of each.

    A damaged table may spoil some of its items; the first of their errors stands for all, and each must be a sentence.
    Files that are as they were when they were read well are not read again: a table is damaged, not what it names.
    """

    def read(path: Path) -> Any:
        from tokenmask.cli.sources import items

        folder = path if up == 0 else path.parents[up - 1]
        refused: ValueError | OSError | None = None
        for item in items([folder], dict(kinds)):
            for load in item.media.values():
                whole = _whole(load, path)
                if whole in WHOLE:
                    continue
                try:
                    load()
                    WHOLE.update([whole] if whole is not None else [])
                except (ValueError, OSError) as error:
                    if reason_of(error):
                        raise
                    refused = refused or error
        if refused is not None:
            raise refused

    return read


def _whole(load: Any, damaged: Path) -> tuple[str, int, int] | None:
    """What tells that a file has not changed; None for the damaged one, for words, and for what lies in other files."""
    if not isinstance(load.value, Path) or load.value == damaged or not load.value.is_file():
        return None
    about = load.value.stat()
    return str(load), about.st_mtime_ns, about.st_size

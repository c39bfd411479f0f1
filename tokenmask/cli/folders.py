"""Folders: the files in them and below, behind links too, and what is said of those that nobody took.

Arrow: folder --**visible_files**--> names below it. Does not know: which files are wanted, what is in them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from tokenmask.corpus.keys import Keys

CAPTIONS = (".txt", ".caption")
"""Endings of words beside media of the same name, the first before the second."""


class Seen(NamedTuple):
    """What a folder holds.

    Args:
        files: relative to the folder, sorted; links that lead nowhere count.
        passed: what could not be followed, in words.
    """

    files: list[Path]
    passed: list[str]


def visible_files(folder: Path) -> list[Path]:
    """Files of a folder and those below, relative to it, sorted; links that lead nowhere count, hidden ones do not.

    Links to folders are followed, and each folder is looked through once: by its own name, if it has one here.
    """
    return look_through(folder).files


def look_through(folder: Path) -> Seen:
    """As :func:`visible_files`, with what was passed over: links back to a folder above, folders that are closed, pipes
    and the like."""
    above = {_identity(one) for one in (folder.resolve(), *folder.resolve().parents)}
    known = set(above)
    found: list[Path] = []
    passed: list[str] = []
    links: list[Path] = [folder]
    while links:
        begin = links.pop(0)
        if begin != folder:
            place = _identity(begin)
            if place in above:
                passed.append(f"{begin} is a link to a folder above it")
                continue
            if place in known:  # by another name: its files are there already
                continue
            known.add(place)
        for where, names, files in os.walk(begin, onerror=lambda error: passed.append(_reason(error))):
            here = Path(where)
            names[:] = sorted(name for name in names if not name.startswith("."))
            linked = [name for name in names if (here / name).is_symlink()]
            links += [here / name for name in linked]
            names[:] = [name for name in names if name not in linked and _is_new(here / name, known)]
            for name in files:
                if not name.startswith(".") and _is_file(here / name):
                    found.append(here / name)
                elif not name.startswith("."):
                    passed.append(f"{here / name} is neither a file nor a folder")
    return Seen(sorted(path.relative_to(folder) for path in found), passed)


def _is_new(path: Path, known: set[tuple[int, int]]) -> bool:
    place = _identity(path)
    new = place not in known
    known.add(place)
    return new


def _identity(path: Path) -> tuple[int, int]:
    """Device and number of a file, the same by all its names."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _is_file(path: Path) -> bool:
    """Whether it is one, or cannot be asked: then reading it tells why."""
    try:
        return path.is_file() or leads_nowhere(path)
    except OSError:
        return True


def _reason(error: OSError) -> str:
    return f"{error.filename} cannot be read ({error.strerror})"


def leads_nowhere(path: Path) -> bool:
    """Whether this is a link to what is not there."""
    return path.is_symlink() and not path.exists()


def _folders(paths: Sequence[str | Path]) -> Iterator[Path]:
    return (folder for folder in dict.fromkeys(map(Path, paths)) if folder.is_dir())


def not_looked_at(paths: Sequence[str | Path], taken: Iterable[Path]) -> str:
    """ ", 3 files not looked at (.md, .opus)": how many files of folders were not taken, and their endings; or "".

    Args:
        paths: files and folders that were searched.
        taken: files that were found under them.
    """
    folders = list(_folders(paths))
    seen = Keys(map(str, taken)) if folders else Keys()  # a table of millions needs none
    left: list[Path] = []
    passed: list[str] = []
    for folder in folders:
        held = look_through(folder)
        left += [name for name in held.files if str(folder / name) not in seen]
        passed += held.passed
    said = ""
    if left:
        endings = sorted({name.suffix.lower() or "none" for name in left})
        shown = ", ".join(endings[:8]) + (", ..." if len(endings) > 8 else "")
        said = f", {len(left)} file{'s' if len(left) > 1 else ''} not looked at ({shown})"
    return said + "".join(f", passed over: {one}" for one in passed)

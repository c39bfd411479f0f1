"""Files that are nearly called as a table says: in other case, with %20 for a blank, or with accents written otherwise.

Arrow: a path that is not there --**nearly**--> a sentence on the one that is. Does not know: tables, media.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from urllib.parse import unquote

_WAYS: tuple[tuple[str, Callable[[str], str]], ...] = (
    ("codes like %20 or none", unquote),
    ("other capital letters", str.casefold),
    ("accents of other characters", lambda name: unicodedata.normalize("NFC", name)),
)


def nearly(path: Path) -> str:
    """What is said of a path at which nothing is, where one file is called nearly so; "" where none or several are.

    It is never taken in silence: which of two spellings is meant is for the reader to say.
    """
    here, rest, differ = path, list[str](), list[str]()
    while not here.exists() and here != here.parent:
        rest.insert(0, here.name)
        here = here.parent
    for name in rest:
        if not (here / name).exists():
            called = _called(here, name)
            if len(called) != 1:
                return ""
            differ += [what for what, _ in _WAYS if _plain(name, what) != _plain(called[0], what)]
            name = called[0]
        here /= name
    how = " and ".join(dict.fromkeys(differ))
    return f"{path} is not there, but {here} is, which is written with {how}; write one as the other" if differ else ""


def _called(folder: Path, name: str) -> list[str]:
    """Names in a folder that are nearly this one; none in a folder that may not be read."""
    try:
        return _names(folder, folder.stat().st_mtime_ns).get(_plain(name), []) if folder.is_dir() else []
    except OSError:
        return []


def _plain(name: str, without: str = "") -> str:
    """A name as all of the ways make it, or all but one."""
    for what, way in _WAYS:
        name = name if what == without else way(name)
    return name


@lru_cache(maxsize=4)  # tables name many files that are missing in one folder
def _names(folder: Path, changed: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for one in folder.iterdir():
        found.setdefault(_plain(one.name), []).append(one.name)
    return found

"""Points: what installed packages declare for a group of entry points, read once for as long as nothing is installed.

Arrow: group --**entry_points**--> name and value of each. Does not know: what they are of.
Reading them opens a file of every installed package, which a run that is opened would do a hundred times.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache
from importlib import metadata


def entry_points(group: str) -> tuple[metadata.EntryPoint, ...]:
    """As ``importlib.metadata.entry_points``; a package that is installed meanwhile is found."""
    return _read(group, tuple((place, _changed(place)) for place in sys.path))


@lru_cache(maxsize=8)
def _read(group: str, places: tuple[tuple[str, int], ...]) -> tuple[metadata.EntryPoint, ...]:
    return tuple(metadata.entry_points(group=group))


def _changed(place: str) -> int:
    """When something was last put into a folder or taken out of it; 0 where there is none."""
    try:
        return os.stat(place or ".").st_mtime_ns
    except OSError:
        return 0

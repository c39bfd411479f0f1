"""What is old and still works says what to write instead.

Does not know: what is old.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Callable, Mapping
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


def warn_deprecated(old: str, *, instead: str, since: str, stacklevel: int = 1) -> None:
    """Warns that something old is used, in one sentence: what, since when, what to write instead.

    Args:
        old: what is used, with its kind: "the module tokenmask.modalities.picture".
        instead: what does the same.
        since: the version from which on ``instead`` is there.
        stacklevel: how many callers up the one to blame is; 1 is the caller of the function that calls this.
    """
    message = f"{old} has another name since tokenmask {since}; write {instead} instead"
    warnings.warn(message, FutureWarning, stacklevel=stacklevel + 2)


def moved_modules(moved: Mapping[str, str], *, since: str) -> None:
    """Lets modules be imported by the names that they had, with a warning; once, however often it is called.

    Args:
        moved: full old name -> full new one.
        since: the version that moved them.
    """
    if not any(isinstance(finder, _Moved) and finder.moved == moved for finder in sys.meta_path):
        sys.meta_path.append(_Moved(moved, since))


def moved_names(module: str, moved: Mapping[str, str], *, since: str) -> Callable[[str], Any]:
    """The ``__getattr__`` (PEP 562) of a module some names of which have moved; they are found, with a warning.

    Args:
        module: its full name.
        moved: name -> the module that has it now.
        since: the version that moved it.
    """

    def find(name: str) -> Any:
        if name not in moved:
            raise AttributeError(f"module {module!r} has no attribute {name!r}")
        warn_deprecated(f"{module}.{name}", instead=f"{moved[name]}.{name}", since=since)
        return getattr(importlib.import_module(moved[name]), name)

    return find


class _Moved(MetaPathFinder, Loader):
    """Hands out the module at its new place under its old name: one module, so one of each class."""

    def __init__(self, moved: Mapping[str, str], since: str) -> None:
        self.moved, self.since = moved, since

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in self.moved else None

    def exec_module(self, module: ModuleType) -> None:
        old, new = module.__name__, self.moved[module.__name__]
        warn_deprecated(f"the module {old}", instead=new, since=self.since, stacklevel=2)
        sys.modules[old] = importlib.import_module(new)

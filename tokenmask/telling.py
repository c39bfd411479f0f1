"""Telling: what is left out, guessed or changed is said once, at the line of the caller.

Arrow: a sentence --**tell**--> a warning that points outside of tokenmask. Does not know: what is told of.
"""

from __future__ import annotations

import sys
import warnings

# Ours, and what stands between two calls of ours: decorators, generators of contexts, views of mappings.
_PASSED = frozenset({"tokenmask", "torch", "contextlib", "functools", "collections"})


def tell(sentence: str) -> None:
    """Warns; the line that is blamed is the last one that is not of tokenmask, so that it is said once for each."""
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(sentence, stacklevel=level)


def _is_ours(module: str) -> bool:
    return module.split(".", 1)[0] in _PASSED

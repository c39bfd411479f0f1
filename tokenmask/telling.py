"""Telling: what is left out, guessed or changed is said once, at the line of the caller.

Arrow: a sentence --**tell**--> a warning that points outside of tokenmask, and whoever has **heard** it. Does not know:
what is told of.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

# Ours, and what stands between two calls of ours: decorators, generators of contexts, views of mappings.
_PASSED = frozenset({"tokenmask", "torch", "contextlib", "functools", "collections"})

_heard: ContextVar[list[str] | None] = ContextVar("heard", default=None)


def tell(sentence: str) -> None:
    """Warns; the line that is blamed is the last one that is not of tokenmask, so that it is said once for each."""
    listener = _heard.get()
    if listener is not None and sentence not in listener:
        listener.append(sentence)
    level, frame = 2, sys._getframe(1)
    while frame.f_back is not None and _is_ours(frame.f_globals.get("__name__", "")):
        level, frame = level + 1, frame.f_back
    warnings.warn(sentence, stacklevel=level)


@contextmanager
def heard() -> Iterator[list[str]]:
    """What is told inside, each sentence once and in its order; of this thread alone, and warned of all the same.

    For a program that answers others, who do not see its warnings.
    """
    sentences: list[str] = []
    token = _heard.set(sentences)
    try:
        yield sentences
    finally:
        _heard.reset(token)


def _is_ours(module: str) -> bool:
    return module.split(".", 1)[0] in _PASSED

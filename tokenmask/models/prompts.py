"""Vectors of prompts that a network of somebody else is told, each read once.

Does not know: what reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Vectors = TypeVar("Vectors")


class ReadPrompts(Generic[Vectors]):
    """What was made of the last prompts.

    Args:
        most: prompts that are kept.
    """

    def __init__(self, most: int = 256) -> None:
        self.most = most
        self._known: dict[tuple[object, ...], Vectors] = {}

    def of(self, key: Sequence[object], make: Callable[[], Vectors]) -> Vectors:
        """What ``make`` gave for a key, which also tells device and dtype, as a copy may have others."""
        whole = tuple(key)
        if whole not in self._known:
            made = make()
            while len(self._known) >= self.most:
                self._known.pop(next(iter(self._known)))
            self._known[whole] = made
        return self._known[whole]

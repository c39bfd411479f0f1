"""JSON read so that nothing in it goes in silence: names said twice, numbers that have no room.

Arrow: text --**Watching**--> values, and what was lost of them. Does not know: rows, files.
"""

from __future__ import annotations

import json
import math
from typing import Any


class Watching(json.JSONDecoder):
    """A decoder that remembers what json drops: of a name that an object says twice all values but the last, and
    numbers beyond 1.8e308, which become infinity.

    ``double`` and ``huge`` hold both, in the words of the text, of all that was decoded since :meth:`afresh`.
    """

    def __init__(self) -> None:
        self.double: list[str] = []
        self.huge: list[str] = []
        super().__init__(object_pairs_hook=self._once, parse_float=self._number)

    def afresh(self) -> Watching:
        """The same decoder, which remembers nothing."""
        self.double.clear()
        self.huge.clear()
        return self

    def check_once(self) -> None:
        """ValueError if a name was said twice."""
        if self.double:
            raise ValueError(f"it says {', '.join(sorted(map(repr, set(self.double))))} twice; keep one")

    def _once(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen = dict(pairs)
        if len(seen) < len(pairs):
            names = [name for name, _ in pairs]
            self.double.extend(sorted({name for name in names if names.count(name) > 1}))
        return seen

    def _number(self, text: str) -> float:
        value = float(text)
        if math.isinf(value):
            self.huge.append(text)
        return value

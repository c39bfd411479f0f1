"""Warnings on the command line: a sentence each, and of many alike the first ones and a count with names.

Arrow: warnings --**Warned**--> lines on stderr. Does not know: who warns, or of what.
"""

from __future__ import annotations

import re
from pathlib import Path

SHOWN, NAMED = 20, 100  # warnings of a kind that are shown in full, and files of the others that are named
_PATH = re.compile(r"\S*/[^\s:]+")
_VARIES = re.compile(r"\S*/\S+|'[^']*'|[+-]?\d+(?:[.,]\d+)*(?:e[+-]?\d+)?", re.IGNORECASE)


class Warned:
    """Formats warnings as ``warnings.formatwarning`` does, without the line of code that they came from."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}
        self._names: dict[str, list[str]] = {}

    def __call__(
        self, message: Warning | str, category: type[Warning], filename: str, lineno: int, line: str | None = None
    ) -> str:
        """The warning as a line, or "" for one of a kind that has been shown often enough: it is counted."""
        text = " ".join(str(message).split())
        kind = _VARIES.sub("*", text)
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._first.setdefault(kind, text)
        if self._counts[kind] <= SHOWN:
            return f"tokenmask: {text}\n"
        path = _PATH.search(text)
        if path is not None:
            self._names.setdefault(kind, []).append(Path(path[0]).name)
        return ""

    def rest(self) -> str:
        """Lines on those that were only counted, with the names of their files."""
        lines = []
        for kind, count in self._counts.items():
            if count > SHOWN:
                names = self._names.get(kind, [])
                more = ", ..." if len(names) > NAMED else ""
                told = f" ({', '.join(names[:NAMED])}{more})" if names else ""
                lines.append(f"tokenmask: {count - SHOWN} more like this one: {self._first[kind]}{told}\n")
        return "".join(lines)

"""What commands print: lines and tables on stdout, problems on stderr."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def say(text: str = "") -> None:
    """A line on stdout, at once."""
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns; numbers to the right."""
    grid = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in grid) for column in range(len(head))]
    right = [all(_is_number(row[column]) for row in rows) and bool(rows) for column in range(len(head))]
    for row in grid:
        cells = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)]
        say("  ".join(cells).rstrip())


def failures(failed: Sequence[tuple[str, str]], total: int) -> int:
    """Lists what failed on stderr and gives the exit code: 0 for none, 1 for some, 2 for all."""
    for key, reason in failed:
        sys.stderr.write(f"failed: {key}: {reason}\n")
    return 0 if not failed else (2 if len(failed) == total else 1)


def _is_number(text: str) -> bool:
    try:
        float(text.split(" +- ")[0])
    except ValueError:
        return text in ("", "-")
    return True

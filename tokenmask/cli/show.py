"""What commands print: lines and tables on stdout, problems and progress on stderr; colour on terminals only."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Sequence

from tokenmask.progress import import_rich


def say(text: str = "") -> None:
    """A line on stdout, at once."""
    sys.stdout.write(escaped(text) + "\n")
    sys.stdout.flush()


def escaped(text: str) -> str:
    r"""Text that can be written: bytes of file names that are not UTF-8 become \udcff."""
    return text.encode(errors="backslashreplace").decode()


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table on a terminal; elsewhere aligned columns, numbers to the right."""
    right = [bool(rows) and all(_is_number(row[column]) for row in rows) for column in range(len(head))]
    if sys.stdout.isatty():
        _rich_table(head, rows, right)
        return
    grid = [list(head), *(list(row) for row in rows)]
    widths = [max(len(row[column]) for row in grid) for column in range(len(head))]
    for row in grid:
        cells = [c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)]
        say("  ".join(cells).rstrip())


@contextlib.contextmanager
def waiting(text: str) -> Iterator[None]:
    """Says on stderr what takes its time, with a spinner on a terminal."""
    if not sys.stderr.isatty():
        sys.stderr.write(f"{text} ...\n")
        sys.stderr.flush()
        yield
        return
    import_rich()
    from rich.console import Console

    with Console(stderr=True).status(text):
        yield


def failures(failed: Sequence[tuple[str, str]], total: int) -> int:
    """Lists what failed on stderr and gives the exit code: 0 for none, 1 for some, 2 for all.

    A reason that begins with the path of the item is told without it.
    """
    for key, reason in failed:
        said = " ".join(reason.split())
        above, _, rest = said.partition(key) if key else (said, "", "")
        if (not above or (above.endswith("/") and ": " not in above)) and rest.startswith(" "):
            said = rest.lstrip()
        sys.stderr.write(escaped(f"failed: {key}: {said}\n"))
    return 0 if not failed else (2 if len(failed) == total else 1)


def figures(values: dict[str, float], what: str) -> None:
    """Figures of merit, one a line, each with the number of items it was measured on."""
    width = max(map(len, values), default=0)
    for name, value in values.items():
        say(f"  {name.ljust(width)}  {value:.4g}  ({what})")


def _rich_table(head: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[bool]) -> None:
    import_rich()
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, to_the_right in zip(head, right, strict=True):
        drawn.add_column(name, justify="right" if to_the_right else "left")
    for row in rows:
        drawn.add_row(*(Text(cell) for cell in row))
    Console().print(drawn)


def _is_number(text: str) -> bool:
    try:
        float(text.split(" +- ")[0].replace(",", ""))
    except ValueError:
        return text in ("", "-")
    return True

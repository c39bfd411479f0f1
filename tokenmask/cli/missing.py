"""Cells that programs write where a value is missing: nan, NULL and the like, which are no captions.

Arrow: cells of .csv and .tsv --**marked**--> Bare --**Missing**--> what is told. Does not know: media.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenmask.telling import tell

# What pandas.read_csv takes as missing unless it is told otherwise (3.1), but for "" itself.
_PLAIN = ("<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null", "-NaN", "-nan")
_OF_SHEETS = ("#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "1.#IND", "1.#QNAN")
SPELLINGS = frozenset((*_PLAIN, *_OF_SHEETS))
_TABLES = (".csv", ".tsv", ".txt")


class Bare(str):
    """A cell that is one of the spellings and stands in no quotes."""

    __slots__ = ()


def marked(cells: list[str], lines: Sequence[str]) -> list[str]:
    """Cells, with those that are spellings as :class:`Bare`, unless the lines of their row have them in quotes."""
    if SPELLINGS.isdisjoint(cells):
        return cells
    quoted = {cell for cell in SPELLINGS.intersection(cells) if any(f'"{cell}"' in line for line in lines)}
    return [Bare(cell) if cell in SPELLINGS and cell not in quoted else cell for cell in cells]


class Missing:
    """Counts captions of a table that are spellings.

    Args:
        path: of the table.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._found: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
        self._first: dict[bool, int] = {}

    def without(self, columns: Sequence[str], cells: Mapping[str, Any], bare: Collection[str], number: int) -> set[str]:
        """Which of some columns of words hold no words in a row.

        Args:
            columns: of words.
            cells: of the row.
            bare: columns whose cells are :class:`Bare`.
            number: of the row's line.
        """
        for name in columns:
            value = cells.get(name)
            if isinstance(value, str) and value in SPELLINGS:
                self._found[name in bare][value] += 1
                self._first.setdefault(name in bare, number)
        return {name for name in columns if name in bare}

    def tell(self) -> None:
        """Tells of all that were counted."""
        if self.path.suffix.lower() not in _TABLES:
            return
        for are_bare, found in self._found.items():
            if count := found.total():
                what = "in quotes, and so taken as words; leave the cell empty where there are none"
                what = "taken as missing; a word that is spelled so stands in quotes" if are_bare else what
                tell(
                    f"{self.path}: {count} caption{'s are' if count > 1 else ' is'} {', '.join(sorted(found))}, {what} "
                    f"(the first is in line {self._first[are_bare]})"
                )

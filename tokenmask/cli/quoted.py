"""Rows of tables with quotes, where a row that is wrong fails alone, and a quote that nothing closes is found.

Arrow: lines of a table --**quoted_rows**--> cells, or why there are none. Does not know: names of columns, media.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from tokenmask.cli.missing import marked

_BLANK = '""'
LONGEST = 1 << 22  # characters of a cell, more than a long novel has; csv takes 131072 unless it is told otherwise


def quoted_rows(
    path: Path, lines: Iterable[str], separator: str, before: int = 0, *, blanks: bool = False
) -> Iterator[tuple[int, list[str] | ValueError]]:
    """(number of its last line, cells) of each row; ValueError in place of cells that cannot be told, with the number
    of the line in which that lies.

    A quoted cell may go over several lines. Where it does not end as it should, as after a quote that nothing closes,
    the lines up to there are of one row that fails: they are not read anew, for what would be a row in them may be
    words of a cell. Reading goes on behind. Cells like nan tell whether they are quoted
    (:func:`tokenmask.cli.missing.marked`).

    Args:
        path: of the table, for messages.
        lines: with their ends.
        separator: between cells.
        before: lines that come first and are no rows.
        blanks: those behind a separator are no part of a cell.
    """
    held: list[str] = []

    def kept() -> Iterator[str]:
        for line in lines:
            held.append(line)
            yield line

    reader = csv.reader(kept(), strict=True, delimiter=separator, skipinitialspace=blanks)
    while True:
        held.clear()
        try:
            before_us = csv.field_size_limit(LONGEST)  # of the process, so for this row alone
            try:
                cells = next(reader)
            finally:
                csv.field_size_limit(before_us)
        except StopIteration:
            return
        except csv.Error as error:
            yield _problem(path, error, held, separator, before + reader.line_num - len(held) + 1)
        else:
            yield before + reader.line_num, marked(cells, held)


def _problem(path: Path, error: csv.Error, lines: list[str], separator: str, first: int) -> tuple[int, ValueError]:
    """What is wrong with a row of some lines, the first of which has this number."""
    why = f"a cell has more than {LONGEST} characters" if "field limit" in str(error) else str(error)
    opens = _last_quote(lines, separator)
    if opens is None or (len(lines) == 1 and "unexpected end" not in str(error)):
        at = first + len(lines) - 1
        return at, ValueError(f"line {at} of {path} must be one of a CSV table, but is not ({why}); mend that line")
    behind = len(lines) - 1 - opens
    swallowed = f" with the {behind} line{'s' * (behind > 1)} behind it" if behind else ""
    above = f", nor the {opens} line{'s' * (opens > 1)} before it that the row begins with" if opens else ""
    return first + opens, ValueError(
        f"line {first + opens} of {path} opens a quote that is not closed as it should be ({why}), so it is not read"
        f'{swallowed}{above}; close it, and write "" for a quote inside of a cell'
    )


def _last_quote(lines: list[str], separator: str) -> int | None:
    """In which of the lines of a row the last quoted cell begins; None where there is none."""
    found, inside, begins = None, False, True
    for number, line in enumerate(lines):
        place = 0
        while place < len(line):
            if inside and line.startswith(_BLANK, place):
                place += 1
            elif inside:
                inside = line[place] != '"'
                begins = False
            elif begins and line[place] == '"':
                found, inside = number, True
            else:
                begins = line[place] == separator
            place += 1
    return found

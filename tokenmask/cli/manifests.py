"""Manifests: files that name media, one record a row.

Arrow: .jsonl, .json, .csv, .tsv, .parquet or .txt --**rows**--> values by stream name. Does not know: what media are.
"""

from __future__ import annotations

import contextlib
import datetime
import itertools
import math
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from tokenmask.cli.missing import Bare, Missing, marked
from tokenmask.cli.objects import Watching
from tokenmask.cli.quoted import quoted_rows
from tokenmask.cli.rows_again import Line, elements, placed
from tokenmask.files import check_fetched, coding_of, no_text, no_text_in, tell_mark, why_unread
from tokenmask.telling import tell

SUFFIXES = (".jsonl", ".json", ".csv", ".tsv", ".parquet")  # and .txt, a list of paths, where it cannot be text itself
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_FORMULA = re.compile(r'="([^"]*)"')
_SEPARATOR = re.compile(r"(?:sep|SEP|Sep)=(.*)")
_COMMENT = "# "
_HEAD = 1 << 16  # characters in which the first line of a table ends
_FEW = 16  # rows of a table that are in memory together where its cells hold files
# Number, where it is, cells by column or why there are none, and by what the row is found again.
Found = tuple[int, str, "dict[str, Any] | ValueError", int]


class Row(NamedTuple):
    """One row of a manifest.

    Args:
        number: from 1.
        where: it is, for messages.
        values: by stream name, and under "key" and "split".
        others: by column, of those that no stream takes.
        columns: all that hold anything.
        problem: why it is no record; "" if it is one.
        part: "#2" and so on, of one that is the second of those that a row became.
        place: of the row in its file, for :func:`tokenmask.cli.packed.content`: its number in a table of Parquet, the
            byte at which it begins in text; -1 where it cannot be found again.
        taken: stream name -> column.
        missing: columns of .csv and .tsv whose cells are nan, NULL and the like without quotes, see
            :mod:`tokenmask.cli.missing`.
    """

    number: int
    where: str
    values: dict[str, Any]
    others: dict[str, Any]
    columns: Collection[str] = ()
    problem: str = ""
    part: str = ""
    place: int = -1
    taken: Mapping[str, str] = {}
    missing: tuple[str, ...] = ()


def rows(
    path: Path,
    streams: Collection[str],
    columns: Mapping[str, str] | None = None,
    *,
    as_csv: bool = False,
    words: Collection[str] = (),
) -> Iterator[Row]:
    """The rows of a manifest that hold anything.

    Args:
        path: ``.jsonl`` (an object a line), ``.json`` (an array of objects), ``.csv`` or ``.tsv`` (with a line of names
            first), ``.parquet`` (a column a name) or ``.txt`` (a path a line, for the only stream).
        streams: names of which a row must have one.
        columns: stream name -> name of its column, for those that are called otherwise. A row without that column
            gives the stream under its own name; in a row with both, the one of its own name is one of the others.
        as_csv: a ``.txt`` file is a table too.
        words: of the streams, those that take words: nan and the like without quotes is none, which is told.

    Yields:
        rows without missing values. Numbers that JSON does not have (NaN, infinity) become None, dates become words.
        A row that is no record tells why, and does not stop the others.

    Raises:
        ValueError: not readable as its suffix says.
    """
    readers = {".jsonl": _json_lines, ".json": _json_array, ".csv": _csv, ".tsv": _tsv, ".parquet": _parquet}
    check_fetched(path)
    suffix = ".csv" if as_csv else path.suffix.lower()
    found = readers[suffix](path) if suffix in readers else _paths(path, *streams)
    todo = "name columns with --map STREAM=COLUMN" if columns is not None else "name columns as streams, and fill them"
    columns = dict(columns or {})
    names = {name: name for name in ("key", "split", *streams) if name not in columns.values()} | columns
    gone = Missing(path)
    for number, where, row, place in found:
        if isinstance(row, ValueError):
            yield Row(number, where, {}, {}, problem=str(row))
            continue
        missing = tuple(column for column, value in row.items() if isinstance(value, Bare))
        cells = {column: str(one) if column in missing else one for column, one in row.items() if one is not None}
        taken = {name: column for name, column in names.items() if column in cells}
        mapped = set(taken.values())
        taken |= {name: name for name in streams if name not in taken and name in cells and name not in mapped}
        taken |= _alike([name for name in streams if name not in taken], [one for one in cells if one not in mapped])
        values = {name: _cell(cells[column]) for name, column in taken.items()}
        none = gone.without([taken[name] for name in words if name in taken], cells, missing, number)
        values = {name: value for name, value in values.items() if value is not None and taken[name] not in none}
        others = {column: as_json(value) for column, value in cells.items() if column not in taken.values()}
        problem = (
            ""
            if any(name in values for name in streams)
            else f"{where} must have words, got {cells[min(none)]}, which is taken as missing; write it in quotes"
            if none
            else f"{where} must have one of {', '.join(streams)}, got {str(list(cells))[:60]}; {todo}"
        )
        yield Row(number, where, values, others, cells, problem, place=place, taken=taken, missing=missing)
    gone.tell()


def _alike(streams: Collection[str], columns: Collection[str]) -> dict[str, str]:
    """Columns that are called as streams but for case and blanks around them ("Image", " text"), if only one is."""
    alike: dict[str, list[str]] = {}
    for column in columns if streams else ():
        alike.setdefault(column.strip().casefold(), []).append(column)
    return {name: held[0] for name in streams if len(held := alike.get(name.casefold(), [])) == 1}


def _cell(value: Any) -> Any:
    """A value of a stream; bytes stay, also those in a cell of `datasets`."""
    held = isinstance(value, bytes) or (isinstance(value, dict) and isinstance(value.get("bytes"), bytes))
    return value if held else as_json(value)


def as_json(value: Any) -> Any:
    """A value as JSON can hold it; of bytes, how many there are, of what JSON has no kind for, its words."""
    if isinstance(value, bytes):
        return f"{len(value)} bytes"
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, dict):
        return {str(name): as_json(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(inner) for inner in value]
    return value if value is None or isinstance(value, str | int) else str(value)


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a file of text that hold more than blanks, with their numbers from 1; one by one.

    Only line feeds end a line, or, in a file without any, carriage returns.

    Raises:
        ValueError: not readable as UTF-8, or as UTF-16 or UTF-32 with a byte order mark.
    """
    return ((line.number, line.text) for line in _lines(path))


def _lines(path: Path, odd: bool = False) -> Iterator[Line]:
    with _opened(path, "\n", odd) as (file, begin):
        yield from placed(_unmarked(path, file), begin)


def _unmarked(path: Path, lines: Iterable[str], before: int = 0) -> Iterator[str]:
    """The lines; the first that holds a byte order mark is told."""
    told = False
    for number, line in enumerate(lines, 1 + before):
        told = told or tell_mark(f"line {number} of {path}", line)
        yield line


@contextlib.contextmanager
def _opened(path: Path, newline: str, odd: bool = False) -> Iterator[tuple[TextIO, bytes]]:
    """A file of text, in its coding, and its first four bytes.

    Args:
        path: of the file.
        newline: see ``open``.
        odd: bytes that are not UTF-8 become lone surrogates, which :func:`tokenmask.files.no_text_in` finds in a row.

    Raises:
        ValueError: it cannot be read, or not as text; the sentence says what and where.
    """
    try:
        with path.open("rb") as bare:
            begin = bare.read(4)
        coding = coding_of(begin)
        escaping = "surrogateescape" if odd and coding == "utf-8-sig" else "strict"
        with path.open(encoding=coding, errors=escaping, newline=newline) as file:
            yield file, begin
    except UnicodeDecodeError as error:
        raise ValueError(no_text(path, error)) from error
    except OSError as error:
        raise ValueError(
            f"{path} must be readable UTF-8 text, but is not ({why_unread(error, path)}); check the path"
        ) from error


def _json_lines(path: Path) -> Iterator[Found]:
    """An object a line; a file that begins with an array of objects is read as one."""
    with _opened(path, "", True) as (file, _):
        head = file.read(_HEAD).lstrip()
    if head.startswith("[") and head[1:].lstrip()[:1] in ("{", ""):
        yield from _json_array(path)
        return
    decoder, told = Watching(), False
    for number, line, place in _lines(path, True):
        where = f"line {number} of {path}"
        if why := no_text_in(where, line):
            yield number, where, ValueError(why), place
            continue
        try:
            entry = decoder.afresh().decode(line)
            decoder.check_once()
            told = told or _tell_huge(where, decoder)
        except (ValueError, RecursionError) as error:
            entry = ValueError(f"{where} must be a JSON object, got {line[:40]!r} ({error}); write one object a line")
        if not isinstance(entry, dict | ValueError):
            entry = ValueError(f"{where} must be a JSON object, got {line[:60]!r}; write one object a line")
        yield number, where, entry, place


def _tell_huge(where: str, decoder: Watching) -> bool:
    """Tells of a number without room, once for a file; whether there was one."""
    if decoder.huge:
        tell(f"{where}: {decoder.huge[0][:20]} is more than a number can be and becomes null, here and below")
    return bool(decoder.huge)


def _json_array(path: Path) -> Iterator[Found]:
    number, huge, decoder = 0, False, Watching()
    with _opened(path, "") as (file, begin):
        try:
            for number, entry, place in elements(file, begin, decoder):
                where = f"element {number} of {path}"
                huge = huge or _tell_huge(where, decoder)
                if decoder.double and isinstance(entry, dict):
                    names = ", ".join(sorted(map(repr, set(decoder.double))))
                    entry = ValueError(f"{where} says {names} twice; keep one")
                elif not isinstance(entry, dict):
                    entry = ValueError(f"{where} must be a JSON object, got {str(entry)[:60]!r}")
                yield number, where, entry, place
        except UnicodeDecodeError:
            raise
        except (ValueError, RecursionError) as error:
            told = ValueError(
                f"{path} must be a JSON array of objects, [{{...}}, {{...}}], but is not ({error}); write it so, or an "
                "object a line as .jsonl"
            )
            if not number:
                raise told from error
            where = f"what stands behind element {number} of {path}"
            told = ValueError(f"{where} is not read, since it is no part of a JSON array ({error}); mend it there")
            yield number + 1, where, told, -1


def _csv(path: Path) -> Iterator[Found]:
    """Separated by commas, or by semicolons, tabs or bars if they and no comma are in the first line, outside of
    quotes; or by what a line before it says that is for spreadsheets, sep=; Where all names but the first stand behind
    a blank ("image, text"), that of every cell belongs to the separator. Lines that begin with "# " above the names are
    passed over, which is told; the last of them has the names where it is as AudioSet writes them."""
    with _opened(path, "", True) as (file, _):
        head = file.read(_HEAD)
        passed, named = _comments(head)
        first = "".join(head.splitlines(True)[passed:]).lstrip("\r\n").removeprefix(_COMMENT * named).partition("\n")[0]
        said = _SEPARATOR.fullmatch(first.rstrip("\r"))
        bare = _QUOTED.sub("", first)
        if said and (len(said[1]) != 1 or said[1].isalnum() or said[1] in "\"' "):
            raise ValueError(
                f"{path} must be separated by one sign that is no letter, digit, quote or blank, got {first.strip()!r} "
                "in its first line; write sep=; there, and put that sign between the columns"
            )
        separator = said[1] if said else next((one for one in (",", ";", "\t", "|") if one in bare), ",")
        blanks = not said and separator in bare and all(one[:1] == " " for one in bare.split(separator)[1:])
        file.seek(0)
        before = passed + (1 if said else 0)
        for _ in range(before):
            file.readline()
        if passed:
            tell(f"{path}: passed over above its names: {passed} line{'s' * (passed > 1)} of comment (#)")
        rest = itertools.chain([file.readline().removeprefix(_COMMENT)], file) if named else file
        read = quoted_rows(path, _unmarked(path, rest, before), separator, before, blanks=blanks)
        yield from _table(path, ((number, cells, -1) for number, cells in read))


def _comments(head: str) -> tuple[int, bool]:
    """How many lines of comment a table begins with, and whether one more has the names, "# YTID, start_seconds": they
    are plain words, as many as the next line has cells."""
    lines = head.splitlines()
    count = next((number for number, line in enumerate(lines) if not line.startswith(_COMMENT)), 0)
    if not count:
        return 0, False
    names = [name.strip() for name in lines[count - 1].removeprefix(_COMMENT).split(",")]
    cells = _QUOTED.sub("", lines[count]).split(",")
    named = len(names) == len(cells) > 1 and all(map(str.isidentifier, names))
    return count - named, named


def _tsv(path: Path) -> Iterator[Found]:
    """Separated by tabs; blanks behind them as in :func:`_csv`."""
    yield from _table(path, _tabbed(path))


def _tabbed(path: Path) -> Iterator[tuple[int, list[str], int]]:
    blanks: bool | None = None
    for number, text, place in _lines(path, True):
        first, *others = text.split("\t")
        blanks = all(one[:1] == " " for one in others) if blanks is None else blanks
        cells = [first, *(one.lstrip(" ") for one in others)] if blanks else [first, *others]
        yield number, marked([_unquoted(cell) for cell in cells], cells), place


def _unquoted(cell: str) -> str:
    """The cell without the quotes that some programs put around one that holds quotes, and others do not."""
    inner = cell[1:-1]
    quoted = len(cell) > 1 and cell[0] == cell[-1] == '"' and '"' not in inner.replace('""', "")
    return inner.replace('""', '"') if quoted else cell


def _table(path: Path, found: Iterator[tuple[int, list[str] | ValueError, int]]) -> Iterator[Found]:
    """Cells by the names in the first line that is not empty; empty ones are missing, and so are those behind the end
    of a row, which is told."""
    found = _without_formulas(path, found)
    first: list[str] | ValueError = next(
        (cells for _, cells, _ in found if isinstance(cells, ValueError) or any(cells)), []
    )
    short, many = 0, 0
    if isinstance(first, ValueError):
        raise first
    if why := no_text_in(f"the first line of {path}", "".join(first)):
        raise ValueError(why)
    head = [name.strip() or f"column {number}" for number, name in enumerate(first, 1)]
    double = sorted({name for name in head if head.count(name) > 1})
    if double:
        raise ValueError(
            f"{path} must have different names in its first line, got {', '.join(double)} more than once; "
            "rename the columns"
        )
    for number, cells, place in found:
        where = f"line {number} of {path}"
        if isinstance(cells, ValueError):
            yield number, where, cells, place
        elif len(cells) > len(head):
            reason = f"{where} must have at most the {len(head)} cells of the first line, got {len(cells)}; "
            reason += "put a cell that holds the separator in quotes, with no blank before them"
            yield number, where, ValueError(reason), place
        elif why := next((why for cell in cells if (why := no_text_in(f"a cell of {where}", cell))), ""):
            yield number, where, ValueError(why), place
        elif any(cells):
            short, many = short or number * (len(cells) < len(head)), many + (len(cells) < len(head))
            yield number, where, {name: cell for name, cell in zip(head, cells, strict=False) if cell}, place
    if many and path.suffix.lower() != ".txt":  # which may be no table at all
        tell(
            f"{path}: {many} row{'s' * (many > 1)} with fewer than the {len(head)} cells of the first line, so the "
            f"last are missing (the first is line {short})"
        )


def _without_formulas(
    path: Path, found: Iterator[tuple[int, list[str] | ValueError, int]]
) -> Iterator[tuple[int, list[str] | ValueError, int]]:
    """Rows with x for ="x", as programs write what a spreadsheet should take for words and not for a number."""
    told = False
    for number, cells, place in found:
        if not isinstance(cells, ValueError) and any(map(_FORMULA.fullmatch, cells)):
            if not told:
                tell(f'{path}: cells like ="x" are formulas for spreadsheets and are read as x')
            told, cells = True, [one[1] if (one := _FORMULA.fullmatch(cell)) else cell for cell in cells]
        yield number, cells, place


def _parquet(path: Path) -> Iterator[Found]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(path) as file:
            number, names = 0, file.schema_arrow.names
            if double := sorted({name for name in names if names.count(name) > 1}):
                raise ValueError(f"several columns are called {', '.join(double)}")
            for batch in file.iter_batches(_FEW if "binary" in str(file.schema_arrow) else 1024):
                for row in batch.to_pylist():
                    number += 1
                    yield number, f"row {number} of {path}", row, number - 1
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"{path} must be a whole Parquet table, but cannot be read ({reason}); copy it again"
        ) from error


def _paths(path: Path, stream: str) -> Iterator[Found]:
    for number, line in lines(path):
        yield number, f"line {number} of {path}", {stream: line.strip()}, -1

"""Rows of text files one by one, with the place of each, and one of them again by its place.

Arrow: .jsonl or .json --**objects**--> objects and places --**cell_at**--> a value. Does not know: manifests, media.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, TextIO

from tokenmask.cli.objects import Watching
from tokenmask.files import coding_of

_PART = 1 << 16  # characters of an array that are read at once
_MARK = b"\xef\xbb\xbf"


class Line(NamedTuple):
    """A line of text that holds more than blanks.

    Args:
        number: from 1.
        text: without its end.
        place: byte at which it begins; -1 in a file that is not UTF-8.
    """

    number: int
    text: str
    place: int


def placed(file: Iterable[str], begin: bytes) -> Iterator[Line]:
    """The lines of an open file, whose line ends are kept; only line feeds end a line, or, in a file without any,
    carriage returns.

    Args:
        file: its lines, opened with ``newline="\\n"``.
        begin: its first four bytes.
    """
    plain = coding_of(begin) == "utf-8-sig"
    place = len(_MARK) if begin.startswith(_MARK) else 0
    for number, line in enumerate(file, 1):
        if number == 1 and not line.endswith("\n"):
            yield from (Line(one, text, -1) for one, text in enumerate(line.split("\r"), 1) if text.strip())
            return
        if line.strip():
            yield Line(number, line.removesuffix("\n").removesuffix("\r"), place if plain else -1)
        place += len(line.encode(errors="surrogateescape")) if plain else 0


def elements(file: TextIO, begin: bytes, decoder: Watching) -> Iterator[tuple[int, Any, int]]:
    """(number, value, place) of the elements of a JSON array, of which one is in memory at a time.

    Args:
        file: at its beginning, opened with ``newline=""``.
        begin: its first four bytes.
        decoder: remembers what was lost of the element that was given last.

    Raises:
        ValueError: no array, or one that does not end; the place is told in characters.
    """
    plain = coding_of(begin) == "utf-8-sig"
    taken, done = "", 0  # what was read and not yet used, characters before it
    place = len(_MARK) if begin.startswith(_MARK) else 0

    def use(count: int) -> None:
        nonlocal taken, done, place
        place += len(taken[:count].encode()) if plain else 0
        taken, done = taken[count:], done + count

    def skip() -> str:
        """The next character that is no blank, "" at the end."""
        nonlocal taken
        while True:
            use(len(taken) - len(taken.lstrip()))
            if taken:
                return taken[0]
            taken = file.read(_PART)
            if not taken:
                return ""

    number = 0
    if skip() != "[":
        raise ValueError(f"it begins with {taken[:12]!r}")
    use(1)
    if skip() == "]":
        use(1)
    else:
        while True:
            number += 1
            skip()
            while True:
                try:
                    value, stop = decoder.afresh().raw_decode(taken)
                    problem = ""
                except ValueError as error:
                    problem = f"element {number}, which begins at character {done + 1}, is none ({error})"
                if not problem and stop < len(taken):  # else a number may go on
                    break
                more = file.read(max(_PART, len(taken)))
                if not more and problem:
                    raise ValueError(problem)
                if not more:
                    break
                taken += more
            yield number, value, place if plain else -1
            use(stop)
            mark = skip()
            use(1)
            if mark == "]":
                break
            if mark != ",":
                raise ValueError(f"element {number} is followed by {mark!r}" if mark else "it does not end")
    if skip():
        raise ValueError(f"{taken[:12]!r} stands behind its end")


def cell_at(path: Path, column: str, place: int) -> Any:
    """A value of the row that begins at a byte of a .jsonl, .json or .tsv file.

    Raises:
        ValueError, LookupError, OSError: the file has changed meanwhile.
    """
    with path.open("rb") as file:
        head = file.readline().removeprefix(_MARK)
        file.seek(place)
        if path.suffix.lower() == ".tsv":
            names = [name.strip() for name in head.decode().rstrip("\r\n").split("\t")]
            return file.readline().decode().rstrip("\r\n").split("\t")[names.index(column)]
        size, held = _PART, b""
        while True:
            more = file.read(size)
            held += more
            try:
                return json.JSONDecoder().raw_decode(held.decode(errors="ignore"))[0][column]
            except ValueError:
                if not more:
                    raise
                size = len(held)

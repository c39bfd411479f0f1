"""Prompts: a file of what is given, one request a line.

Arrow: .txt or manifest --**prompts**--> what is given, request by request. Does not know: how it is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from tokenmask.cli import manifests
from tokenmask.cli.asked import Reading
from tokenmask.cli.drawing import condition, loaded
from tokenmask.corpus.encoding import sentence
from tokenmask.generation import sees
from tokenmask.medium import said
from tokenmask.run import Run
from tokenmask.run.asked import Wish, asked_of
from tokenmask.streams import TokenStream
from tokenmask.telling import tell


class Prompts(NamedTuple):
    """What a file holds.

    Args:
        given: of each request, by its number in the file; those that are none leave theirs out.
        where: each stands in the file, for messages.
        failed: where those stand that are no requests, and why.
    """

    given: dict[int, dict[str, Any]]
    where: list[str]
    failed: list[tuple[str, str]]


def prompts(path: Path, run: Run, stream: str, given: Mapping[str, Any], reading: Reading) -> Prompts:
    """What is given of each request, and where it stands.

    Args:
        path: a .txt file, each line of which is words (blank ones are passed over, which is told), or a manifest with
            columns named as streams.
        run: whose streams are meant.
        stream: what is filled; words go to the other stream that takes them, or begin this one if there is no other.
        given: of all requests alike.
        reading: how their files are read.

    Raises:
        ValueError: not readable, nothing in it, no row that is a request, or a stream that is given already.
    """
    failed: list[tuple[str, str]] = []
    found: dict[int, dict[str, Any]] = {}
    if path.suffix.lower() in manifests.SUFFIXES:
        where = []
        unused: dict[str, None] = {}
        words = [name for name, one in run.tokenizers.items() if said(one.media, "words")]
        for number, row in enumerate(manifests.rows(path, run.tokenizers, words=words)):
            where.append(row.where)
            columns = () if row.problem else row.columns
            unused |= dict.fromkeys(one for one in columns if one not in row.taken.values() or one in ("key", "split"))
            try:
                found[number] = _of_row(path, row, run, reading)
            except (ValueError, OSError) as error:
                failed.append((row.where, sentence(error)))
        if unused:
            tell(
                f"{path}: columns that no stream takes are not used, samples are numbered by rows: {', '.join(unused)}"
            )
    elif path.suffix.lower() == ".txt":
        name = _of_words(run, stream, path)
        numbered = list(manifests.lines(path))
        found = {number: {name: line} for number, (_, line) in enumerate(numbered)}
        where = [f"line {at} of {path}" for at, _ in numbered]
        if blank := numbered[-1][0] - len(numbered) if numbered else 0:
            tell(f"{path}: {blank} blank line{'s' * (blank > 1)} passed over; samples are numbered without")
    else:
        known = ", ".join((".txt", *manifests.SUFFIXES))
        raise ValueError(f"a file of prompts must end in {known}, got {path.name!r}; rename it")
    if failed and not found:
        raise ValueError(failed[0][1])
    if not found:
        raise ValueError(f"{path} must hold a prompt a line, but holds none; write one, or use --given")
    double = next((name for one in found.values() for name in one if name in given), None)
    if double is not None:
        raise ValueError(f"a stream is given once, but {double!r} is in --given and in {path}; take one of them out")
    return Prompts({number: {**given, **one} for number, one in found.items()}, where, failed)


def fillable(held: Prompts, run: Run, wish: Wish) -> Prompts:
    """Those that can be filled as ``wish`` says, with their files read: one that cannot does not stop the others.

    Raises:
        ValueError: none can.
    """
    found, failed = {}, list(held.failed)
    for number, given in held.given.items():
        try:
            found[number] = {name: _read(run, name, value, name == wish.stream) for name, value in given.items()}
            (asked,) = asked_of(run.inputs, replace(wish, given=found[number]))
            if sees(asked.request, run.layout, run.recipe.packing) is None:
                asked.request.pack(run.layout, run.recipe.packing)
        except (ValueError, TypeError, OSError) as error:
            found.pop(number, None)
            failed.append((held.where[number], sentence(error)))
    if not found:
        raise ValueError(failed[0][1] if held.failed else f"{failed[0][0]}: {failed[0][1]}")
    return Prompts(found, held.where, failed)


def _read(run: Run, name: str, value: Any, begins: bool) -> Any:
    """Tokens, once for all that is done with them; of what is continued the media, parts of which come back."""
    value = loaded(value)
    if begins and not isinstance(value, TokenStream):
        return run.inputs.media(name, value)
    return run.inputs.tokens(name, value)


def _of_row(path: Path, row: manifests.Row, run: Run, reading: Reading) -> dict[str, Any]:
    if row.problem:
        raise ValueError(row.problem)
    given: dict[str, Any] = {}
    for name in run.tokenizers:
        value = row.values.get(name)
        if value is None:
            continue
        kind: Any = run.tokenizers[name].media
        if not isinstance(value, str):
            raise ValueError(f"{row.where} must give words or a path for {name!r}, got {type(value).__name__}; mend it")
        if "\0" in value:
            raise ValueError(f"{row.where} must give {name!r} without characters of code 0, but holds one; mend it")
        given[name] = value if said(kind, "words") else condition(run, name, str(path.parent / value), reading)
    return given


def _of_words(run: Run, stream: str, path: Path) -> str:
    """The stream that takes the lines of a .txt file."""
    words = [name for name, one in run.tokenizers.items() if said(one.media, "words")]
    words = [name for name in words if name not in run.layout.shares] or words  # labels share the words of texts
    others = [name for name in words if name != stream] or words
    if len(others) != 1:
        raise ValueError(
            f"{path} holds words, which {len(others)} streams of {run.folder} take ({', '.join(others) or 'none'}); "
            "name the streams in the first line of a .csv file, or in a .jsonl file"
        )
    return others[0]

"""Tables that name files which lie beside them: metadata.csv of Hugging Face, ESC-50, Common Voice.

Arrow: folder --**tables**--> entries. Does not know: other layouts, how media are read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeGuard

from tokenmask.cli import manifests
from tokenmask.cli.folders import CAPTIONS
from tokenmask.cli.layouts.entry import (
    SPLITS,
    WORDS,
    Entry,
    Layout,
    captions,
    left_out,
    modality_of,
    split_of,
    told,
)
from tokenmask.cli.layouts.entry import beside as beside_it
from tokenmask.cli.missing import Missing
from tokenmask.cli.nearly import nearly
from tokenmask.cli.packed import Part
from tokenmask.cli.spool import Spool
from tokenmask.telling import tell

_KINDS = (".csv", ".tsv", ".jsonl")
_NUMBERED = re.compile(r"([a-z_]+?)_?(\d+)")
_OF_FILM = re.compile(r"Y(.+)_\d+(?:\.\d+)?")
Place = tuple[str, Path, Mapping[str, Path]]  # a column, the folder of its files, and files by values that are no names
_BESIDE = ("", "clips", "audio", "audios", "wavs", "images", "files")  # folders in which tables have their files
_TABLES = 64  # files of JSON or text that may be tables; where there are more, they are one beside each of the media
_FIRST = 64  # rows of a table by which its columns are told
_LEAST = 0.5  # share of rows whose files must be there where a table names them without their endings
_MOST = 16  # other folders beside a table that are tried, and columns of a table in a file of text


def tables(folder: Path, files: list[Path], modalities: Collection[str], columns: Mapping[str, str]) -> Layout | None:
    """Rows of tables in the folder or one below; captions beside the files go before, and so do tables of splits."""
    stems = {name.with_suffix("") for name in files if name.suffix.lower() in CAPTIONS}
    if any(name.with_suffix("") in stems for name in files if modality_of(name.name, modalities)):
        return None
    named = [
        name for name in files if name.suffix.lower() in _KINDS and len(name.parts) <= 2 + (name.stem == "metadata")
    ]
    named += [name for name in files if name.name == "metadata.parquet" and len(name.parts) <= 3]
    for ending, is_table in ((".json", _is_array), (".txt", _heads)):
        own = [name for name in files if name.suffix.lower() == ending and len(name.parts) <= 2]
        named += [name for name in own if len(own) <= _TABLES and is_table(folder / name)]
    beside = sorted({name.parts[0] for name in files if len(name.parts) > 1 and modality_of(name.name, modalities)})
    found: dict[Path, Spool[Entry]] = {}
    taken: dict[str, str] = {}
    nothing: list[tuple[Path, str]] = []
    blank: list[Any] = []
    for name in named:
        try:
            rows = Spool(manifests.rows(folder / name, (), as_csv=name.suffix.lower() == ".txt"))
        except ValueError:
            if name.stem == "metadata":
                raise
            continue  # a table of something else
        if headless := _headless(folder / name, rows, modalities):
            tell(
                f"{folder / name} is not read, for its first line names no columns but a file ({headless[:60]}); write "
                "a line of names above it, such as file_name,text"
            )
            continue
        problem = next((row.problem for row in rows if not row.columns), "")
        if problem and not any(row.columns for row in rows):
            if name.stem == "metadata":
                raise ValueError(problem)
            tell(f"{folder / name} tells of no files: {problem}")
        places = _places(folder / name, rows, modalities, columns, beside[:_MOST])
        places |= _by_stem(folder, files, rows, [one for one in modalities if one not in places], columns)
        if not places and (wrong := _names_nothing(rows, modalities)):
            nothing.append((name, wrong))
        if places:
            held = {column for row in rows for column in row.others}
            words = [columns["text"]] if "text" in columns else _words_in(held)
            words = words if "text" in modalities else []
            taken |= {modality: column for modality, (column, *_) in places.items()}
            taken |= {"text": ", ".join(words)} if words else {}
            gone = Missing(folder / name)
            found[name] = Spool(
                entry for row in rows for entry in _entries(folder, name, row, places, words, blank, gone)
            )
            gone.tell()
    if not found:
        for name, wrong in nothing:
            near = next((why for one in _BESIDE if (why := nearly((folder / name).parent / one / wrong))), "")
            tell(
                f"{folder / name} is not read, for no file that it names is there (its first is {wrong[:60]!r}); "
                + (near or "write their paths below the table, with / between folders")
            )
        return None
    if any(split_of(name) for name in found):  # beside those of splits lie tables of all, and of what was thrown out
        found = {name: entries for name, entries in found.items() if split_of(name)}
    entries = Spool(entry for one in found.values() for entry in one)
    return Layout(
        f"{', '.join(map(str, found))} ({told(taken)})",
        entries,
        [folder / name for name in found],
        [*taken.values()],
        left_out(blank),
    )


def _headless(path: Path, rows: Sequence[manifests.Row], modalities: Collection[str]) -> str:
    """The file that stands where the name of a column should, "" in a table with a line of names."""
    first = next((row.columns for row in rows if row.columns), ())
    there = (one for one in first if path.suffix.lower() in (".csv", ".tsv", ".txt") and modality_of(one, modalities))
    return next((one for one in there if any((path.parent / place / one).is_file() for place in _BESIDE)), "")


def _words_in(columns: Collection[str]) -> list[str]:
    """The column of words, the likeliest one, without regard to case and blanks around it; where there is none, those
    of several captions, caption_1 and so on, as Clotho has them."""
    alike = {column.strip().lower(): column for column in columns}
    if single := next((alike[one] for one in WORDS if one in alike), ""):
        return [single]
    parts = {one: match for one in sorted(alike) if (match := _NUMBERED.fullmatch(one)) and match[1] in WORDS}
    first = min((match[1] for match in parts.values()), key=WORDS.index, default="")
    numbers = {int(match[2]): alike[one] for one, match in parts.items() if match[1] == first}
    return [numbers[number] for number in sorted(numbers)]


def _names_nothing(rows: Sequence[manifests.Row], modalities: Collection[str]) -> str:
    """The first file that a table names; "" for tables of something else."""
    cells = (value for row in rows[:_FIRST] for value in row.others.values())
    return next((one for one in cells if isinstance(one, str) and modality_of(one, modalities)), "")


def _some(rows: Sequence[manifests.Row]) -> list[manifests.Row]:
    """The first rows, and as many from all over the table: of a copy in part the first may all be missing."""
    return [*rows[:_FIRST], *(rows[place] for place in range(_FIRST, len(rows), len(rows) // _FIRST + 1))]


def _places(
    path: Path,
    rows: Sequence[manifests.Row],
    modalities: Collection[str],
    columns: Mapping[str, str],
    beside: Sequence[str],
) -> dict[str, Place]:
    """modality -> the column that names its files, and the folder in which they lie, told by the first rows."""
    found: dict[str, Place] = {}
    some = _some(rows)
    for column in dict.fromkeys(name for row in some for name in row.others):
        for value in [row.others.get(column) for row in some]:
            modality = modality_of(value, modalities) if isinstance(value, str) else None
            if (
                not isinstance(value, str)
                or modality is None
                or columns.get(modality, column) != column
                or modality in found
            ):
                continue
            above = [path.parent / one for one in (*_BESIDE, *beside)]
            above += [path.parent.parent / one for one in _BESIDE[1:]]
            place = next((one for one in above if beside_it(one, value).is_file()), None)
            if place is not None:
                found[modality] = (column, place, {})
        several = next((one for row in some if _is_list(one := row.others.get(column), modalities)), None)
        if several and (path.parent / several[0]).is_file():
            raise ValueError(
                f"{path} must name one file a row, but its column {column!r} holds lists ({', '.join(several)[:60]}); "
                "give each file a row of its own with file_name"
            )
    return found


def _by_stem(
    folder: Path,
    files: Sequence[Path],
    rows: Sequence[manifests.Row],
    modalities: Collection[str],
    columns: Mapping[str, str],
) -> dict[str, Place]:
    """The same, where the values of one column are names of files, without their endings or, as UrbanSound8K has a
    folder a fold, with them, of half of the rows or more, and of more rows than those of any other: sounds and films
    that were not to be had are missing in many copies.

    A file Yxyz_0.wav is that of xyz too, as AudioCaps calls what it took from a place in time of a film.
    """
    found: dict[str, Place] = {}
    first = next((row.others for row in rows if row.columns), {})
    for modality in modalities:
        stems: dict[str, list[Path]] = {}
        for name in files:
            if modality_of(name.name, [modality]):
                stems.setdefault(name.stem, []).append(folder / name)
                stems.setdefault(name.name, []).append(folder / name)
                if film := _OF_FILM.fullmatch(name.stem):
                    stems.setdefault(film[1], []).append(folder / name)
        known = {stem: paths[0] for stem, paths in stems.items() if len(paths) == 1}
        shares = {
            column: _share(rows, column, known)
            for column in (first if known else ())
            if columns.get(modality, column) == column
        }
        most = max(shares.values(), default=0.0)
        named = [column for column, share in shares.items() if share == most]
        if most >= _LEAST and len(named) == 1:
            found[modality] = (named[0], folder, known)
    return found


def _share(rows: Sequence[manifests.Row], column: str, known: Mapping[str, Path]) -> float:
    """Of how many rows a column holds what is known, as a share; 0 for numbers, of which some often are, if not all."""
    held, words = [], False
    for row in rows:
        if row.columns:
            value = str(row.others.get(column))
            held.append(value in known)
            words = words or not value.isdecimal()
    return sum(held) / len(held) if held and (words or all(held)) else 0.0


def _is_array(path: Path) -> bool:
    """Whether a file holds an array of objects in JSON, as its first letters tell; those beside pictures hold none."""
    try:
        with path.open("rb") as file:
            return re.match(rb"(?:\xef\xbb\xbf)?\s*\[\s*\{", file.read(256)) is not None
    except OSError:
        return False


def _heads(path: Path) -> bool:
    """Whether a file of text begins with names of columns, one of which is known: captions.txt of Flickr8k."""
    try:
        first = next((line for _, line in manifests.lines(path)), "")
    except ValueError:
        return False
    names = [name.strip().strip('"').lower() for name in re.split(r"[,;|\t]", first)]
    return 2 <= len(names) <= _MOST and any(name in WORDS for name in names)


def _is_list(value: object, modalities: Collection[str]) -> TypeGuard[list[str]]:
    return isinstance(value, list) and any(isinstance(one, str) and modality_of(one, modalities) for one in value[:1])


def _entries(
    folder: Path,
    name: Path,
    row: manifests.Row,
    places: Mapping[str, Place],
    words: Sequence[str],
    blank: list[Any],
    gone: Missing,
) -> list[Entry]:
    """The records of a row: one, or one for each of several captions."""
    where, others = f"{name}:{row.number}", dict(row.others)
    if not row.columns:
        return [Entry(where, {}, problem=row.problem)]
    media: dict[str, str | Path | Part] = {}
    for modality, (column, place, known) in places.items():
        value = others.pop(column, None)
        if known or isinstance(value, str):
            media[modality] = known.get(str(value), beside_it(place, str(value)))
    paths = [path for path in media.values() if isinstance(path, Path)]
    none = gone.without(words, others, row.missing, row.number)
    said: list[str] = []
    for column in words:
        value = others.pop(column, None)
        try:
            said += captions(None if column in none else value, blank)
        except ValueError as error:
            problem = f"line {row.number} of {folder / name}, {column!r}: {error}; mend the line"
            return [Entry(where, {}, problem=problem)]
    if not paths:
        return [Entry(where, {}, problem=f"line {row.number} of {folder / name} must name a file, but does not")]
    place = Path(os.path.normpath(paths[0].absolute()))  # meta/../images/1.png is images/1.png
    home = Path(os.path.normpath(folder.absolute()))
    split = SPLITS.get(str(row.values.get("split", "")).lower()) or split_of(name) or split_of(name.parent.name)
    key = place.relative_to(home).as_posix() if place.is_relative_to(home) else where
    return [Entry(key, media | ({"text": one} if one else {}), split, others) for one in said or [""]]

"""Records to be: items out of rows of manifests and entries of layouts, their keys, groups and splits.

Arrow: rows, entries --**manifest_items**, **laid_out**--> Item. Does not know: where sources are, what media are.
"""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from tokenmask.cli import layouts, manifests
from tokenmask.cli.embedded import Embedded, embedded
from tokenmask.cli.found import Items, broken, of_stream
from tokenmask.cli.layouts.entry import SPLITS, beside, captions, left_out
from tokenmask.cli.media import Broken, Loader, is_held_out, is_words, medium, suffixes_of
from tokenmask.cli.packed import Part, packed
from tokenmask.cli.show import escaped
from tokenmask.corpus import HELD_OUT, TRAIN, Item
from tokenmask.corpus.keys import check_key
from tokenmask.files import text_of
from tokenmask.telling import tell


def is_manifest(path: Path, modalities: Mapping[str, str]) -> bool:
    """A .txt file is one, a list of paths, where no stream takes text and one stream takes all."""
    suffix = path.suffix.lower()
    listed = suffix == ".txt" and len(modalities) == 1 and not any(map(is_words, modalities.values()))
    return path.is_file() and (suffix in manifests.SUFFIXES or listed)


def manifest_items(path: Path, modalities: Mapping[str, str], columns: Mapping[str, str], seen: set[str]) -> Items:
    """Items of the rows; a row that is no record becomes an item that fails, unless all are such.

    Args:
        path: of the manifest.
        modalities: stream name -> modality.
        columns: stream name -> column.
        seen: gets the names of all columns.
    """
    found = Items()
    first, blank = "", list[Any]()
    words = [name for name, modality in modalities.items() if is_words(modality)]
    for row in manifests.rows(path, modalities, columns, words=words):
        seen.update(row.columns)
        try:
            for one in _each_caption(row, modalities, blank):
                found.append(_of_row(path, one, modalities))
        except ValueError as error:
            first = first or str(error)
            found.append(broken(f"{path.name}:{row.number}", str(error)))
    stream = next((name for name in modalities if name in found.streams), "")
    if first and not stream:
        raise ValueError(first)
    if first:
        found.change(of_stream(stream, medium(modalities[stream])))
    for note in left_out(blank):
        tell(f"{path}: {note}")
    return found


def _each_caption(row: manifests.Row, modalities: Mapping[str, str], blank: list[Any]) -> Iterator[manifests.Row]:
    """The row, or one for each of a list of captions, of which all but the first have numbers behind their keys."""
    lists = {
        name: _captions(row, name, value, blank)
        for name, value in row.values.items()
        if isinstance(value, list | dict) and name in modalities and is_words(modalities[name])
    }
    if not lists:
        yield row
        return
    key = str(row.values.get("key", ""))
    for number in range(max(1, *map(len, lists.values()))):
        values = {name: value for name, value in row.values.items() if name not in lists}
        values |= {name: words[number] for name, words in lists.items() if number < len(words)}
        more = f"#{number + 1}" if number else ""
        yield row._replace(values=values | ({"key": key + more} if key else {}), part=more)


def _captions(row: manifests.Row, name: str, value: Any, blank: list[Any]) -> list[str]:
    try:
        return captions(value, blank)
    except ValueError as error:
        raise ValueError(f"{row.where}, {name!r}: {error}; mend the row") from error


def _of_row(path: Path, row: manifests.Row, modalities: Mapping[str, str]) -> Item:
    if row.problem:
        raise ValueError(row.problem)
    media: dict[str, Loader] = {}
    words: list[str] = []
    paths: list[str] = []
    for name, modality in modalities.items():
        value = row.values.get(name)
        if value is None:
            continue
        inline = is_words(modality)
        held = embedded(value) if not inline else None
        if held is not None:
            media[name] = _embedded(path, row, name, modality, held)
            paths.append(hashlib.sha256(held.content).hexdigest())
            continue
        value = _said(row, name, value, words=inline)
        if inline and not value.strip() and any(row.values.get(other) for other in modalities if other != name):
            continue  # an empty caption is none
        if not inline and not value.strip():
            raise ValueError(
                f"{row.where} must give the path of a file for {name!r}, got {value!r}; leave the cell out"
            )
        if not inline and "://" in value:
            raise ValueError(
                f"{row.where} must give the path of a file for {name!r}, got the address {value[:80]}; addresses are "
                "not fetched, download the file first"
            )
        (words if inline else paths).append(value)
        media[name] = Loader(medium(modality), value if inline else beside(path.parent, value))
    if not media:
        raise ValueError(
            f"{row.where} must have one of {', '.join(modalities)}, but the list in it holds nothing; fill it, or take "
            "the row out"
        )
    said = row.values.get("split") or None
    split = said if said in (None, TRAIN, HELD_OUT) else SPLITS.get(str(said).lower())
    if said is not None and split is None:
        raise ValueError(
            f"{row.where} must have the split {TRAIN!r} or {HELD_OUT!r} (val and test are so), got {said!r}; write "
            "one of these, or nothing"
        )
    group = without_ending(paths[0]) if paths else "\n".join(words)
    named = row.values.get("key", f"{path.name}:{row.number}{row.part}")
    if not isinstance(named, str | int | float):
        raise ValueError(f"{row.where} must have words or a number as its key, got {str(named)[:60]}; write one")
    key = str(named)
    try:
        check_key(key)
    except ValueError as error:
        raise ValueError(f"{row.where}: {error}") from error
    return item_of(key, media, group, split, row.others)


def _said(row: manifests.Row, name: str, value: Any, *, words: bool) -> str:
    """The words or the path in a cell: itself, the only one of a list, or the path of a cell of `datasets`."""
    if isinstance(value, list) and len(value) == 1 and not words:
        (value,) = value
    if isinstance(value, dict) and not words and value.keys() <= {"bytes", "path"}:
        value = value.get("path")
    if isinstance(value, bytes) and words:
        try:
            return text_of(value)
        except UnicodeDecodeError as error:
            raise ValueError(f"{row.where} must give words for {name!r}, but its bytes are no UTF-8") from error
    if isinstance(value, str):
        if words and any(0xD800 <= ord(letter) < 0xE000 for letter in value):
            raise ValueError(f"{row.where} must give characters for {name!r}, but holds a lone surrogate; mend the row")
        if "\0" in value:
            raise ValueError(
                f"{row.where} must give {name!r} without characters of code 0, but holds one; mend the row"
            )
        return value
    got = f"an object with {', '.join(map(str, value))[:60]}" if isinstance(value, dict) else type(value).__name__
    if isinstance(value, list):
        got = f"a list of {len(value)}; write a row for each" if not words else f"a list of {len(value)}"
    what = "words, or a list of them," if words else "one path, or the file itself as bytes or base64,"
    advice = "" if ";" in got else "; write it in quotes" if isinstance(value, int | float) else "; mend the row"
    raise ValueError(f"{row.where} must give {what} for {name!r}, got {got}{advice}")


def _embedded(path: Path, row: manifests.Row, name: str, modality: str, held: Embedded) -> Loader:
    """Reads the file that a cell holds."""
    endings = suffixes_of(modality)
    if row.place < 0:
        raise ValueError(
            f"{row.where} holds the file of {name!r} itself, which can be read from .jsonl, .json and .tsv in UTF-8 "
            "and from .parquet; write the table as one of these"
        )
    suffix = Path(held.name).suffix
    part = Part(
        path, (row.taken[name], row.place), f"{row.number}{suffix if suffix.lower() in endings else endings[0]}"
    )
    return packed(medium(modality), part)


def laid_out(source: Path, home: str, entries: Sequence[layouts.Entry], modalities: Mapping[str, str]) -> Items:
    """Items of entries; an entry that is none becomes an item that fails, and several of one key get numbers.

    The splits of the layout count where it has both; a part of one alone is split as all other sources are.

    Raises:
        ValueError: all entries are none.
    """
    found = Items()
    split: set[str | None] = set()
    held: set[str] = set()
    problem = ""
    hashes = array("q")
    for entry in entries:
        split.add(entry.split)
        held.update(entry.media)
        problem = problem or entry.problem
        hashes.append(hash(entry.key))
    if problem and not held:
        raise ValueError(problem)
    splits = split >= {TRAIN, HELD_OUT}
    several = _several(hashes)
    keys: Counter[str] = Counter()
    stream = next((name for name, one in modalities.items() if one in held or (is_words(one) and "text" in held)), "")
    for entry in entries:
        if not entry.media and not entry.problem:
            continue
        key = f"{home}/{entry.key}"
        if hash(entry.key) in several:
            keys[entry.key] += 1
            key += f"#{keys[entry.key]}" if keys[entry.key] > 1 else ""
        if entry.problem:
            found.append(Item(key, {stream: Broken(medium(modalities[stream]), key, reason=entry.problem)}, TRAIN))
            continue
        media: dict[str, Loader] = {}
        for kind, value in entry.media.items():
            name = words_of(modalities, source) if kind == "text" else stream_of(kind, modalities, source)
            media[name] = _loader(modalities[name], value, one_line=kind == "text")
        first = next((value for value in entry.media.values() if isinstance(value, Path)), None)
        group = entry.key if first is None else without_ending(below(source, first))
        found.append(item_of(key, media, group, entry.split if splits else None, dict(entry.metadata)))
    return found


def _several(hashes: array[int]) -> set[int]:
    """The hashes that are there more than once; of a million different ones nothing but these numbers is held."""
    values, counts = np.unique(np.frombuffer(hashes, np.int64), return_counts=True)
    return set(values[counts > 1].tolist())


def _loader(modality: str, value: str | Path | Part, *, one_line: bool) -> Loader:
    if isinstance(value, Part):
        return packed(medium(modality), value, one_line=one_line)
    return Loader(medium(modality), value, one_line and isinstance(value, Path))


def without_ending(name: str) -> str:
    """A path without the ending of its file; of what is no path of a file (".", ".."), whose reading fails, itself."""
    path = Path(name)
    return path.with_suffix("").as_posix() if path.name else path.as_posix()


def below(folder: Path, path: Path) -> str:
    """The name of a file below a folder; its own name if it lies elsewhere."""
    inside = path.is_relative_to(folder) and ".." not in path.relative_to(folder).parts
    return path.relative_to(folder).as_posix() if inside else path.name


def item_of(key: str, media: dict[str, Loader], group: str, split: str | None, metadata: dict[str, Any]) -> Item:
    """Without a split of its own an item goes with its group: one file, or one wording, is on one side only.

    A key that is not UTF-8, as names of files from old archives are, becomes an item that fails, by its escaped name;
    so does one that can be no path below a folder.
    """
    reason = ""
    if key != (readable := escaped(key)):
        reason = f"{readable} must be a name in UTF-8 to be the key of a record, but is not; rename the file"
        key = readable
    else:
        try:
            check_key(key)
        except ValueError as error:
            reason = str(error)
    if reason:
        media = {name: Broken(loader.kind, loader.value, reason=reason) for name, loader in media.items()}
    return Item(key, media, split or (HELD_OUT if is_held_out(group) else TRAIN), metadata)


def words_of(modalities: Mapping[str, str], source: Path) -> str:
    """The stream that takes words, what is found in a text file or a caption."""
    return _only([name for name, modality in modalities.items() if is_words(modality)], "text", source)


def stream_of(modality: str, modalities: Mapping[str, str], source: Path) -> str:
    """The stream that takes a modality."""
    return _only([name for name, found in modalities.items() if found == modality], modality, source)


def _only(names: Sequence[str], modality: str, source: Path) -> str:
    if len(names) != 1:
        raise ValueError(
            f"{source} holds {modality}, and {len(names)} streams take it ({', '.join(names) or 'none'}); "
            "name the streams in a .jsonl manifest"
        )
    return names[0]

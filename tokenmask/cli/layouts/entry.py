"""Entries: what every layout of a folder gives, and what names of files and folders say.

Arrow: names --> **Entry**, **Layout**. Does not know: any layout, streams, tokens.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tokenmask.cli.media import suffixes_of
from tokenmask.cli.packed import Part
from tokenmask.corpus import HELD_OUT, TRAIN

WORDS = (  # columns of words, the likeliest first
    *("text", "caption", "captions", "transcription", "transcript", "sentence", "normalized_text", "description"),
    *("comment", "prompt", "label", "category", "class"),
)
SPLITS = {"train": TRAIN, "training": TRAIN} | dict.fromkeys(
    ("val", "valid", "validation", "dev", "test", "testing", "eval", "evaluation"), HELD_OUT
)


def beside(folder: Path, name: str) -> Path:
    """The path of a file that a table in a folder names; with \\ between folders too, where it is there so."""
    path = folder / name
    if "\\" in name and not path.exists() and (other := folder / name.replace("\\", "/")).exists():
        return other
    return path


class Entry(NamedTuple):
    """One item.

    Args:
        key: what it is called, below the folder.
        media: modality -> words, the path of a file, or a part of one.
        split: "train" or "held-out", where the layout tells.
        metadata: what is kept besides.
        problem: why there is none; "" if there is.
    """

    key: str
    media: dict[str, str | Path | Part]
    split: str | None = None
    metadata: Mapping[str, Any] = {}
    problem: str = ""


class Layout(NamedTuple):
    """What was found.

    Args:
        name: of the layout, with the columns that were taken.
        entries: its items.
        tables: files that told about the others.
        columns: of them that became media or words.
        notes: sentences on what was left out.
    """

    name: str
    entries: Sequence[Entry]
    tables: list[Path]
    columns: Collection[str] = ()
    notes: Collection[str] = ()


_INSIDE = ("raw", "text", "caption", "sentence")  # of an object, what its words are called


def captions(value: Any, blank: list[Any] | None = None) -> list[str]:
    """The words in a cell: none if it is blank; of a list each, which become records of their own.

    Args:
        value: words, a number, their UTF-8, an object that holds words as "raw", "text", "caption" or "sentence", or a
            list of these.
        blank: gets what holds nothing in a list, as null does.

    Raises:
        ValueError: something else.
    """
    found = value if isinstance(value, list) else [] if value is None else [value]
    said: list[str] = []
    for one in found:
        name = next((name for name in _INSIDE if name in one), None) if isinstance(one, dict) else None
        inner = one if name is None else one[name]
        if name is not None and isinstance(inner, list):
            said += captions(inner, blank)
            continue
        if isinstance(inner, bytes):
            inner = inner.decode()
        if isinstance(inner, dict | list):
            raise ValueError(f"words must be a string or a list of strings, got {str(one)[:60]} among them")
        if inner is not None and str(inner).strip():
            said.append(str(inner))
        elif blank is not None and isinstance(value, list):
            blank.append(one)
    return said


def words_in(about: dict[str, Any], names: Sequence[str] = WORDS) -> list[str]:
    """The words that an object holds under the first of some names that has any, which is taken out of it; [] if none.

    Raises:
        ValueError: something else stands there among words.
    """
    for name in names:
        try:
            said = captions(about[name]) if isinstance(about.get(name), str | list) else []
        except ValueError as error:
            raise ValueError(f"{name!r}: {error}") from error
        if said:
            del about[name]
            return said
    return []


def left_out(blank: Sequence[Any]) -> list[str]:
    """A sentence on captions in lists that hold nothing, in a list; [] where there are none."""
    count = len(blank)
    return [f"left out: {count} caption{'s' * (count > 1)} in lists that hold{'s' * (count == 1)} nothing"] * bool(
        count
    )


def modality_of(name: str, modalities: Iterable[str]) -> str | None:
    """Which of the modalities but text a file of this name is."""
    suffix = Path(name).suffix.lower()
    return next((one for one in modalities if one != "text" and suffix in suffixes_of(one)), None)


def split_of(name: Path | str) -> str | None:
    """What the first folder, or the name of a table or shard, says: train-clean-100, val, test.tsv."""
    first = next(iter(Path(name).parts), "")
    return SPLITS.get(first.split(".")[0].replace("_", "-").split("-")[0].rstrip("0123456789").lower())


def told(columns: Mapping[str, str]) -> str:
    """ "file_name is image, text is text"."""
    return ", ".join(f"{column} is {modality}" for modality, column in columns.items())

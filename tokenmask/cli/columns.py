"""Columns: which of a manifest hold which streams, and what becomes of the others.

Arrow: --map words, items of a manifest --> names, or a refusal. Does not know: kinds of manifests, what media are.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path

from tokenmask.cli.found import Items
from tokenmask.cli.media import is_words, suffixes_of


def mapped(pairs: Iterable[tuple[str, str]], streams: Collection[str]) -> dict[str, str]:
    """(stream, column) pairs as stream name -> column.

    Raises:
        ValueError: no such stream, two columns for a stream, or two streams for a column.
    """
    columns: dict[str, str] = {}
    for stream, column in pairs:
        if stream not in streams:
            raise ValueError(
                f"--map gives columns to the streams {', '.join(streams)}, got {stream!r}; name one of these streams"
            )
        if stream in columns:
            raise ValueError(
                f"--map gives a stream one column, got {columns[stream]!r} and {column!r} for {stream!r}; leave one out"
            )
        other = next((name for name, taken in columns.items() if taken == column), None)
        if other is not None:
            raise ValueError(
                f"--map gives a column to one stream, got {column!r} for {other!r} and {stream!r}; leave one out"
            )
        columns[stream] = column
    return columns


def check_mapped(columns: Mapping[str, str], seen: Collection[str]) -> None:
    """ValueError if a column that was named has no value in any manifest.

    Args:
        columns: of :func:`mapped`.
        seen: names of all columns that hold anything.
    """
    for stream, column in columns.items():
        if column not in seen:
            held = f"they have {', '.join(sorted(seen)[:12])}" if seen else "there is none"
            raise ValueError(
                f"--map {stream}={column} needs manifests with a column {column!r}, but {held}; "
                "name a column that is there"
            )


def check_taken(path: Path, found: Items, modalities: Mapping[str, str]) -> None:
    """ValueError if a manifest names files of a stream that it does not hold, in a column that no stream takes.

    Args:
        path: of the manifest.
        found: its items; columns that no stream takes are their metadata.
        modalities: stream name -> modality.
    """
    for name, modality in modalities.items():
        endings = suffixes_of(modality) if name not in found.streams and not is_words(modality) else ()
        column = next((one for one in _others(found) if endings and _names_files(found, one, endings)), None)
        if column is not None:
            example = str(next(item.metadata[column] for item in found if item.metadata.get(column)))
            raise ValueError(
                f"{path} names files of {modality} in its column {column!r} ({example[-40:]}), which no stream "
                f"takes; add --map {name}={column}, or take the column out"
            )


def check_held(
    found: Items, modalities: Mapping[str, str], needed: Collection[str], sources: Sequence[str | Path]
) -> None:
    """ValueError if no item has one of the streams that are needed; words may lack where no column could hold them."""
    lost, others = _lost(found, [name for name in modalities if name in needed]), _others(found)
    if any(not is_words(modalities[name]) or others for name in lost):
        mapping = f"name one of the other columns ({', '.join(others)}) with --map {lost[0]}=COLUMN, " if others else ""
        raise ValueError(
            f"each stream must have a value somewhere, but nothing in {', '.join(map(str, sources))} has "
            f"{' or '.join(lost)}; {mapping}{'or ' if others else ''}leave the stream out"
        )


def left_over(found: Items, wanted: Collection[str] = ()) -> list[str]:
    """Sentences on the columns that no stream takes, and on streams that were wanted and that nothing holds."""
    others, lost = _others(found), _lost(found, wanted)
    shown = ", ".join(others[:12]) + (", ..." if len(others) > 12 else "")
    said = (
        [f"columns that no stream takes, only kept with the records (--map STREAM=COLUMN): {shown}"] if others else []
    )
    return said + ([f"no item has {' or '.join(lost)}"] if lost else [])


def _lost(found: Items, wanted: Collection[str]) -> list[str]:
    return [name for name in wanted if name not in found.streams]


def _others(found: Items) -> list[str]:
    return sorted(found.columns)


def _names_files(found: Items, column: str, endings: tuple[str, ...]) -> bool:
    """Whether most values of a column are paths with one of the endings; addresses on the web are not."""
    fits = many = 0
    for item in found:
        one = item.metadata.get(column)
        many += one is not None
        fits += isinstance(one, str) and one.lower().endswith(endings) and "://" not in one
    return 2 * fits > many

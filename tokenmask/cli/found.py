"""What was found in sources: items in their order, of which few are in memory, and what all of them hold.

Arrow: Item --**Items**--> Item. Does not know: sources, tokens.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

from tokenmask.cli.media import Broken, Loader
from tokenmask.cli.spool import Spool
from tokenmask.corpus import TRAIN, Item

Change = Callable[[Item], Item]
UNKNOWN = ""  # the stream of an item that failed, until one is known


class Items(Sequence[Item]):
    """Items, and the files that told about them.

    ``streams`` counts the items that have each stream, ``learned`` those of training, ``columns`` those that have each
    column in their metadata.

    Args:
        items: to begin with.
    """

    def __init__(self, items: Iterable[Item] = ()) -> None:
        self._parts: list[tuple[Spool[Item], list[Change]]] = []
        self.tables: list[Path] = []
        self.streams: Counter[str] = Counter()
        self.learned: Counter[str] = Counter()
        self.columns: Counter[str] = Counter()
        self += items

    def append(self, item: Item) -> None:
        """One more at the end."""
        if not self._parts or self._parts[-1][1]:
            self._parts.append((Spool(), []))
        self._parts[-1][0].append(item)
        held = [name for name in item.media if name != UNKNOWN]
        self.streams.update(held)
        self.learned.update(held if item.split == TRAIN else ())
        self.columns.update(item.metadata.keys())

    def __iadd__(self, others: Iterable[Item]) -> Items:
        if isinstance(others, Items):  # as they are, not one by one
            self._parts += others._parts
            for mine, theirs in zip(self._counts, others._counts, strict=True):
                mine.update(theirs)
            self.tables += others.tables
        else:
            for item in others:
                self.append(item)
        return self

    @property
    def _counts(self) -> tuple[Counter[str], Counter[str], Counter[str]]:
        return self.streams, self.learned, self.columns

    def change(self, change: Change) -> None:
        """Each item that is there, from now on, is what ``change`` makes of it when it is asked for."""
        for _, changes in self._parts:
            changes.append(change)

    def __len__(self) -> int:
        return sum(len(part) for part, _ in self._parts)

    def __iter__(self) -> Iterator[Item]:
        for part, changes in self._parts:
            for item in part:
                for change in changes:
                    item = change(item)
                yield item

    @overload
    def __getitem__(self, index: int) -> Item: ...

    @overload
    def __getitem__(self, index: slice) -> list[Item]: ...

    def __getitem__(self, index: int | slice) -> Item | list[Item]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        for part, changes in self._parts:
            if 0 <= place < len(part):
                item = part[place]
                for change in changes:
                    item = change(item)
                return item
            place -= len(part)
        raise IndexError(f"there are {len(self)} items, got number {index}")


def broken(key: str, reason: str) -> Item:
    """An item that fails with a reason, of a stream that :func:`of_stream` gives it."""
    return Item(key, {UNKNOWN: Broken(None, key, reason=reason)}, TRAIN)


def of_stream(stream: str, kind: type) -> Change:
    """What gives items that failed a stream and its kind of media."""

    def change(item: Item) -> Item:
        loader = item.media.get(UNKNOWN)
        if loader is None:
            return item
        made: Loader = Broken(kind, loader.value, reason=loader.reason)
        return Item(item.key, {stream: made}, item.split, item.metadata)

    return change

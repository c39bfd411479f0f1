"""Many values of which few are in memory, in their order: records to be of tables of millions of rows.

Arrow: values --**Spool**--> the same, one by one. Does not know: what they are.
"""

from __future__ import annotations

import dataclasses
import json
import os
import tempfile
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")
AT_ONCE = 512  # values that are in memory together


class Spool(Sequence[T], Generic[T]):
    """A sequence that grows at its end; what it holds lies as JSON in a temporary file without a name.

    Few values make no file. Plain values, paths, named tuples and dataclasses are written, field by field; anything
    else stays in memory, and so do the classes, which the file knows by number alone.

    Args:
        values: to begin with.
    """

    def __init__(self, values: Iterable[T] = ()) -> None:
        self._file: Any = None
        self._starts = array("q", [0])  # where each part of AT_ONCE values begins in the file, and the end
        self._tail: list[T] = []
        self._held: tuple[int, list[T]] = -1, []
        self._kinds: list[type] = []
        self._kept: list[Any] = []
        for value in values:
            self.append(value)

    def append(self, value: T) -> None:
        """One more at the end."""
        self._tail.append(value)
        if len(self._tail) == AT_ONCE:
            self._file = self._file or tempfile.TemporaryFile(prefix="tokenmask-")  # noqa: SIM115 (closed with this)
            self._file.seek(self._starts[-1])
            self._file.write(zlib.compress("\n".join(json.dumps(self._written(one)) for one in self._tail).encode(), 1))
            self._file.flush()
            self._starts.append(self._file.tell())
            self._tail = []

    def __len__(self) -> int:
        return (len(self._starts) - 1) * AT_ONCE + len(self._tail)

    def __iter__(self) -> Iterator[T]:
        for part in range(len(self._starts)):
            yield from self._part(part)

    @overload
    def __getitem__(self, index: int) -> T: ...

    @overload
    def __getitem__(self, index: slice) -> list[T]: ...

    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        place = index + len(self) if index < 0 else index
        if not 0 <= place < len(self):
            raise IndexError(f"there are {len(self)} values, got number {index}")
        return self._part(place // AT_ONCE)[place % AT_ONCE]

    def _part(self, number: int) -> list[T]:
        if number == len(self._starts) - 1:
            return self._tail
        if self._held[0] != number:
            start, stop = self._starts[number : number + 2]
            part = os.pread(self._file.fileno(), stop - start, start)
            self._held = number, [self._read(json.loads(line)) for line in zlib.decompress(part).split(b"\n")]
        return self._held[1]

    def _written(self, value: Any) -> Any:
        """A value as JSON: what is no number, word or None is a list that begins with a letter."""
        kind = type(value)
        if value is None or kind in (bool, int, float, str):
            return value
        if kind in (list, tuple):
            return ["l" if kind is list else "t", *map(self._written, value)]
        if kind is dict:
            return ["d", *([self._written(key), self._written(one)] for key, one in value.items())]
        if isinstance(value, Path):
            return ["p", str(value)]
        named = isinstance(value, tuple) and hasattr(kind, "_fields")
        if named or dataclasses.is_dataclass(kind):
            fields = kind._fields if named else [one.name for one in dataclasses.fields(kind)]
            return ["c", self._number(kind), *(self._written(getattr(value, name)) for name in fields)]
        if isinstance(value, type):
            return ["y", self._number(value)]
        self._kept.append(value)
        return ["k", len(self._kept) - 1]

    def _number(self, kind: type) -> int:
        if kind not in self._kinds:
            self._kinds.append(kind)
        return self._kinds.index(kind)

    def _read(self, written: Any) -> Any:
        """The value that :meth:`_written` wrote."""
        if not isinstance(written, list):
            return written
        letter, *rest = written
        if letter in "lt":
            return (list if letter == "l" else tuple)(map(self._read, rest))
        if letter == "d":
            return {self._read(key): self._read(one) for key, one in rest}
        if letter == "p":
            return Path(rest[0])
        if letter == "k":
            return self._kept[rest[0]]
        if letter == "y":
            return self._kinds[rest[0]]
        kind, values = self._kinds[rest[0]], [self._read(one) for one in rest[1:]]
        if not dataclasses.is_dataclass(kind):
            return tuple.__new__(kind, values)
        made = object.__new__(kind)
        for one, value in zip(dataclasses.fields(kind), values, strict=True):
            object.__setattr__(made, one.name, value)
        return made

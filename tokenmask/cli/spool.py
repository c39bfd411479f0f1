"""Many values of which few are in memory, in their order: records to be of tables of millions of rows.

Arrow: values --**Spool**--> the same, one by one. Does not know: what they are.
"""

from __future__ import annotations

import os
import pickle
import tempfile
import zlib
from array import array
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

T = TypeVar("T")
AT_ONCE = 512  # values that are in memory together


class Spool(Sequence[T], Generic[T]):
    """A sequence that grows at its end; what it holds is pickled into a temporary file without a name.

    Few values make no file. Bytes of the file are this process's own: nobody else can open it.

    Args:
        values: to begin with.
    """

    def __init__(self, values: Iterable[T] = ()) -> None:
        self._file: Any = None
        self._starts = array("q", [0])  # where each part of AT_ONCE values begins in the file, and the end
        self._tail: list[T] = []
        self._held: tuple[int, list[T]] = -1, []
        for value in values:
            self.append(value)

    def append(self, value: T) -> None:
        """One more at the end."""
        self._tail.append(value)
        if len(self._tail) == AT_ONCE:
            self._file = self._file or tempfile.TemporaryFile(prefix="tokenmask-")  # noqa: SIM115 (closed with this)
            self._file.seek(self._starts[-1])
            self._file.write(zlib.compress(pickle.dumps(self._tail, pickle.HIGHEST_PROTOCOL), 1))
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
            self._held = number, pickle.loads(zlib.decompress(part))
        return self._held[1]

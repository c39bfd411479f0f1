"""Files made of parts of another one, with other bytes at some places, of which none is in memory as a whole.

Arrow: path, parts --**View**--> what a decoder reads as a file. Does not know: formats, sound.
"""

from __future__ import annotations

import io
import mmap
import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

_SEARCHED = 1 << 24  # bytes of a file that are in memory at a time while something is looked for in it
_LONGEST = 1 << 10  # bytes, which no pattern is longer than


class View(io.RawIOBase):
    """A file to be read.

    Args:
        path: of the file that parts are of.
        parts: (start, stop) in it, or bytes, one after the other.
        patches: place in the view -> bytes that stand there instead.
    """

    def __init__(
        self, path: str | Path, parts: Sequence[tuple[int, int] | bytes], patches: Mapping[int, bytes] | None = None
    ) -> None:
        self.path, self.parts, self.patches = path, tuple(parts), dict(patches or {})
        self._file = Path(path).open("rb")  # noqa: SIM115 (closed with the view)
        self._place = 0
        sizes = [len(part) if isinstance(part, bytes) else part[1] - part[0] for part in self.parts]
        self._starts = list(accumulate(sizes, initial=0))[:-1]
        self.size = sum(sizes)

    def __repr__(self) -> str:
        """As messages of decoders are to name it."""
        return repr(str(self.path))

    def changed(self, patches: Mapping[int, bytes], size: int | None = None) -> View:
        """The same with further patches, or its first ``size`` bytes."""
        parts: list[tuple[int, int] | bytes] = []
        for part, start in zip(self.parts, self._starts, strict=True):
            left = (self.size if size is None else size) - start
            if left > 0:
                parts.append(part[:left] if isinstance(part, bytes) else (part[0], min(part[1], part[0] + left)))
        return View(self.path, parts, self.patches | dict(patches))

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """Where it is."""
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes elsewhere, not beyond its ends."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._place, io.SEEK_END: self.size}[whence]
        self._place = min(max(base + offset, 0), self.size)
        return self._place

    def readinto(self, buffer: Any) -> int:
        """Fills a buffer as far as there are bytes."""
        target = memoryview(buffer).cast("B")
        begin = self._place
        wanted = min(len(target), self.size - begin)
        for number in range(max(bisect_right(self._starts, begin) - 1, 0), len(self.parts)):
            part, start = self.parts[number], self._starts[number]
            size = len(part) if isinstance(part, bytes) else part[1] - part[0]
            first, last = max(begin, start), min(begin + wanted, start + size)
            if start >= begin + wanted:
                break
            if first >= last:
                continue
            if isinstance(part, bytes):
                target[first - begin : last - begin] = part[first - start : last - start]
            else:
                self._file.seek(part[0] + first - start)
                self._file.readinto(target[first - begin : last - begin])
        for place, value in self.patches.items():
            first, last = max(begin, place), min(begin + wanted, place + len(value))
            if first < last:
                target[first - begin : last - begin] = value[first - place : last - place]
        self._place += wanted
        return wanted

    def close(self) -> None:
        """Lets the file go."""
        self._file.close()
        super().close()


def search(mark: re.Pattern[bytes], data: mmap.mmap, place: int) -> int | None:
    """Where the first match of a pattern, of up to 1024 bytes, begins from a place on."""
    while place < len(data):
        stop = min(place + _SEARCHED, len(data))
        found = mark.search(data, place, min(stop + _LONGEST, len(data)))
        if found is not None:
            return found.start()
        let_go(data, place, stop)
        place = stop
    return None


def let_go(data: Any, start: int, stop: int) -> None:
    """What was read of a mapped file from ``start`` to ``stop`` need not stay in memory."""
    if isinstance(data, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        begin = start // mmap.PAGESIZE * mmap.PAGESIZE
        data.madvise(mmap.MADV_DONTNEED, begin, stop - begin)

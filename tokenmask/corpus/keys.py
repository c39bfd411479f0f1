"""Keys: what can be one, and which keys a corpus has, in few bytes each.

Arrow: keys --**digests**--> whether one is there. Does not know: records, files.
"""

from __future__ import annotations

import re
import struct
from array import array
from collections.abc import Iterable, Sized
from hashlib import blake2b
from pathlib import Path

_ROOT = re.compile(r"[A-Za-z]:[/\\]|\\\\")  # a drive, or a share of a network
_FIRST = 1 << 10  # places of an empty table
_DIGEST = struct.Struct("<QQ")


def check_key(key: str) -> None:
    """ValueError unless a key can be that of a record: a :func:`path_below` a folder, in UTF-8, in the one way in which
    it is written, so that two keys are two files: a//b and a/./b are a/b, and C:\\x is another place elsewhere."""
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"a key must be text that UTF-8 can hold, got {key!r}; rename the item") from error
    path_below(key)
    if _ROOT.match(key):
        raise ValueError(f"a key must be the path of a file below a folder, got {key!r}; write one without a drive")
    nothing = next((part for part in key.split("/") if not part.strip(". \t\r\n")), None)
    if nothing is not None:
        raise ValueError(
            f"a key must be names with a slash between them, got {key!r}, of which {nothing!r} is none; write it "
            "without that part"
        )


def path_below(key: str) -> Path:
    """The relative path that a key is: what is decoded is called by it.

    Raises:
        ValueError: it leads out of a folder, names nothing, or no file can be called so.
    """
    path = Path(key)
    if not path.name or path.is_absolute() or ".." in path.parts or "\0" in key:
        raise ValueError(
            f"a key must be the path of a file below a folder, got {key!r}; write one without .., a slash at its "
            "beginning and characters of code 0"
        )
    return path


class Keys(Sized):
    """A set of keys that can be asked and added to, not listed: it holds 128 bits of BLAKE2b of each, no words.

    A key takes 27 to 54 bytes, however long it is (twice 16 in the usual case of a table that is 60 % to 30 % full; a
    set of words of 20 letters takes some 120), and half as much again for the moment in which the table grows: a
    million keys are 34 MB. That two of a million million keys share their digest has a chance of 1 in 10^14.

    Args:
        keys: to begin with.
    """

    def __init__(self, keys: Iterable[str] = ()) -> None:
        self._heads = array("Q", [0]) * _FIRST  # 0 is a free place
        self._tails = array("Q", [0]) * _FIRST
        self._count = 0
        self.update(keys)

    def add(self, key: str) -> None:
        """One more; nothing happens if it is there."""
        head, tail = _digest(key)
        place = self._place(head, tail)
        if self._heads[place]:
            return
        self._heads[place], self._tails[place] = head, tail
        self._count += 1
        if 10 * self._count > 6 * len(self._heads):
            self._grow()

    def update(self, keys: Iterable[str]) -> None:
        """Adds each."""
        for key in keys:
            self.add(key)

    def copy(self) -> Keys:
        """Another set of the same."""
        other = Keys()
        other._heads, other._tails, other._count = self._heads[:], self._tails[:], self._count
        return other

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._heads[self._place(*_digest(key))] != 0

    def __len__(self) -> int:
        return self._count

    def _place(self, head: int, tail: int) -> int:
        """Where a digest stands, or the free place where it would."""
        heads, last = self._heads, len(self._heads) - 1
        place = head & last
        while (found := heads[place]) and (found != head or self._tails[place] != tail):
            place = (place + 1) & last
        return place

    def _grow(self) -> None:
        heads, tails = self._heads, self._tails
        self._heads, self._tails = (array("Q", [0]) * (2 * len(heads)) for _ in range(2))
        for head, tail in zip(heads, tails, strict=True):
            if head:
                place = self._place(head, tail)
                self._heads[place], self._tails[place] = head, tail


def _digest(key: str) -> tuple[int, int]:
    head, tail = _DIGEST.unpack(blake2b(key.encode(errors="surrogatepass"), digest_size=16).digest())
    return head or 1, tail

"""Films that were put one after the other into a file, of which decoders read the first.

Arrow: file --**count_films**--> how many begin in it. Does not know: pixels, decoders.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path

_BEGINNINGS = {  # by the first four bytes
    b"GIF8": rb"GIF8[79]a",
    b"RIFF": rb"RIFF....WEBP",  # of AVI all is read
    b"\x1a\x45\xdf\xa3": rb"\x1a\x45\xdf\xa3.{1,120}(?:webm|matroska)",  # RFC 8794, section 11.2
}


def count_films(path: Path) -> int:
    """How many films begin in a file; 1 for kinds that are not known."""
    if path.stat().st_size < 16:
        return 1
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        if data[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
            return max(1, _movies(data))
        beginning = _BEGINNINGS.get(data[:4])
        return 1 if beginning is None else max(1, sum(1 for _ in re.finditer(beginning, data, re.DOTALL)))


def _movies(data: mmap.mmap) -> int:
    """Boxes that describe a film (ISO/IEC 14496-12, 8.2.1), of which a file has one."""
    place = found = 0
    while place + 8 <= len(data):
        length = int.from_bytes(data[place : place + 4], "big")
        if length == 1:
            length = int.from_bytes(data[place + 8 : place + 16], "big")
        found += data[place + 4 : place + 8] == b"moov"
        if length < 8:  # up to the end, or damaged
            break
        place += length
    return found

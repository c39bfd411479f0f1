"""Whether a film is whole, by the sizes that its container announces.

Arrow: file --**missing_bytes**--> how many are not there. Does not know: pixels, decoders.
Source: ISO/IEC 14496-12, 4.2 (boxes); RFC 8794, 6.2 (sizes of elements); AVI RIFF file reference.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

_UNKNOWN = 0xFFFFFFFF  # of a file that was written into a pipe


def missing_bytes(path: Path) -> int:
    """Bytes that a film announces beyond its end; 0 for a whole one, and for kinds that do not announce any."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(12)
        if head[:4] == b"RIFF":
            announced = int.from_bytes(head[4:8], "little")
            return 0 if announced == _UNKNOWN else max(0, announced + 8 - size)
        if head[:4] == b"\x1a\x45\xdf\xa3":
            return max(0, _end_of_segment(file) - size)
        if head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free"):
            return max(0, _end_of_boxes(file, size) - size)
    return 0


def _end_of_segment(file: BinaryIO) -> int:
    """Where the second element of a Matroska file ends, the first being its header; 0 if that is not known."""
    file.seek(4)
    header = _size(file)
    file.seek(header + 4, 1)
    size = _size(file)
    return 0 if size < 0 or header < 0 else file.tell() + size


def _size(file: BinaryIO) -> int:
    """A size of EBML, -1 for an unknown one."""
    first = file.read(1)
    width = 9 - first[0].bit_length() if first and first[0] else 0
    rest = file.read(max(0, width - 1))
    if not width or len(rest) < width - 1:
        return -1
    value = int.from_bytes(first + rest, "big") & ((1 << 7 * width) - 1)
    return -1 if value == (1 << 7 * width) - 1 else value


def _end_of_boxes(file: BinaryIO, size: int) -> int:
    place = 0
    while place + 8 <= size:
        file.seek(place)
        head = file.read(16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length < 8:  # up to the end, or damaged
            return size
        place += length
    return place

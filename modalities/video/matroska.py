"""What a Matroska file says before its first frame: of its clock, and of its pictures.

Arrow: .mkv or .webm --**tick_nanoseconds**, **pictures_of**--> a number, elements. Does not know: codes, frames.
Source: RFC 8794 (elements and their sizes), RFC 9559, sections 5.1.2 (TimestampScale) and 5.1.4 (Tracks).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

_INFO, _SCALE = bytes.fromhex("1549A966"), bytes.fromhex("2AD7B1")
_HEAD = 1 << 16  # bytes that are looked at
LONGEST_TICK = 1 << 32  # nanoseconds; the decoder holds fewer, and one beyond measure makes it end the process
_BEGIN, _SEGMENT, _TRACKS = (bytes.fromhex(name) for name in ("1A45DFA3", "18538067", "1654AE6B"))
_TRACK, _KIND, _PICTURES = (bytes.fromhex(name) for name in ("AE", "83", "E0"))
_OF_PICTURES = 1  # of the kind of a track


def tick_nanoseconds(path: Path) -> int | None:
    """What a file says of the length of a tick of its clock, nanoseconds; None if it does not, or is no Matroska."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    info = head.find(_INFO)
    at = head.find(_SCALE, info) + len(_SCALE) if info >= 0 else -1
    if info < 0 or at < len(_SCALE) or at >= len(head):
        return None
    width = 9 - head[at].bit_length()  # of the size itself, told by its leading zeros
    size = int.from_bytes(head[at : at + width], "big") & (1 << 7 * width) - 1
    return int.from_bytes(head[at + width : at + width + min(size, 8)], "big")


def pictures_of(path: Path) -> dict[bytes, bytes]:
    """What the first track of pictures says of them, by the names of the elements; {} for what is no Matroska."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    tracks = dict(elements(dict(elements(head)).get(_SEGMENT, b""))).get(_TRACKS, b"")
    for name, track in elements(tracks if head.startswith(_BEGIN) else b""):
        parts = dict(elements(track)) if name == _TRACK else {}
        if number_in(parts.get(_KIND, b"")) == _OF_PICTURES:
            return dict(elements(parts.get(_PICTURES, b"")))
    return {}


def elements(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of the elements that follow each other; one of unknown size goes on to the end."""
    place = 0
    while place < len(data) and data[place]:
        start = place + 9 - data[place].bit_length()
        if start >= len(data) or not data[start]:
            return
        width = 9 - data[start].bit_length()
        size = int.from_bytes(data[start : start + width], "big") & (1 << 7 * width) - 1
        if size == (1 << 7 * width) - 1:
            size = len(data)
        yield data[place:start], data[start + width : start + width + size]
        place = start + width + size


def number_in(content: bytes) -> int:
    """The whole number that an element holds; 0 of none."""
    return int.from_bytes(content[:8], "big")

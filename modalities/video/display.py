"""How films want to be shown, as far as their decoder leaves it away: mirrored, or of pixels that are no squares.

Arrow: .mp4 or .mov --**mirrored_axes**, **pixel_width**--> axes of frames to flip, a share. Does not know: decoders.
Source: ISO/IEC 14496-12, 8.3.2 (the matrix of a track header) and 12.1.4 (the shape of a pixel).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

_LARGEST = 1 << 28  # bytes of all that describes a film


def mirrored_axes(path: str | Path) -> tuple[int, ...]:
    """Axes of frames [height, width, 3] to flip once they are turned by the angle of the matrix's first row.

    A decoder that takes a matrix for a turn (a b; -b a) is right unless it mirrors. A mirror is that turn and then a
    flip: of rows where it leaves the axes in place, of columns where it exchanges them.

    Returns:
        (0,), (1,) or, for a film that is not mirrored or has no such matrix, ().
    """
    for a, b, c, d in _matrices(described(Path(path))):
        if a * d - b * c < 0:
            return (0,) if abs(a) >= abs(b) else (1,)
        break
    return ()


def pixel_width(path: str | Path) -> float:
    """How much wider than high a pixel is to be shown; 1 where nothing says so."""
    for tables in tables_of_pictures(described(Path(path))):
        _, mark, shape = tables.get(b"stsd", b"").partition(b"pasp")
        wide, high = struct.unpack(">II", shape[:8]) if mark and len(shape) >= 8 else (1, 1)
        return wide / high if wide and high else 1.0
    return 1.0


def tables_of_pictures(moov: bytes) -> Iterator[dict[bytes, bytes]]:
    """The contents of the tables of samples of each track of pictures, by name."""
    for name, track in boxes(moov):
        media = dict(boxes(dict(boxes(track)).get(b"mdia", b""))) if name == b"trak" else {}
        if media.get(b"hdlr", b"")[8:12] == b"vide":
            yield dict(boxes(dict(boxes(media.get(b"minf", b""))).get(b"stbl", b"")))


def described(path: Path) -> bytes:
    """What a film says of its tracks: the content of the ``moov`` box, b"" if there is none."""
    with path.open("rb") as file:
        size = path.stat().st_size
        place = 0
        while place + 8 <= size:
            file.seek(place)
            head = file.read(16)
            length, start = _length(head, size - place)
            if length < start:
                return b""
            if head[4:8] == b"moov":
                file.seek(place + start)
                return file.read(min(length - start, _LARGEST))
            place += length
    return b""


def _length(head: bytes, rest: int) -> tuple[int, int]:
    """Bytes of a box and of its head; (0, 8) if it is damaged."""
    length = int.from_bytes(head[:4], "big")
    if length == 1 and len(head) >= 16:
        return int.from_bytes(head[8:16], "big"), 16
    return (rest if length == 0 else length), 8


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Names and contents of the boxes that follow each other."""
    place = 0
    while place + 8 <= len(data):
        length, start = _length(data[place : place + 16], len(data) - place)
        if length < start:
            return
        yield data[place + 4 : place + 8], data[place + start : place + length]
        place += length


def _matrices(moov: bytes) -> Iterator[tuple[int, int, int, int]]:
    """a, b, c, d of each track of pictures: x' = a x + c y and y' = b x + d y, y downwards."""
    for name, track in boxes(moov):
        parts = dict(boxes(track)) if name == b"trak" else {}
        kind = dict(boxes(parts.get(b"mdia", b""))).get(b"hdlr", b"")
        header = parts.get(b"tkhd", b"")
        place = 40 if header[:1] == b"\0" else 52
        if kind[8:12] == b"vide" and len(header) >= place + 20:
            a, b, _, c, d = struct.unpack(">5i", header[place : place + 20])
            yield a, b, c, d

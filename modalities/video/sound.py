"""Whether a film has sound, which is no part of a clip.

Arrow: file --**has_sound**--> yes or no. Does not know: pixels, decoders.
Source: ISO/IEC 14496-12, 8.4.3 (handlers); RFC 9559, 5.1.4.1.3 (TrackType); ISO/IEC 13818-1, table 2-22 (stream ids).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from tokenmask.modalities.video.display import boxes, described

_HEAD = 1 << 20  # bytes in which other kinds of files say what is in them
_SEGMENT, _TRACKS, _ENTRY, _TYPE = 0x18538067, 0x1654AE6B, 0xAE, 0x83
_SOUND = 2  # of a track in Matroska
_PACKETS = re.compile(rb"\0\0\x01[\xc0-\xdf]")  # of sound in MPEG program streams


def has_sound(path: Path) -> bool:
    """Whether a film says that it has a track of sound; False for kinds that are not known."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return any(kind == _SOUND for kind in _matroska(head))
    if head[:4] == b"RIFF" and head[8:12] == b"AVI ":
        return re.search(rb"strh....auds", head, re.DOTALL) is not None
    if head[:4] == b"\0\0\x01\xba":
        return _PACKETS.search(head) is not None
    return head[4:8] in (b"ftyp", b"moov", b"mdat", b"wide", b"free") and b"soun" in _handlers(path)


def _handlers(path: Path) -> set[bytes]:
    """What the tracks of a film hold: vide, soun ..."""
    tracks = [dict(boxes(track)) for name, track in boxes(described(path)) if name == b"trak"]
    return {dict(boxes(track.get(b"mdia", b""))).get(b"hdlr", b"")[8:12] for track in tracks}


def _matroska(head: bytes) -> Iterator[int]:
    """The type of each track that is described at the beginning."""
    for name, content in _elements(head):
        if name != _SEGMENT:
            continue
        tracks = (inner for one, inner in _elements(content) if one == _TRACKS)
        for track in tracks:
            for one, entry in _elements(track):
                if one == _ENTRY:
                    yield from (int.from_bytes(value, "big") for kind, value in _elements(entry) if kind == _TYPE)


def _elements(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Names and contents of EBML elements (RFC 8794, section 6); what is cut off ends with the data."""
    place = 0
    while place < len(data):
        width = 9 - data[place].bit_length()
        name, place = int.from_bytes(data[place : place + width], "big"), place + width
        if place >= len(data) or width > 4:
            return
        width = 9 - data[place].bit_length()
        if width > 8:
            return
        size = int.from_bytes(data[place : place + width], "big") & ((1 << 7 * width) - 1)
        place += width
        if size == (1 << 7 * width) - 1:  # unknown: to the end of what holds it
            size = len(data) - place
        yield name, data[place : place + size]
        place += size

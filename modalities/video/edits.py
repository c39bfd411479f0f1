"""The edit list of a film: which part of what is stored is shown.

Arrow: .mp4 or .mov --**shown_part**--> its beginning and end; --**without_edits**--> a copy that shows all.
Does not know: pixels, decoders. Source: ISO/IEC 14496-12, 8.6.6.
"""

from __future__ import annotations

import math
import re
import shutil
import struct
from pathlib import Path
from typing import NamedTuple

from tokenmask.modalities.video.display import boxes, described

_LIST = re.compile(rb"edts(?=....elst)", re.DOTALL)


class Part(NamedTuple):
    """What is shown, in seconds."""

    begin: float  # of what is stored
    lasts: float  # inf for all that follows
    ends: float  # of the film as it is shown, which may begin with nothing


def shown_part(path: Path) -> Part | None:
    """The part that the edit list of a film's pictures shows; None without a list, or for one of several parts."""
    parts = dict(boxes(described(path)))
    movie_rate = _rate(parts.get(b"mvhd", b""))
    for name, track in boxes(described(path)):
        inner = dict(boxes(track)) if name == b"trak" else {}
        media = dict(boxes(inner.get(b"mdia", b"")))
        if media.get(b"hdlr", b"")[8:12] != b"vide":
            continue
        rate, edits = _rate(media.get(b"mdhd", b"")), _edits(dict(boxes(inner.get(b"edts", b""))).get(b"elst", b""))
        real = [(length, begin) for length, begin in edits if begin >= 0]
        if len(real) != 1 or not rate or not movie_rate:
            return None
        length, begin = real[0]
        before = sum(length for length, _ in edits[: edits.index(real[0])]) / movie_rate  # nothing is shown that long
        lasts = length / movie_rate or math.inf
        return Part(begin / rate, lasts, before + lasts)
    return None


def without_edits(path: Path, target: Path) -> None:
    """Writes a copy of a film that shows all that is stored, at the times that are stored."""
    shutil.copyfile(path, target)
    moov = described(path)
    begin = path.read_bytes().find(moov) if moov else -1
    with target.open("r+b") as file:
        for found in _LIST.finditer(moov):
            file.seek(begin + found.start())
            file.write(b"free")


def _rate(header: bytes) -> int:
    """Units of a second, of the header of a movie or of media; 0 if it has none."""
    place = 20 if header[:1] == b"\1" else 12
    return int.from_bytes(header[place : place + 4], "big")


def _edits(content: bytes) -> list[tuple[int, int]]:
    """Length (in units of the movie) and beginning (in units of the media, -1 for nothing) of each entry."""
    form, size = (">Qq4x", 20) if content[:1] == b"\1" else (">Ii4x", 12)
    count = int.from_bytes(content[4:8], "big")
    places = range(8, min(8 + size * count, len(content) - size + 1), size)
    found = [struct.unpack(form, content[place : place + size]) for place in places]
    return [(length, begin) for length, begin in found]

"""JPEG files, decoded once: their pixels, and what is wrong with their data, which Pillow does not hand on.

Arrow: path, picture of Pillow, opened --**load_jpeg**--> the same, loaded, and words, or an error.
Does not know: profiles, networks.

Pillow does not tell what libjpeg warns of. A binding of libjpeg-turbo that does decodes greys and colours, to the same
pixels, since both take its exact inverse transform and its smooth upsampling. Files of inks, which Pillow turns
around, and those with a warning are decoded by Pillow, and their data are looked at at an eighth of their size.
Source: ITU-T T.81, annexes B and G.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from tokenmask.modalities.riddles import Unfit

EARLY = "its data end before its pixels do"
_WITHOUT_MEANING = "its data hold codes without a meaning"
_MARKER = re.compile(rb"\xff([^\x00\xd0-\xd7\xff])")  # what can follow upon a scan; one byte first is sought fast
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1, 0xC9), (0xC2, 0xCA)
_SCAN, _END, _TABLES = 0xDA, 0xD9, (0xC4, 0xCC, 0xDB, 0xDD)
_NEVER = 16  # bits of a coefficient that are missing where none came
_LOST = (  # what libjpeg says where pixels are guessed, and what it means; of what it says of headers none suffer
    ("premature end of data segment", EARLY),
    ("Premature end of JPEG file", EARLY),
    ("bad Huffman code", _WITHOUT_MEANING),
    ("bad arithmetic code", _WITHOUT_MEANING),
    ("Inconsistent progression", "its scans do not follow from each other"),
    ("found marker", "its data have marks in a wrong order"),
)
_EXTRANEOUS = "extraneous bytes before marker"  # cameras fill up so, too
MORE = "its data hold bytes that belong to no pixel, as damage leaves them"
_SCANS = "its last scans are missing, which make it sharp"
_FORMS = {"L": "GRAY", "RGB": "RGB"}  # modes of Pillow, and what the binding calls them


def load_jpeg(path: str | Path, picture: Any) -> str:
    """Loads an opened picture; what may be wrong, in a few words, "" for nothing.

    Raises:
        ValueError: pixels that are not there, so that a decoder guessed them.
    """
    import simplejpeg
    from PIL import Image as pillow

    data = Path(path).read_bytes()
    if picture.mode in _FORMS:
        try:
            pixels = simplejpeg.decode_jpeg(data, _FORMS[picture.mode], strict=True)
        except ValueError:  # it warns, or knows no such file; which of them the slow way finds out
            pass
        else:
            if pixels.shape[1::-1] == picture.size:
                picture.im = pillow.frombuffer(picture.mode, picture.size, pixels, "raw", picture.mode, 0, 1).im
                picture.tile = []  # nothing is left to decode
                return _SCANS if _lacks_scans(data) else ""
    picture.load()
    return doubts_of_jpeg(data)


def doubts_of_jpeg(data: bytes) -> str:
    """What may be wrong with JPEG data, as of ``load_jpeg``, without their pixels."""
    import simplejpeg

    segments, at = [data[:2]], 2
    while (found := _MARKER.search(data, at)) and found[1][0] not in (_SCAN, _END):
        at = found.end() + int.from_bytes(data[found.end() : found.end() + 2], "big")
        if found[1][0] in _TABLES or 0xC0 <= found[1][0] <= 0xCF:  # not what programs say about it
            segments.append(data[found.start() : at])
    if not found:
        return ""
    try:
        whole = b"".join([*segments, memoryview(data)[found.start() :]])
        simplejpeg.decode_jpeg(whole, "GRAY", min_height=1, min_width=1, min_factor=8, strict=True)
    except ValueError as error:
        if lost := next((meant for words, meant in _LOST if words in str(error)), ""):
            raise Unfit(lost) from error
        if _EXTRANEOUS in str(error):
            return MORE
    return _SCANS if _lacks_scans(data) else ""


def _lacks_scans(data: bytes) -> bool:
    """Whether coefficients, or bits of them, never came, as where a file was closed too early; libjpeg minds not."""
    missing: dict[int, list[int]] = {}  # bits of each coefficient of a component
    at = 2
    while found := _MARKER.search(data, at):
        kind, at = found[1][0], found.end()
        if kind == _END:
            break
        size = int.from_bytes(data[at : at + 2], "big")
        body, at = data[at + 2 : at + size], at + size
        if kind in _SEQUENTIAL + _PROGRESSIVE and len(body) > 5:
            missing = {number: [_NEVER] * (64 if kind in _PROGRESSIVE else 1) for number in body[6::3]}
        elif kind == _SCAN and body and len(body) == 4 + 2 * body[0]:
            first, last, low = body[-3], body[-2], body[-1] & 15
            for number in body[1:-3:2]:
                held = missing.get(number, [])
                held[first : last + 1] = [low] * len(held[first : last + 1])
            if missing and not any(bits for held in missing.values() for bits in held):
                return False  # all of it came: nothing behind is looked at
    return any(bits for held in missing.values() for bits in held)

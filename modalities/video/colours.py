"""What a film says of its colours that its decoder does not apply: other primaries or curves, transparency.

Arrow: .mp4, .mov, .mkv or .webm --**colours_told**, **is_transparent**--> words. Does not know: decoders, pixels.
Source: ISO/IEC 14496-12, 12.1.5 (colr); RFC 9559, 5.1.4.1.28 (Colour, AlphaMode); ITU-T H.273, tables 2 and 3.
"""

from __future__ import annotations

from pathlib import Path

from tokenmask.modalities.video.display import boxes, described, tables_of_pictures
from tokenmask.modalities.video.matroska import elements, number_in, pictures_of

_PRIMARIES = {9: "primaries of BT.2020", 11: "primaries of DCI-P3", 12: "primaries of Display P3"}
_CURVES = {16: "the curve PQ of HDR", 18: "the curve HLG of HDR"}
_ENTRY = 8 + 78  # bytes of a description of pictures before its boxes, with its size and name
_ALPHA, _COLOUR, _CURVE, _POINTS = (bytes.fromhex(name) for name in ("53C0", "55B0", "55BA", "55BB"))


def colours_told(path: Path) -> list[str]:
    """In words, primaries and a curve that are far from sRGB; those of television are near enough."""
    primaries, curve = _of_boxes(path) or _of_elements(path)
    return [words for words in (_PRIMARIES.get(primaries), _CURVES.get(curve)) if words]


def is_transparent(path: Path) -> bool:
    """Whether a Matroska file holds transparency beside its colours."""
    return number_in(pictures_of(path).get(_ALPHA, b"")) == 1


def _of_boxes(path: Path) -> tuple[int, int] | None:
    for tables in tables_of_pictures(described(path)):
        for name, content in boxes(tables.get(b"stsd", b"")[8 + _ENTRY :]):
            if name == b"colr" and content[:4] in (b"nclx", b"nclc") and len(content) >= 8:
                return int.from_bytes(content[4:6], "big"), int.from_bytes(content[6:8], "big")
        break
    return None


def _of_elements(path: Path) -> tuple[int, int]:
    said = dict(elements(pictures_of(path).get(_COLOUR, b"")))
    return number_in(said.get(_POINTS, b"")), number_in(said.get(_CURVE, b""))

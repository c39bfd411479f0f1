"""What a PNG or TIFF file says of its pixels that Pillow does not apply.

Arrow: picture of Pillow, path --> colour profiles, words. Does not know: how profiles are applied, networks.
Source: PNG, third edition, 11.3.2 (gAMA, cHRM, sRGB, cICP come before IDAT); ITU-T H.273, tables 2 and 3; TIFF 6.0,
tags 262, 277 and 339.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

from tokenmask.modalities.image.profiles import D65, SRGB, Primaries, profile

_SRGB_POINTS = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)  # white, red, green, blue, times 100,000
_SRGB_GAMMA, _NEAR_GAMMA, _NEAR_POINT = 45455, 500, 200
_GAMMAS = (25000, 250000)  # of pictures; what is beyond is a mistake
_SRGB_CODES = (1, 13)  # primaries and transfer in ITU-T H.273
_PRIMARIES = {  # likewise
    1: SRGB,
    5: Primaries(D65, (0.64, 0.33), (0.29, 0.60), (0.15, 0.06)),
    6: Primaries(D65, (0.63, 0.34), (0.31, 0.595), (0.155, 0.07)),
    7: Primaries(D65, (0.63, 0.34), (0.31, 0.595), (0.155, 0.07)),
    9: Primaries(D65, (0.708, 0.292), (0.17, 0.797), (0.131, 0.046)),
    11: Primaries((0.314, 0.351), (0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
    12: Primaries(D65, (0.68, 0.32), (0.265, 0.69), (0.15, 0.06)),
}
_EXPONENTS = {4: 2.2, 5: 2.8, 8: 1.0, 13: None}  # of transfers; those of television and HDR are not applied
_BITS, _PHOTOMETRIC, _SAMPLES, _PLANES, _FORMAT = 258, 262, 277, 284, 339


def colours_told(path: str | Path) -> tuple[bytes | None, list[str]]:
    """The colours that chunks of a PNG file mean where they are no sRGB and no profile says it.

    A cICP chunk goes before a profile, and a profile or an sRGB chunk before gAMA and cHRM.

    Returns:
        an ICC profile of them, or None; and in words what cannot be applied.
    """
    chunks = _chunks(Path(path))
    cicp = chunks.get(b"cICP", b"")
    if len(cicp) == 4:
        return _by_codes(*cicp)
    if chunks.keys() & {b"iCCP", b"sRGB"}:
        return None, []
    gamma = struct.unpack(">I", chunks[b"gAMA"])[0] if len(chunks.get(b"gAMA", b"")) == 4 else 0
    held = chunks.get(b"cHRM", b"")
    points = struct.unpack(">8I", held) if len(held) == 32 else _SRGB_POINTS
    words = [f"gAMA of {gamma / 1e5:g}"] if gamma and abs(gamma - _SRGB_GAMMA) > _NEAR_GAMMA else []
    if max(abs(one - other) for one, other in zip(points, _SRGB_POINTS, strict=True)) > _NEAR_POINT:
        words.append("cHRM of other primaries")
    if not words:
        return None, []
    white, red, green, blue = ((points[at] / 1e5, points[at + 1] / 1e5) for at in range(0, 8, 2))
    found = None
    if not gamma or _GAMMAS[0] <= gamma <= _GAMMAS[1]:
        found = profile(Primaries(white, red, green, blue), 1e5 / gamma if gamma else None)
    return found, [] if found else words


def _by_codes(primaries: int, transfer: int, matrix: int, full: int) -> tuple[bytes | None, list[str]]:
    words = [f"cICP of primaries {primaries} and transfer {transfer}"]
    if matrix or full != 1:
        return None, [f"{words[0]}, with matrix {matrix} and {'full' if full == 1 else 'narrow'} range"]
    if (primaries, transfer) == _SRGB_CODES:
        return None, []
    if primaries not in _PRIMARIES or transfer not in _EXPONENTS:
        return None, words
    return profile(_PRIMARIES[primaries], _EXPONENTS[transfer]), []


def _chunks(path: Path) -> dict[bytes, bytes]:
    """Those before the pixels, by name; {} for what is no PNG file."""
    found: dict[bytes, bytes] = {}
    with path.open("rb") as file:
        if file.read(8) != b"\x89PNG\r\n\x1a\n":
            return {}
        while len(head := file.read(8)) == 8 and head[4:] != b"IDAT":
            size = int.from_bytes(head[:4], "big")
            if head[4:] in (b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"cICP") and size < 1 << 20:
                found[head[4:]] = file.read(size)
                file.seek(4, 1)
            else:
                file.seek(size + 4, 1)
    return found


def white_is_zero(picture: Any) -> bool:
    """Whether grey of 16 bits or floats of a TIFF file are stored upside down; Pillow turns 8 bits, but not these."""
    return bool((picture.mode.startswith("I;16") or picture.mode == "F") and _tags(picture).get(_PHOTOMETRIC) == 0)


def has_signed_bytes(picture: Any) -> bool:
    """Whether samples of a TIFF file have eight bits and a sign, which Pillow takes for none."""
    form = _tags(picture).get(_FORMAT, (1,))
    return bool(picture.mode not in ("I", "F") and not picture.mode.startswith("I;16") and 2 in form)


def read_wide_planes(picture: Any) -> None:
    """Corrects how samples of 16 bits are taken from a TIFF file that holds its bands one after the other, unpacked.

    Pillow takes their bytes for samples. Called before the pixels are read.
    """
    tags = _tags(picture)
    wide = picture.mode in ("RGB", "RGBA", "CMYK") and set(tags.get(_BITS, ())) == {16} and tags.get(_PLANES) == 2
    if not wide or any(tile[0] != "raw" for tile in picture.tile):
        return  # what is packed, libtiff takes apart
    order = "L" if tags.prefix == b"II" else "B"
    picture.tile = [one._replace(args=(f"{one.args[0]};16{order}", *one.args[1:])) for one in picture.tile]


def extra_bands(picture: Any) -> int:
    """Samples of a pixel in a TIFF file that are neither colours nor transparency, and left out."""
    meant: int = sum(band != "X" for band in picture.getbands())
    samples: int = _tags(picture).get(_SAMPLES, 1)
    return int(max(0, samples - meant))


def spare_bytes(picture: Any, path: str | Path) -> int:
    """1 for a BMP file of 32 bits a pixel whose fourth bytes, which mean nothing there, differ: transparency that a
    program put into them. Asked before the pixels are read."""
    tiles = [tile for tile in picture.tile if tile[0] == "raw" and tile[3][0] == "BGRX"]
    if picture.format != "BMP" or not tiles:
        return 0
    with Path(path).open("rb") as file:
        file.seek(tiles[0][2])
        fourth = file.read(4 * picture.width * picture.height)[3::4]
    return int(len(set(fourth)) > 1)


def _tags(picture: Any) -> Any:
    return picture.tag_v2 if picture.format == "TIFF" else {}

"""What a PNG or TIFF file says of its pixels that Pillow does not apply.

Arrow: picture of Pillow, path --> words. Does not know: colour profiles, networks.
Source: PNG, third edition, 11.3.2 (gAMA, cHRM, sRGB, cICP come before IDAT); TIFF 6.0, tags 262, 277 and 339.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

_SRGB_POINTS = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)  # white, red, green, blue, times 100,000
_SRGB_GAMMA, _NEAR_GAMMA, _NEAR_POINT = 45455, 500, 200
_SRGB_CODES = (1, 13)  # primaries and transfer in ITU-T H.273
_PHOTOMETRIC, _SAMPLES, _FORMAT = 262, 277, 339


def colours_told(path: str | Path) -> list[str]:
    """Chunks of a PNG file that mean other colours than sRGB and are not applied; [] if a profile says it, or nothing.

    A cICP chunk goes before a profile, and a profile or an sRGB chunk before gAMA and cHRM.
    """
    chunks = _chunks(Path(path))
    found = []
    cicp = chunks.get(b"cICP", b"")
    if len(cicp) == 4:
        if tuple(cicp[:2]) != _SRGB_CODES:
            found.append(f"cICP of primaries {cicp[0]} and transfer {cicp[1]}")
    elif not chunks.keys() & {b"iCCP", b"sRGB"}:
        gamma, points = chunks.get(b"gAMA", b""), chunks.get(b"cHRM", b"")
        if len(gamma) == 4 and abs(struct.unpack(">I", gamma)[0] - _SRGB_GAMMA) > _NEAR_GAMMA:
            found.append(f"gAMA of {struct.unpack('>I', gamma)[0] / 1e5:g}")
        if len(points) == 32:
            apart = [abs(one - other) for one, other in zip(struct.unpack(">8I", points), _SRGB_POINTS, strict=True)]
            found += ["cHRM of other primaries"] * (max(apart) > _NEAR_POINT)
    return found


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
    """Whether 16-bit grey of a TIFF file is stored upside down; Pillow turns 8 bits, but not these."""
    return bool(picture.mode.startswith("I;16") and _tags(picture).get(_PHOTOMETRIC) == 0)


def has_signed_bytes(picture: Any) -> bool:
    """Whether samples of a TIFF file have eight bits and a sign, which Pillow takes for none."""
    form = _tags(picture).get(_FORMAT, (1,))
    return bool(picture.mode not in ("I", "F") and not picture.mode.startswith("I;16") and 2 in form)


def extra_bands(picture: Any) -> int:
    """Samples of a pixel in a TIFF file that are neither colours nor transparency, and left out."""
    meant: int = sum(band != "X" for band in picture.getbands())
    samples: int = _tags(picture).get(_SAMPLES, 1)
    return int(max(0, samples - meant))


def _tags(picture: Any) -> Any:
    return picture.tag_v2 if picture.format == "TIFF" else {}

"""A lost block in the data of JPEG 2000, which has no check sums and whose decoder takes zeros for blank parts.

Arrow: bytes --**lost_block**--> where, or None. Does not know: pixels. Source: ITU-T T.800, annexes A (markers) and B
(packets).

A packet that holds nothing is one byte of zero. So of zeros in a row there can be no more than a tile has packets, and
a few within the code of one; more of them were written by a disk.
"""

from __future__ import annotations

import struct

_START, _SIZES, _STYLE, _STYLE_OF_ONE, _CAPABLE, _DATA = (
    bytes.fromhex(one) for one in ("ff4fff51", "ff51", "ff52", "ff53", "ff50", "ff93")
)
_BLOCK = 512  # bytes of the smallest block of a disk
_WIDEST = 15  # of a precinct, as a power of two, where none is said
_OWN_PRECINCTS, _RAW = 1, 1  # bits of the style: precincts are said; bits are stored as they are, so zeros too


def lost_block(data: bytes) -> tuple[int, int] | None:
    """(byte, zeros in a row) of the first block that is lost; None where there is none, or where it cannot be told."""
    start = data.find(_START)
    if start < 0:
        return None
    most = _packets(data, start + 2)
    place = data.find(_DATA, start)
    if most is None or place < 0:
        return None
    least = _BLOCK + most
    found = data.find(bytes(least), place)
    return (found, least) if found >= 0 else None


def _packets(data: bytes, at: int) -> int | None:
    """The most packets that a tile has; None where the header does not tell, or is of a kind with other codes."""
    tile, components, style = (0, 0), 0, b""
    while at + 4 <= len(data) and data[at] == 0xFF and data[at : at + 2] != b"\xff\x90":  # the first tile
        mark, size = data[at : at + 2], int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + size]
        if mark in (_STYLE_OF_ONE, _CAPABLE):
            return None
        if mark == _SIZES and len(body) >= 36:
            wide, high, left, top, tile_wide, tile_high = struct.unpack_from(">6I", body, 2)
            tile = (min(tile_wide, wide - left), min(tile_high, high - top))
            components = int.from_bytes(body[34:36], "big")
        elif mark == _STYLE:
            style = body
        at += 2 + size
    if len(style) < 10 or not components or style[8] & _RAW:
        return None
    layers, levels = int.from_bytes(style[2:4], "big"), style[5]
    said = style[10:] if style[0] & _OWN_PRECINCTS else bytes([_WIDEST << 4 | _WIDEST]) * (levels + 1)
    packets = 0
    for level, size in zip(range(levels, -1, -1), said, strict=False):
        # One more each way, where a precinct begins outside of the tile.
        across, down = (
            -(-side // (1 << level + power)) + 1 for side, power in zip(tile, (size & 15, size >> 4), strict=True)
        )
        packets += across * down
    return packets * layers * components

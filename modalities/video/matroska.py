"""The clock of a Matroska file, looked at before it is decoded: one beyond measure makes the decoder end the process.

Does not know: codes, frames. Source: RFC 8794 (elements and their sizes), RFC 9559, section 5.1.2 (TimestampScale).
"""

from __future__ import annotations

from pathlib import Path

_INFO, _SCALE = bytes.fromhex("1549A966"), bytes.fromhex("2AD7B1")
_HEAD = 1 << 16  # bytes that are looked at
LONGEST_TICK = 1 << 32  # nanoseconds; the decoder holds fewer


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

"""Films of JPEG pictures in a Matroska file (RFC 9559), whose clock counts milliseconds."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as pillow


def element(name: str, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return bytes.fromhex(name) + (len(content) | 1 << 56).to_bytes(8, "big") + content


def number(name: str, value: int) -> bytes:
    return element(name, value.to_bytes(8, "big"))


def write_mkv(path: Path, frames: np.ndarray, starts: Sequence[int], end: int, told: bytes = b"") -> None:
    """Frames uint8 [time, height, width, 3], when each comes on and when the last goes, milliseconds; ``told`` are
    further elements about the pictures."""
    _, height, width, _ = frames.shape
    head = element(
        "1A45DFA3",
        *(number("4286", 1), number("42F7", 1), number("42F2", 4), number("42F3", 8)),
        *(element("4282", b"matroska"), number("4287", 4), number("4285", 2)),
    )
    picture = element("E0", number("B0", width), number("BA", height), told)
    track = element("AE", number("D7", 1), number("73C5", 1), number("83", 1), element("86", b"V_MJPEG"), picture)
    groups = []
    for frame, start, stop in zip(frames, starts, [*starts[1:], end], strict=True):
        held = io.BytesIO()
        pillow.fromarray(frame).save(held, "JPEG", quality=95, subsampling=0)
        block = element("A1", b"\x81" + start.to_bytes(2, "big") + b"\x00", held.getvalue())
        groups.append(element("A0", block, number("9B", stop - start)))
    about = element("1549A966", number("2AD7B1", 1_000_000), element("4489", struct.pack(">d", end)))
    cluster = element("1F43B675", number("E7", 0), *groups)
    path.write_bytes(head + element("18538067", about, element("1654AE6B", track), cluster))

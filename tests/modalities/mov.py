"""Films of JPEG pictures in a QuickTime file, with any times and any matrix."""

from __future__ import annotations

import io
import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as pillow

Matrix = tuple[int, int, int, int]


def box(name: bytes, *parts: bytes) -> bytes:
    content = b"".join(parts)
    return struct.pack(">I", 8 + len(content)) + name + content


def write_mov(
    path: Path,
    frames: np.ndarray,
    durations: Sequence[int],
    scale: int,
    matrix: Matrix = (1, 0, 0, 1),
    begin: int | None = None,
    shown: int | None = None,
    shape: tuple[int, int] | None = None,
    colours: bytes = b"",
) -> None:
    """Frames uint8 [time, height, width, 3], how long each is on in 1 / scale s, and a, b, c, d of the track.

    With ``begin`` an edit list leaves out what is before that many 1 / scale s, with ``shown`` what is after so many;
    ``shape`` is the width and height of a pixel, ``colours`` what a colr box holds.
    """
    count, height, width, _ = frames.shape
    pictures = []
    for frame in frames:
        held = io.BytesIO()
        pillow.fromarray(frame).save(held, "JPEG", quality=95, subsampling=0)
        pictures.append(held.getvalue())
    a, b, c, d = (value << 16 for value in matrix)
    unity = struct.pack(">9i", 1 << 16, 0, 0, 0, 1 << 16, 0, 0, 0, 1 << 30)
    turned = struct.pack(">9i", a, b, 0, c, d, 0, 0, 0, 1 << 30)
    whole, start = sum(durations), 16 + 8
    entry = (
        bytes(6) + struct.pack(">H", 1) + bytes(16) + struct.pack(">HHIIIH", width, height, 72 << 16, 72 << 16, 0, 1)
    )
    entry += bytes(32) + struct.pack(">Hh", 24, -1)
    entry += b"" if shape is None else box(b"pasp", struct.pack(">II", *shape))
    entry += box(b"colr", colours) if colours else b""
    sizes = b"".join(struct.pack(">I", len(one)) for one in pictures)
    table = box(
        b"stbl",
        box(b"stsd", struct.pack(">II", 0, 1), box(b"jpeg", entry)),
        box(b"stts", struct.pack(">II", 0, count), *(struct.pack(">II", 1, one) for one in durations)),
        box(b"stsc", struct.pack(">IIIII", 0, 1, 1, count, 1)),
        box(b"stsz", struct.pack(">III", 0, 0, count), sizes),
        box(b"stco", struct.pack(">III", 0, 1, start)),
    )
    data = box(b"dinf", box(b"dref", struct.pack(">II", 0, 1), box(b"url ", struct.pack(">I", 1))))
    pictures_head = box(b"vmhd", struct.pack(">IHHHH", 1, 0, 0, 0, 0))
    kind = box(b"hdlr", bytes(4) + b"mhlrvide" + bytes(13))
    media = box(
        b"mdia",
        box(b"mdhd", struct.pack(">IIIIIHH", 0, 0, 0, scale, whole, 0, 0)),
        kind,
        box(b"minf", pictures_head, data, table),
    )
    head = struct.pack(">IIIIII", 7, 0, 0, 1, 0, whole) + bytes(16) + turned
    edits = b""
    if begin is not None:
        edits = box(b"edts", box(b"elst", struct.pack(">IIIiI", 0, 1, shown or whole - begin, begin, 1 << 16)))
    track = box(b"trak", box(b"tkhd", head + struct.pack(">II", width << 16, height << 16)), edits, media)
    movie = struct.pack(">IIIIII", 0, 0, 0, scale, whole, 1 << 16) + struct.pack(">H", 256) + bytes(10) + unity
    moov = box(b"moov", box(b"mvhd", movie + bytes(24) + struct.pack(">I", 2)), track)
    path.write_bytes(box(b"ftyp", b"qt  ", bytes(4)) + box(b"mdat", *pictures) + moov)

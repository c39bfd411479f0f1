"""What is wrong with the data of a picture that Pillow reads without a word.

Arrow: path, picture of Pillow --**doubts_of**--> words, or an error. Does not know: pixels, networks.

Pillow stops looking where it has as many pixels as it wants. So strips of TIFF files are unpacked up to their check
sums. WebP and AVIF have none; of those a lost block is seen: zeros in a row, as their coders do not write them. JPEG
has a file of its own. Source: TIFF 6.0 and its technical note 2 (JPEG); RFC 9649.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenmask.modalities.image.jpeg import EARLY, doubts_of_jpeg
from tokenmask.modalities.riddles import Unfit

_BLOCK = 512  # bytes of the smallest block of a disk
_FLAT = 5000  # pixels of one colour that lossy WebP packs into a byte are 10,000; so many zeros are met in blank ones
_COMPRESSION, _JPEG_TABLES = 259, 347
_PLACES = ((273, 279), (324, 325))  # tags of offsets and sizes, of strips and of tiles
_DEFLATE, _JPEG_IN_TIFF = (8, 32946), 7
_WIDEST, _PIECE = 64, 1 << 20  # bytes of a pixel, eight samples of 64 bits; bytes that are unpacked together


def doubts_of(path: str | Path, picture: Any) -> str:
    """What may be wrong, in a few words, "" for nothing; of a picture that Pillow has read to its end.

    Raises:
        ValueError: pixels that are not there, so that a decoder guessed them.
    """
    if picture.format == "TIFF":
        return next((found for strip in _strips(path, picture) if (found := _of_strip(*strip))), "")
    if picture.format in ("WEBP", "AVIF"):
        least = max(_BLOCK, picture.width * picture.height // _FLAT)
        for start, held in _coded(Path(path).read_bytes(), picture):
            if (place := held.find(bytes(least))) >= 0:
                raise Unfit(f"a block of its data is lost, at byte {start + place} there are {least} zeros in a row")
    return ""


# TIFF -----------------------------------------------------------------------------------------------------------------


def _strips(path: str | Path, picture: Any) -> Iterator[tuple[bytes, bytes | None, int]]:
    """Each packed part of the page, the tables that JPEG parts share, or None, and the most bytes that it may hold."""
    tags = picture.tag_v2
    kind = tags.get(_COMPRESSION, 1)
    if kind not in (*_DEFLATE, _JPEG_IN_TIFF):
        return
    with Path(path).open("rb") as file:
        for offsets, sizes in _PLACES:
            for offset, size in zip(_numbers(tags.get(offsets)), _numbers(tags.get(sizes)), strict=False):
                file.seek(offset)
                tables = bytes(tags.get(_JPEG_TABLES, b"")) if kind == _JPEG_IN_TIFF else None
                yield file.read(size), tables, picture.width * picture.height * _WIDEST


def _numbers(held: Any) -> tuple[int, ...]:
    return held if isinstance(held, tuple) else () if held is None else (held,)


def _of_strip(strip: bytes, tables: bytes | None, most: int) -> str:
    if tables is not None:
        return doubts_of_jpeg(tables[:-2] + strip[2:] if len(tables) > 4 else strip)
    unpacking, done = zlib.decompressobj(), 0
    try:
        while not unpacking.eof and done <= most:
            piece = unpacking.decompress(strip, _PIECE)
            strip, done = unpacking.unconsumed_tail, done + len(piece)
            if not piece and not strip and not unpacking.eof:
                raise Unfit(EARLY)
    except zlib.error as error:
        raise Unfit("its data do not have their check sum") from error
    return ""


# WebP and AVIF --------------------------------------------------------------------------------------------------------


def _coded(data: bytes, picture: Any) -> Iterator[tuple[int, bytes]]:
    """Where the codes of pixels lie, and what lies there."""
    if picture.format == "AVIF":
        start = data.find(b"mdat")
        held = data[start:] if start > 0 else b""
        for kind in ("exif", "xmp"):  # which lie there too
            if about := picture.info.get(kind, b"").removeprefix(b"Exif\0\0"):
                held = held.replace(about, b"~" * len(about))
        yield start, held
        return
    at = 12
    while at + 8 <= len(data):
        size = int.from_bytes(data[at + 4 : at + 8], "little")
        if data[at : at + 4] in (b"VP8 ", b"VP8L"):
            yield at + 8, data[at + 8 : at + 8 + size]
        at += 8 + size + size % 2

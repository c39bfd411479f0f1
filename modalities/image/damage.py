"""What is wrong with the data of a picture that Pillow reads without a word.

Arrow: path, picture of Pillow --**doubts_of**--> words, or an error. Does not know: pixels, networks.

Pillow stops looking where it has as many pixels as it wants. So strips of TIFF files are unpacked up to their check
sums, or counted. WebP, AVIF and JPEG 2000 have none; of those a lost block is seen: zeros in a row, as their coders do
not write them. JPEG has a file of its own. Source: TIFF 6.0 and its technical note 2 (JPEG); RFC 9649.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tokenmask.modalities.image.jpeg import EARLY, MORE, doubts_of_jpeg
from tokenmask.modalities.image.jpeg2000 import lost_block
from tokenmask.modalities.riddles import Unfit

_BLOCK = 512  # bytes of the smallest block of a disk
_FLAT = 5000  # pixels of one colour that lossy WebP packs into a byte are 10,000; so many zeros are met in blank ones
_COMPRESSION, _JPEG_TABLES = 259, 347
_PLACES = ((273, 279), (324, 325))  # tags of offsets and sizes, of strips and of tiles
_DEFLATE, _JPEG_IN_TIFF, _PACKBITS = (8, 32946), 7, 32773
_WIDTH, _HEIGHT, _BITS, _PHOTOMETRIC, _SAMPLES, _ROWS, _PLANES, _TILE = 256, 257, 258, 262, 277, 278, 284, (322, 323)
_YCBCR = 6  # whose rows may have fewer samples of colour
_FILL = 2  # bytes behind a strip that a program fills up
_LOST = "a block of its data is lost, at byte {} there are {} zeros in a row"
_WIDEST, _PIECE = 64, 1 << 20  # bytes of a pixel, eight samples of 64 bits; bytes that are unpacked together


def doubts_of(path: str | Path, picture: Any) -> str:
    """What may be wrong, in a few words, "" for nothing; of a picture that Pillow has read to its end.

    Raises:
        ValueError: pixels that are not there, so that a decoder guessed them.
    """
    if picture.format == "TIFF":
        return next((found for strip in _strips(path, picture) if (found := _of_strip(strip))), "")
    if picture.format == "JPEG2000" and (lost := lost_block(Path(path).read_bytes())):
        raise Unfit(_LOST.format(*lost))
    if picture.format in ("WEBP", "AVIF"):
        least = max(_BLOCK, picture.width * picture.height // _FLAT)
        for start, held in _coded(Path(path).read_bytes(), picture):
            if (place := held.find(bytes(least))) >= 0:
                raise Unfit(_LOST.format(start + place, least))
    return ""


# TIFF -----------------------------------------------------------------------------------------------------------------


class _Strip(NamedTuple):
    """A packed part of a page.

    Args:
        kind: of its compression.
        data: as they are in the file.
        tables: that parts of JPEG share.
        most: bytes that it may hold.
        held: bytes that it must hold; 0 where that is not told.
    """

    kind: int
    data: bytes
    tables: bytes
    most: int
    held: int


def _strips(path: str | Path, picture: Any) -> Iterator[_Strip]:
    """Each packed part of the page."""
    tags = picture.tag_v2
    kind = tags.get(_COMPRESSION, 1)
    if kind not in (*_DEFLATE, _JPEG_IN_TIFF, _PACKBITS):
        return
    with Path(path).open("rb") as file:
        for offsets, sizes in _PLACES:
            for number, (offset, size) in enumerate(
                zip(_numbers(tags.get(offsets)), _numbers(tags.get(sizes)), strict=False)
            ):
                file.seek(offset)
                most, held = picture.width * picture.height * _WIDEST, _held(tags, number, offsets != _PLACES[0][0])
                yield _Strip(kind, file.read(size), bytes(tags.get(_JPEG_TABLES, b"")), most, held)


def _held(tags: Any, number: int, tiled: bool) -> int:
    """Bytes of a strip or tile once it is unpacked; 0 where that is not told."""
    wide, high = tags.get(_WIDTH, 0), tags.get(_HEIGHT, 0)
    bits, samples = tags.get(_BITS, (1,)), tags.get(_SAMPLES, 1)
    if tags.get(_PHOTOMETRIC) == _YCBCR or len(set(bits)) > 1:
        return 0
    samples = 1 if tags.get(_PLANES, 1) == 2 else samples
    if tiled:
        wide, rows = (tags.get(one, 0) for one in _TILE)
    else:
        rows = min(tags.get(_ROWS, high) or high, high)
        each = -(-high // max(1, rows))
        rows = min(rows, high - rows * (number % max(1, each)))
    return int(-(-wide * bits[0] * samples // 8) * rows)


def _numbers(held: Any) -> tuple[int, ...]:
    return held if isinstance(held, tuple) else () if held is None else (held,)


def _of_strip(one: _Strip) -> str:
    strip = one.data
    if one.kind == _JPEG_IN_TIFF:
        return doubts_of_jpeg(one.tables[:-2] + strip[2:] if len(one.tables) > 4 else strip)
    if one.kind == _PACKBITS:
        left = len(strip) - _end_of_runs(strip, one.held)
        return MORE if one.held and left > _FILL else ""
    unpacking, done = zlib.decompressobj(), 0
    try:
        while not unpacking.eof and done <= one.most:
            piece = unpacking.decompress(strip, _PIECE)
            strip, done = unpacking.unconsumed_tail, done + len(piece)
            if not piece and not strip and not unpacking.eof:
                raise Unfit(EARLY)
    except zlib.error as error:
        raise Unfit("its data do not have their check sum") from error
    return ""


def _end_of_runs(strip: bytes, held: int) -> int:
    """Where the runs of PackBits end that make so many bytes."""
    at = done = 0
    while at < len(strip) and done < held:
        run = strip[at]
        if run < 128:
            at, done = at + 2 + run, done + 1 + run
        else:
            at, done = at + (1 if run == 128 else 2), done + (0 if run == 128 else 257 - run)
    return at


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

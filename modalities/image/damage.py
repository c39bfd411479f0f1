"""What is wrong with the data of a picture that Pillow reads without a word.

Arrow: path, picture of Pillow --**doubts_of**--> words, or an error. Does not know: pixels, networks.

Pillow does not hand on what libjpeg warns of, and it stops looking where it has as many pixels as it wants. So JPEG
data are decoded once more, to an eighth of their size, by a binding of libjpeg that reports warnings, and strips of
TIFF files are unpacked up to their check sums. WebP and AVIF have none; of those a lost block is seen: zeros in a row,
as their coders do not write them. Source: ITU-T T.81, annexes B and G; TIFF 6.0 and its technical note 2 (JPEG);
RFC 9649.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tokenmask.modalities.riddles import Unfit

_MARKER = re.compile(rb"\xff+([^\x00\xd0-\xd7\xff])")  # what can follow upon a scan
_SEQUENTIAL, _PROGRESSIVE = (0xC0, 0xC1, 0xC9), (0xC2, 0xCA)
_SCAN, _END, _TABLES = 0xDA, 0xD9, (0xC4, 0xCC, 0xDB, 0xDD)
_NEVER = 16  # bits of a coefficient that are missing where none came
_EARLY, _WITHOUT_MEANING = "its data end before its pixels do", "its data hold codes without a meaning"
_LOST = (  # what libjpeg says where pixels are guessed, and what it means; of what it says of headers none suffer
    ("premature end of data segment", _EARLY),
    ("Premature end of JPEG file", _EARLY),
    ("bad Huffman code", _WITHOUT_MEANING),
    ("bad arithmetic code", _WITHOUT_MEANING),
    ("Inconsistent progression", "its scans do not follow from each other"),
    ("found marker", "its data have marks in a wrong order"),
)
_MORE = "extraneous bytes before marker"  # cameras fill up so, too
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
    if picture.format in ("JPEG", "MPO"):
        return _of_jpeg(Path(path).read_bytes())
    if picture.format == "TIFF":
        return next((found for strip in _strips(path, picture) if (found := _of_strip(*strip))), "")
    if picture.format in ("WEBP", "AVIF"):
        least = max(_BLOCK, picture.width * picture.height // _FLAT)
        for start, held in _coded(Path(path).read_bytes(), picture):
            if (place := held.find(bytes(least))) >= 0:
                raise Unfit(f"a block of its data is lost, at byte {start + place} there are {least} zeros in a row")
    return ""


# JPEG -----------------------------------------------------------------------------------------------------------------


def _of_jpeg(data: bytes) -> str:
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
        if _MORE in str(error):
            return "its data hold bytes that belong to no pixel, as damage leaves them"
    return "its last scans are missing, which make it sharp" if _lacks_scans(data) else ""


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
    return any(bits for held in missing.values() for bits in held)


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
        return _of_jpeg(tables[:-2] + strip[2:] if len(tables) > 4 else strip)
    unpacking, done = zlib.decompressobj(), 0
    try:
        while not unpacking.eof and done <= most:
            piece = unpacking.decompress(strip, _PIECE)
            strip, done = unpacking.unconsumed_tail, done + len(piece)
            if not piece and not strip and not unpacking.eof:
                raise Unfit(_EARLY)
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

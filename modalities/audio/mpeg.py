"""MP3 files as they are met: one after the other, with tags between them, without a count of their frames.

Arrow: bytes --**mp3_streams**--> streams that a decoder reads to their end. Does not know: how sound is decoded.
Headers as in ISO/IEC 11172-3, 2.4.2.3 and ISO/IEC 13818-3; the count is that of Xing, which others took over.
"""

from __future__ import annotations

import mmap
import re
from typing import NamedTuple

from tokenmask.modalities.audio.view import let_go

Data = bytes | mmap.mmap

_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}  # by version: 1, 2, 2.5
_KBITS_1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
_KBITS_2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_BEGINNING = re.compile(rb"\xff[\xe2-\xff]|ID3|TAG|APETAGEX")  # of frames and tags
_RELEASED = 1 << 14  # frames that are in memory while they are counted
_TAG, _APE = 128, 32  # bytes of an ID3v1 tag and of the head or foot of an APE tag


class _Frame(NamedTuple):
    size: int
    kind: tuple[int, int, bool]  # version, rate, mono
    side: int  # bytes before what a Xing header would be


class Mp3(NamedTuple):
    """A stream.

    Args:
        parts: (start, stop) of its frames in the file, with a count of them in front, which may be bytes.
        announced: how many a count in the file named, or None.
        held: how many there are.
    """

    parts: list[tuple[int, int] | bytes]
    announced: int | None
    held: int


def mp3_streams(data: Data, notes: list[str]) -> list[Mp3]:
    """The streams in a file; [] if it begins with something else, or its frames do not tell their size.

    Args:
        data: of a whole file.
        notes: gets a sentence on what is neither sound nor a tag.
    """
    place = _past_tags(data, 0)
    if _frame(data, place) is None:
        return []
    found: list[Mp3] = []
    lost, kind = 0, (0, 0, False)
    while place < len(data):
        first = _frame(data, place)
        if first is None:
            following = _past_tags(data, place)
            if following == place:
                following = _next_frame(data, place)
                lost += len(data[place:following].strip(b"\0"))
            place = following
            continue
        start, places = place, list[int]()
        while (frame := _frame(data, place)) is not None and frame.kind == first.kind:
            if places and _count(data, place, frame) is not None:  # the next stream begins with one of its own
                break
            places.append(place)
            place += frame.size
            if len(places) % _RELEASED == 0:
                let_go(data, places[-_RELEASED], place)
        stop = min(place, len(data))
        if _goes_on(found, _count(data, start, first), len(places)) and kind == first.kind:
            found[-1] = found[-1]._replace(parts=[*found[-1].parts, (start, stop)], held=found[-1].held + len(places))
        else:
            found.append(_stream(data, start, stop, places, first))
        kind = first.kind
    if lost:
        notes.append(f"{lost} bytes in it are neither MP3 frames nor tags and are left out")
    return found


def _goes_on(found: list[Mp3], count: int | None, held: int) -> bool:
    """Whether frames without a count of their own are the rest of the stream before, which announces that many more."""
    return bool(found) and count is None and found[-1].held + held <= (found[-1].announced or 0)


def past_tags(data: Data) -> int:
    """Where the tags at the beginning of a file end."""
    return _past_tags(data, 0)


def _stream(data: Data, start: int, stop: int, places: list[int], first: _Frame) -> Mp3:
    count = _count(data, start, first)
    if count is not None:
        return Mp3([(start, stop)], count or None, len(places) - 1)
    # A decoder without a count guesses the length from the first frame, and stops there.
    size = max(first.size, 4 + first.side + 12)
    head = bytearray(data[start : start + 4])
    while (own := _frame(bytes(head), 0)) is None or own.size < size:  # the smallest bit rate with room for it
        if head[2] >> 4 >= 14:
            return Mp3([(start, stop)], None, len(places))
        head[2] += 16
    head[1] |= 1  # without a checksum
    head += bytes(first.side) + b"Xing" + (1).to_bytes(4, "big") + len(places).to_bytes(4, "big")
    return Mp3([bytes(head).ljust(own.size, b"\0"), (start, stop)], None, len(places))


def _frame(data: Data, place: int) -> _Frame | None:
    """The frame of layer III whose header stands here."""
    head = data[place : place + 4]
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE6 != 0xE2:
        return None
    version, kbits, rate = head[1] >> 3 & 3, head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or kbits in (0, 15) or rate == 3:
        return None
    bits, hz = (_KBITS_1 if version == 3 else _KBITS_2)[kbits] * 1000, _RATES[version][rate]
    mono = head[3] >> 6 == 3
    side = (17 if mono else 32) if version == 3 else (9 if mono else 17)
    return _Frame((144 if version == 3 else 72) * bits // hz + (head[2] >> 1 & 1), (version, rate, mono), side)


def _count(data: Data, place: int, frame: _Frame) -> int | None:
    """How many frames follow this one, if it is no sound but a count (0: it does not say)."""
    held = data[place + 4 + frame.side : place + 4 + frame.side + 12]
    if held[:4] in (b"Xing", b"Info"):
        says = len(held) == 12 and held[7] & 1  # a file may be cut off in its midst
        return int.from_bytes(held[8:12], "big") if says else 0
    fraunhofer = data[place + 36 : place + 36 + 18]
    return int.from_bytes(fraunhofer[14:18], "big") if fraunhofer[:4] == b"VBRI" else None


def _past_tags(data: Data, place: int) -> int:
    """Where the tags that stand here end."""
    while True:
        head = data[place : place + _APE]
        if head[:3] == b"ID3" and len(head) >= 10 and max(head[6:10]) < 128:
            size = sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))
            place += 10 + size + (10 if head[5] & 16 else 0)
        elif head[:3] == b"TAG":
            place += _TAG
        elif head[:8] == b"APETAGEX" and len(head) == _APE:
            place += _APE + (int.from_bytes(head[12:16], "little") if head[23] & 0x20 else 0)  # a foot may stand alone
        else:
            return min(place, len(data))


def _next_frame(data: Data, place: int) -> int:
    """Where frames or tags go on: two frames of a kind in a row, or a tag."""
    while (found := _BEGINNING.search(data, place + 1)) is not None:
        place = found.start()
        frame = _frame(data, place)
        if frame is not None:
            second = _frame(data, place + frame.size)
            if place + frame.size >= len(data) or (second is not None and second.kind == frame.kind):
                return place
        elif _past_tags(data, place) > place:
            return place
    return len(data)

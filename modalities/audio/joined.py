"""Sound files in which streams follow each other, and headers that do not tell how long they are.

Arrow: file --**streams**--> files with one stream each. Does not know: how sound is decoded, clips.
"""

from __future__ import annotations

import mmap
import re
from pathlib import Path
from typing import Literal, NamedTuple

from tokenmask.modalities.audio.mpeg import mp3_streams, past_tags
from tokenmask.modalities.audio.padded import Blocks, blocks_of
from tokenmask.modalities.audio.view import View, let_go, search
from tokenmask.modalities.riddles import Unfit

_CAPTURE, _FIRST_PAGE = b"OggS", 2  # RFC 3533, section 6
_FLAC_IN_OGG = b"\x7fFLAC"
_BEGINNINGS = {  # of other kinds, by their first four bytes
    b"fLaC": rb"fLaC[\x00\x80]\x00\x00\x22",  # RFC 9639, section 8: STREAMINFO comes first and has 34 bytes
    b"RIFF": rb"RIFF....WAVE",
    b"RIFX": rb"RIFX....WAVE",
    b"RF64": rb"RF64\xff\xff\xff\xffWAVE",
    b"FORM": rb"FORM....AIF[FC]",
    b"caff": rb"caff\x00\x01\x00\x00",
    b"riff": rb"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00",  # Wave64
    b".snd": rb"\.snd\x00\x00[\x00-\x0f].{4}.\x00\x00\x00[\x01-\x1b]\x00[\x00-\x0b]..\x00\x00\x00[\x01-\x20]",
}
_CHUNK = re.compile(rb"[ -~]{4}", re.DOTALL)
_TAGS = 1 << 26  # bytes of a tag with pictures, which it may have at most
_RELEASED = 1 << 24  # bytes of a file that are in memory while its pages are counted
_UNKNOWN = 0x7FFFF000  # sizes from here on stand for an unknown one, as of programs that write into a pipe


class Stream(NamedTuple):
    """A file with one stream.

    Args:
        source: a path, or what would be in the file.
        kind: its first four bytes, or b"mp3".
        announced: MP3 frames that its header counts, and those that it has; (0, 0) where that is not known.
        blocks: of a WAV file in a coding of whole blocks.
    """

    source: str | Path | View
    kind: bytes
    announced: tuple[int, int] = (0, 0)
    blocks: Blocks | None = None


def streams(path: str | Path, notes: list[str]) -> list[Stream]:
    """The streams of a file, one after the other; notes get sentences on what is left out or guessed."""
    if Path(path).stat().st_size < 12:
        return [Stream(path, b"")]
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        kind = bytes(data[:4])
        if kind == _CAPTURE:
            links = _ogg_links(data, notes)
            if _ogg_flac(data, *links[0]):
                return [_bare_flac(path, data, start, stop) for start, stop in links]
            return _cut(path, data, links, kind)
        if kind in _BEGINNINGS:
            return _known(path, data, kind, notes)
        if kind[:3] == b"ID3" or kind[0] == 0xFF:
            begin = past_tags(data)
            word = int.from_bytes(data[begin : begin + 2], "big")
            if word & 0xFFF6 == 0xFFF0:  # a synchronisation word of MPEG with layer 0
                raise Unfit("it is AAC (ADTS), which cannot be read here, not MP3")
            if data[begin : begin + 4] == b"fLaC":  # a tag that some programs put before it
                return [Stream(View(path, [part]), b"fLaC") for part in _flac_behind_tags(data, begin)]
            found = mp3_streams(data, notes)
            return [Stream(View(path, one.parts), b"mp3", (one.announced or 0, one.held)) for one in found] or [
                Stream(path, kind)
            ]
        return [Stream(path, kind)]


def _cut(path: str | Path, data: mmap.mmap, parts: list[tuple[int, int]], kind: bytes) -> list[Stream]:
    if parts == [(0, len(data))]:
        return [Stream(path, kind)]
    return [Stream(View(path, [part]), kind) for part in parts]


def _known(path: str | Path, data: mmap.mmap, kind: bytes, notes: list[str]) -> list[Stream]:
    """Streams of kinds that begin with a header like no other."""
    mark, starts, place = re.compile(_BEGINNINGS[kind], re.DOTALL), [0], _end(data, 0, kind)
    while (found := search(mark, data, place)) is not None:
        starts.append(found)
        place = _end(data, found, kind)
    parts = list(zip(starts, [*starts[1:], len(data)], strict=True))
    if kind in (b"RF64", b".snd", b"riff"):
        for start, stop in parts:
            _note_cut(_held_by(data, start, stop, kind), stop, notes)
    if kind == b"RIFX":
        for start, stop in parts:
            found_chunk = _find_chunk(data, start, stop, kind)
            _note_cut(None if found_chunk is None else (found_chunk[0] + 4, found_chunk[1]), stop, notes)
    if kind == b"caff":
        return [_caf(path, data, start, stop, notes) for start, stop in parts]
    if kind not in (b"RIFF", b"FORM"):
        return _cut(path, data, parts, kind)
    result = []
    order: Literal["little", "big"] = "little" if kind == b"RIFF" else "big"
    for start, stop in parts:
        patch = _sound_chunk(data, start, stop, kind, notes)
        blocks = blocks_of(data, start, stop) if kind == b"RIFF" and not patch else None
        if blocks is not None and blocks.is_mp3 and (inner := _mp3_in_wav(path, data, blocks, notes)):
            result.append(inner)
            continue
        if len(parts) == 1 and not patch:
            result.append(Stream(path, kind, blocks=blocks))
            continue
        sizes = {4: stop - start - 8} | ({patch[0] - start: patch[1]} if patch else {})
        patches = {place: size.to_bytes(4, order) for place, size in sizes.items()} if patch else {}
        result.append(Stream(View(path, [(start, stop)], patches), kind, blocks=blocks))
    return result


def _mp3_in_wav(path: str | Path, data: mmap.mmap, blocks: Blocks, notes: list[str]) -> Stream | None:
    """The MP3 frames of a WAV file as a file of their own, with a count of them: without one the decoder guesses how
    many there are from the first, and stops there. None if they are not one stream."""
    found = mp3_streams(data[blocks.place : blocks.stop], notes)
    if len(found) != 1:
        return None
    shifted = [
        part if isinstance(part, bytes) else (part[0] + blocks.place, part[1] + blocks.place) for part in found[0].parts
    ]
    return Stream(View(path, shifted), b"mp3", (found[0].announced or 0, found[0].held), blocks)


def _caf(path: str | Path, data: mmap.mmap, start: int, stop: int, notes: list[str]) -> Stream:
    """A Core Audio file, with the size of its samples where that is -1 (up to the end) or more than there is.

    Source: Apple, Core Audio Format specification, audio data chunk.
    """
    place = start + 8
    while place + 12 <= stop and data[place : place + 4] != b"data":
        place += 12 + max(0, int.from_bytes(data[place + 4 : place + 12], "big", signed=True))
    size, held = int.from_bytes(data[place + 4 : place + 12], "big", signed=True), stop - place - 12
    if place + 12 > stop or 0 <= size <= held:
        return Stream(path if (start, stop) == (0, len(data)) else View(path, [(start, stop)]), b"caff")
    _note_cut((place + 12, size), stop, notes)
    return Stream(View(path, [(start, stop)], {place + 4 - start: held.to_bytes(8, "big")}), b"caff")


def _flac_behind_tags(data: mmap.mmap, begin: int) -> list[tuple[int, int]]:
    """FLAC streams, the first at ``begin``, each but the first with or without an ID3 tag before it."""
    mark, starts, stops = re.compile(_BEGINNINGS[b"fLaC"], re.DOTALL), [begin], []
    place = _end(data, begin, b"fLaC")
    while (found := search(mark, data, place)) is not None:
        tag = data.rfind(b"ID3", max(place, found - _TAGS), found)
        stops.append(tag if tag >= 0 and tag + past_tags(data[tag:found]) == found else found)
        starts.append(found)
        place = _end(data, found, b"fLaC")
    return list(zip(starts, [*stops, len(data)], strict=True))


def _end(data: mmap.mmap, start: int, kind: bytes) -> int:
    """Before where no other stream begins; behind where this one does, whatever a damaged header says."""
    place = start + 4
    if kind == b"fLaC":  # blocks about the sound, which may hold pictures
        while place + 4 <= len(data):
            last, place = data[place] & 0x80, place + 4 + int.from_bytes(data[place + 1 : place + 4], "big")
            if last:
                break
    elif kind in (b"RIFF", b"RIFX", b"FORM"):
        found = _find_chunk(data, start, len(data), kind)
        if found is not None and 0 < found[1] < _UNKNOWN:
            place = found[0] + 4 + found[1]
    elif (found := _held_by(data, start, len(data), kind)) is not None:
        place = found[0] + found[1]
    return min(max(place, start + 4), len(data))


def _held_by(data: mmap.mmap, start: int, stop: int, kind: bytes) -> tuple[int, int] | None:
    """Where samples begin, and how many bytes of them an RF64, Wave64 or AU header announces, if it does."""
    if kind == b".snd":
        place, size = (int.from_bytes(data[start + at : start + at + 4], "big") for at in (4, 8))
        return (start + place, size) if size < _UNKNOWN else None
    if kind == b"riff":  # chunks named by 16 bytes, whose size counts the 24 of its head, at multiples of 8
        place = start + 40
        while place + 24 <= stop:
            size = int.from_bytes(data[place + 16 : place + 24], "little")
            if data[place : place + 4] == b"data":
                return place + 24, size - 24
            place += max(24, size + -size % 8)
    if kind == b"RF64" and data[start + 12 : start + 16] == b"ds64":  # EBU Tech 3306: sizes of 64 bits come first
        found = _find_chunk(data, start, stop, kind)
        if found is not None:
            size = int.from_bytes(data[start + 28 : start + 36], "little") if found[1] == 0xFFFFFFFF else found[1]
            return found[0] + 4, size
    return None


def _note_cut(found: tuple[int, int] | None, stop: int, notes: list[str]) -> None:
    if found is not None and found[1] > stop - found[0]:
        held = max(0, stop - found[0])
        notes.append(f"its header announces {found[1]} bytes of samples, but {held} are there: it is cut short")


def _find_chunk(data: mmap.mmap, start: int, stop: int, kind: bytes) -> tuple[int, int] | None:
    """Where the size of the chunk with samples stands, and the size."""
    wanted = b"SSND" if kind == b"FORM" else b"data"
    place = start + 12
    while place + 8 <= stop and _CHUNK.match(data, place):
        size = int.from_bytes(data[place + 4 : place + 8], "little" if kind in (b"RIFF", b"RF64") else "big")
        if data[place : place + 4] == wanted:
            return place + 4, size
        place += 8 + size + size % 2
    return None


def _sound_chunk(data: mmap.mmap, start: int, stop: int, kind: bytes, notes: list[str]) -> tuple[int, int] | None:
    """Where to write which size, if the chunk with samples has none; a chunk that is cut short is said."""
    found = _find_chunk(data, start, stop, kind)
    if found is None:
        return None
    place, size = found
    held = stop - place - 4
    if size >= _UNKNOWN or size <= held:
        if size or not held or _are_chunks(data, place + 4, stop, kind):
            return None
        notes.append(f"its header says that it has no samples, but {held} bytes follow, which are read as samples")
        return place, held
    notes.append(f"its header announces {size} bytes of samples, but {held} are there: it is cut short")
    return None


def _are_chunks(data: mmap.mmap, place: int, stop: int, kind: bytes) -> bool:
    """Whether what follows is chunks to the end, so that there are no samples indeed."""
    while place + 8 <= stop and _CHUNK.match(data, place):
        size = int.from_bytes(data[place + 4 : place + 8], "little" if kind == b"RIFF" else "big")
        place += 8 + size + size % 2
    return stop <= place <= stop + 1


def _ogg_flac(data: mmap.mmap, start: int, stop: int) -> bool:
    """Whether the first page of a link holds FLAC, which libsndfile does not find there."""
    place = start + 27 + data[start + 26] if start + 27 <= stop else stop
    return data[place : place + 5] == _FLAC_IN_OGG and data[place + 9 : place + 13] == b"fLaC"


def _bare_flac(path: str | Path, data: mmap.mmap, start: int, stop: int) -> Stream:
    """FLAC as it is without Ogg: what its pages hold, the first without the nine bytes before the mark of FLAC.

    Source: RFC 9639, section 10.1.
    """
    if not _ogg_flac(data, start, stop):
        raise Unfit("its streams must be of one kind, but one of them is FLAC in Ogg; split it")
    parts: list[tuple[int, int]] = []
    place, kept, own = start, start, data[start + 14 : start + 18]
    while place + 27 <= stop:
        if data[place : place + 5] != _CAPTURE + b"\0":  # what is no page was counted with the links
            following = data.find(_CAPTURE + b"\0", place + 1, stop)
            place = stop if following < 0 else following
            continue
        begin = place + 27 + data[place + 26]
        end = begin + sum(data[place + 27 : begin])
        if data[place + 14 : place + 18] == own:  # others are streams beside it
            parts.append((begin + (0 if parts else 9), min(end, stop)))
        place = end
        if place - kept > _RELEASED:
            let_go(data, kept, place)
            kept = place
    return Stream(View(path, parts), b"fLaC")


def _ogg_links(data: mmap.mmap, notes: list[str]) -> list[tuple[int, int]]:
    """The links of a chain, each a whole Ogg file: a first page that comes after others than first ones begins one."""
    starts: list[int] = [0]
    ends: list[int] = []
    place, end, opening, lost, kept = 0, 0, True, 0, 0
    while place < len(data):
        if place - kept > _RELEASED:
            let_go(data, kept, place)
            kept = place
        kind, segments = (data[place + 5], data[place + 26]) if place + 27 <= len(data) else (0, 0)
        if data[place : place + 5] != _CAPTURE + b"\0" or place + 27 > len(data):
            following = data.find(_CAPTURE + b"\0", place + 1)
            following = len(data) if following < 0 else following
            lost += len(bytes(data[place:following]).strip(b"\0"))
            if following == len(data):
                break
            place = following
            continue
        is_first = bool(kind & _FIRST_PAGE)
        if is_first and not opening:
            starts.append(place)
            ends.append(end)
        opening = is_first
        place += 27 + segments + sum(data[place + 27 : place + 27 + segments])
        end = min(place, len(data))
    if lost:
        notes.append(f"{lost} bytes in it are no Ogg pages and are left out")
    return list(zip(starts, [*ends, end], strict=True))

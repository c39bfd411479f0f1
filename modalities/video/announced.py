"""How many frames a film announces: its decoder makes room for all of them before it looks for the first.

Arrow: film --**impossible_length**--> why it cannot be, in words. Does not know: decoders, pixels. Sources: AVI RIFF
File Reference, AVISTREAMHEADER (dwLength is at byte 32); ISO/IEC 14496-12, 8.6.1.2 (time to sample), 8.2.2 (movie
header), 8.6.1.3, 8.6.2 and 8.7.3 to 8.7.5 (the other tables of samples).
"""

from __future__ import annotations

import struct
from pathlib import Path

from tokenmask.modalities.video.display import boxes, described, tables_of_pictures

_HEAD = 1 << 16  # bytes in which the headers of the streams of an AVI file stand
_FRAME_OF_AVI = 8  # bytes of a frame at the least: its name and its length
_FRAME_OF_MP4 = 1 / 8  # a frame that repeats the one before may be empty
_ENTRIES = {b"stts": 8, b"ctts": 8, b"stsc": 12, b"stco": 4, b"co64": 8, b"stss": 4}  # bytes of one
_LONGEST_SECONDS = 1e7  # of a film in pieces, which announces no frames; four months


def impossible_length(path: Path) -> str:
    """Why a film cannot have the frames that it announces, "" where it can, or where its kind does not announce any."""
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(b"RIFF") and head[8:12] == b"AVI ":
        return _refusal(_frames_of_avi(head), size, _FRAME_OF_AVI)
    moov = described(path)
    tables = [table for track in tables_of_pictures(moov) for table in track.items()]
    if why := next((why for name, content in tables if (why := _beyond(name, content))), ""):
        return why
    frames = _frames_of_mp4(moov)
    if frames == 0 and (seconds := _seconds_of_mp4(moov)) > _LONGEST_SECONDS:
        return f"it announces {seconds:.0f} seconds, and no frames"
    return _refusal(frames, size, _FRAME_OF_MP4)


def _refusal(frames: int, size: int, least_bytes: float) -> str:
    return f"it announces {frames} frames in {size} bytes" if frames * least_bytes > size else ""


def _frames_of_avi(head: bytes) -> int:
    """The largest number of frames that a stream of pictures announces."""
    most, at = 0, head.find(b"strh")
    while at >= 0:
        stream = head[at + 8 : at + 64]
        if stream[:4] == b"vids" and len(stream) >= 36:
            most = max(most, int.from_bytes(stream[32:36], "little"))
        at = head.find(b"strh", at + 4)
    return most


def _beyond(name: bytes, content: bytes) -> str:
    """Why a table is damaged that announces more than its box holds; its decoder would read on in the next box."""
    announced, width = int.from_bytes(content[4:8], "big"), _ENTRIES.get(name, 0)
    held = (len(content) - 8) // width if width else announced
    return f"its table {name.decode()} announces {announced} entries and holds {held}" if announced > held else ""


def _frames_of_mp4(moov: bytes) -> int:
    """The largest number of frames that a track announces, by how long each is shown; 0 for a film in pieces."""
    most = 0
    for tables in tables_of_pictures(moov):
        content = tables.get(b"stts", b"")
        entries = min(int.from_bytes(content[4:8], "big"), max(0, len(content) - 8) // 8)
        most = max(most, sum(count for count, _ in struct.iter_unpack(">II", content[8 : 8 + 8 * entries])))
    return most


def _seconds_of_mp4(moov: bytes) -> float:
    """How long the film says it is; 0 if that is not known."""
    header = dict(boxes(moov)).get(b"mvhd", b"")
    form, begin, unknown = (">IQ", 20, 2**64 - 1) if header[:1] == b"\1" else (">II", 12, 2**32 - 1)
    if len(header) < begin + struct.calcsize(form):
        return 0.0
    rate, length = struct.unpack_from(form, header, begin)
    return length / rate if rate and length != unknown else 0.0

"""How many frames an AVI file announces: its decoder makes room for all of them before it looks for the first.

Arrow: .avi --**announced_frames**--> a number. Does not know: decoders, pixels. Source: AVI RIFF File Reference,
AVISTREAMHEADER (dwLength is at byte 32).
"""

from __future__ import annotations

from pathlib import Path

_HEAD = 1 << 16  # bytes in which the headers of the streams stand
LEAST_BYTES = 8  # of a frame in the file: its name and its length


def announced_frames(path: Path) -> int | None:
    """The largest number of frames that a stream of pictures announces; None if none does, or it is no AVI file."""
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not (head.startswith(b"RIFF") and head[8:12] == b"AVI "):
        return None
    most, at = None, head.find(b"strh")
    while at >= 0:
        stream = head[at + 8 : at + 64]
        if stream[:4] == b"vids" and len(stream) >= 36:
            most = max(most or 0, int.from_bytes(stream[32:36], "little"))
        at = head.find(b"strh", at + 4)
    return most

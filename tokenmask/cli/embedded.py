"""Cells of manifests that hold a file themselves, not its path.

Arrow: a cell --**embedded**--> the bytes of a file. Does not know: rows, media.
"""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import Any, NamedTuple

_ADDRESS = re.compile(r"data:[\w.+-]*/?[\w.+-]*(?:;[\w-]+=[^;,]*)*;base64,", re.IGNORECASE)
_LEAST = 32  # letters of base64 that are no path without an ending; hardly a file of media is shorter


class Embedded(NamedTuple):
    """A file in a cell.

    Args:
        content: its bytes.
        name: what it was called; "" if the cell does not say.
    """

    content: bytes
    name: str = ""


def embedded(cell: Any) -> Embedded | None:
    """The file that a cell holds, None if it holds none: bytes, {"bytes": ..., "path": ...} as of the library
    `datasets`, base64 (alone or behind data:image/png;base64,), a list of numbers from 0 to 255.

    A path has a point before its ending, and base64 has none.
    """
    if isinstance(cell, bytes):
        return Embedded(cell)
    if isinstance(cell, dict):
        inner = embedded(cell["bytes"]) if cell.keys() <= {"bytes", "path"} and cell.get("bytes") is not None else None
        return None if inner is None else Embedded(inner.content, Path(str(cell.get("path") or "")).name)
    if isinstance(cell, list):
        whole = len(cell) > 1 and all(type(one) is int and 0 <= one < 256 for one in cell)
        return Embedded(bytes(cell)) if whole else None
    if not isinstance(cell, str):
        return None
    said = _ADDRESS.match(cell)
    letters = cell[said.end() :] if said else cell
    if not said and len(letters) < _LEAST:
        return None
    plain = "".join(letters.split()).translate(str.maketrans("-_", "+/")).rstrip("=")
    try:
        return Embedded(base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True))
    except (ValueError, binascii.Error):
        if said:
            raise ValueError(f"{said[0]} must be followed by base64, got {letters[:24]!r}") from None
        return None

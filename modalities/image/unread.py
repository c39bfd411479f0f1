"""The sentence on a picture that cannot be read, in our words.

Arrow: path, error of Pillow --> a sentence. Does not know: how pictures are read.
"""

from __future__ import annotations

import re
from pathlib import Path

from tokenmask.modalities.image.deep import kind_of_tiff
from tokenmask.modalities.riddles import Unfit, in_our_words

_EARLY = "its data end before its pixels do"
_BROKEN = "its data are damaged and cannot be unpacked"
_MEANINGS = (
    *((words, _EARLY) for words in ("runcated", "not enough image data", "Expected to read", "only got")),
    *((words, _BROKEN) for words in ("broken data", "unrecognized data", "buffer overrun", "decoder error", "decode")),
    ("cannot identify", "it does not begin as a picture does that is known here, or its header is damaged"),
    ("Unsupported", "its header names a kind of picture that is not known here, or is damaged"),
)
_OTHERWISE = "its header or its data are damaged"
_BOMB = re.compile(r"\((\d+) pixels\) exceeds")


def why_no_picture(path: str | Path, error: BaseException) -> str:
    """What is wrong with the file, as a clause."""
    if not Path(path).stat().st_size:
        return "it is empty"
    if isinstance(error, MemoryError):
        return "it asks for more memory than there is"
    if "cannot identify" in str(error) and (kind := kind_of_tiff(path)):
        return kind
    return in_our_words(error, _MEANINGS, _OTHERWISE)


def pixels_announced(error: BaseException) -> int:
    """How many pixels a picture announces that Pillow refuses for their number; 0 for any other error."""
    found = _BOMB.search(str(error))
    return int(found[1]) if found and not isinstance(error, Unfit) else 0


def no_picture(path: str | Path, error: BaseException, most: int, said: str = "") -> str:
    """What is wrong with the file, and what to do.

    Args:
        path: of the file.
        error: what was raised.
        most: pixels that a picture may have.
        said: what its decoder printed, in words.
    """
    if pixels := pixels_announced(error):
        return f"an image may have up to {most} pixels, but {path} announces {pixels}; shrink it first"
    reason = why_no_picture(path, error) + (f", {said}" if said else "")
    return f"{path} must be a whole image file, but cannot be read ({reason}); export it again"

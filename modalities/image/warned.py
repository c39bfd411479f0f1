"""What Pillow warns of while it reads a picture, in our words and with the file's name.

Arrow: warnings of Pillow --**warned_of**--> sentences that are told. Does not know: pixels.

Filters of warnings belong to the whole process; so they are set in the main thread alone, as commands and their workers
read. In other threads Pillow's words stay what they are.
"""

from __future__ import annotations

import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tokenmask.telling import tell

_MEANINGS = (  # words of Pillow, and what they mean for the picture
    ("APNG", "is no whole film of PNG: its first picture is taken"),
    ("MPO", "has a damaged list of the pictures in it: the first is taken"),
    ("EXIF", "has damaged EXIF data, so that it may lie on its side: look at it"),
    ("Truncated File Read", "has damaged EXIF data, so that it may lie on its side: look at it"),
    ("Metadata Warning", "has damaged tags: look at it"),
)
_HARMLESS = ("Palette images with Transparency", "decompression bomb")  # laid on white all the same; limits are ours


@contextmanager
def warned_of(path: str | Path, quiet: bool = False) -> Iterator[None]:
    """While open, warnings of Pillow are kept back; once it is left they are told, those of one meaning once.

    Of a file that is refused, or is only looked at (``quiet``), nothing of Pillow is told.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    refused, caught = True, list[warnings.WarningMessage]()
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            yield
        refused = False
    finally:
        of_pillow = ["PIL" in Path(one.filename).parts for one in caught]
        for one, theirs in zip(caught, of_pillow, strict=True):
            if not theirs:
                tell(str(one.message))
        words = [str(one.message).strip() for one, theirs in zip(caught, of_pillow, strict=True) if theirs]
        for meant in [] if refused or quiet else dict.fromkeys(map(_in_our_words, words)):
            if meant:
                tell(f"{path} {meant}")


def _in_our_words(words: str) -> str:
    """What it means, "" for nothing."""
    if any(harmless in words for harmless in _HARMLESS):
        return ""
    return next((meant for key, meant in _MEANINGS if key in words), f"may be damaged (Pillow says: {words})")

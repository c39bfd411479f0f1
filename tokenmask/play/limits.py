"""Limits: what a page takes from whoever reaches it, checked before anything is computed.

Arrow: path, words, numbers --**checks**--> the same, or a sentence. Does not know: pages, runs.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

from tokenmask.medium import Timed
from tokenmask.scores.arguments import number, whole

MOST_BYTES = 20_000_000  # of a file
MOST_PIXELS = 1 << 22  # of a picture, all its frames together
LONGEST_SECONDS = 30.0  # of media, and of what is drawn
MOST_LETTERS = 2000  # of words
MOST_CODES = 512  # of a stream without a clock
MOST_STEPS = 128
MOST_REGIONS = 256
MOST_WAITING = 8  # draws in the queue


def inside(folder: Path, path: str | Path) -> Path:
    """A file of the upload folder, links followed.

    Raises:
        ValueError: it lies elsewhere, is no file, or is too large.
    """
    found = Path(path).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise ValueError(f"a file must be uploaded on the page, but {Path(path).name} lies elsewhere; choose it there")
    if not found.is_file():
        raise ValueError(f"{found.name} must be an uploaded file, but there is none; upload it again")
    size = found.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"{found.name} may take {MOST_BYTES:,} bytes, got {size:,}; upload less")
    _check_header(found)
    return found


def check_media(name: str, media: Any) -> None:
    """ValueError for media that are too long."""
    seconds = media.duration_seconds if isinstance(media, Timed) else 0.0
    if seconds > LONGEST_SECONDS:
        raise ValueError(f"{name} may last {LONGEST_SECONDS:g} s, got {seconds:.1f}; cut it")
    if len(str(media)) > MOST_LETTERS and type(media).words:
        raise ValueError(f"{name} may have {MOST_LETTERS} letters, got {len(str(media))}; shorten it")


def words(name: str, text: str | None) -> str:
    """Words without blanks around them.

    Raises:
        ValueError: too many.
    """
    text = (text or "").strip()
    if len(text) > MOST_LETTERS:
        raise ValueError(f"{name} may have {MOST_LETTERS} letters, got {len(text)}; shorten it")
    return text


def count(name: str, value: Any, most: int) -> int:
    """A whole number from 1 to ``most``; a float that is whole, as pages send them, counts as one.

    Raises:
        TypeError, ValueError: another value.
    """
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return whole(name, value, most=most)


def seconds(name: str, value: Any) -> float:
    """A time in seconds.

    Raises:
        TypeError, ValueError: no number, not above zero, or too long.
    """
    value = float(number(name, value, least=0.0))
    if not 0 < value <= LONGEST_SECONDS:
        raise ValueError(f"{name} must lie above 0 and up to {LONGEST_SECONDS:g} s, got {value:g}; ask for less")
    return float(value)


def _check_header(path: Path) -> None:
    """ValueError where the head of a picture or a sound says that it is too large once it is unpacked."""
    import soundfile
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path) as picture:
                pixels = picture.width * picture.height * getattr(picture, "n_frames", 1)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        pixels = MOST_PIXELS + 1 if isinstance(error, Image.DecompressionBombError) else 0
    if pixels > MOST_PIXELS:
        raise ValueError(f"{path.name} may have {MOST_PIXELS:,} pixels, got more; shrink it")
    try:
        length = soundfile.info(str(path)).duration
    except (soundfile.LibsndfileError, RuntimeError, TypeError):
        return
    if length > LONGEST_SECONDS:
        raise ValueError(f"{path.name} may last {LONGEST_SECONDS:g} s, got {length:.1f}; cut it")

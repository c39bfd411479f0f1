"""What decoders written in C print while they read a damaged file, so that it can be told with the file's name.

Arrow: stderr of the process --**overheard**--> lines. Does not know: which decoder, media.

FFmpeg (in decord), mpg123 (in libsndfile) and libtiff (in Pillow) have no other way to say that they left something
out. The file descriptor belongs to the whole process; so it is taken in the main thread alone, as commands and their
workers read, and what others print meanwhile is passed on afterwards. In other threads the lines stay what they are:
noise.
"""

from __future__ import annotations

import os
import re
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_STDERR = 2
_OF_DECODERS = (
    re.compile(  # "[h264 @ 0x55] no frame!", "[src/libmpg123/a.c:18] error: no", of decord "[07:22:08] /x.cc:8: no"
        rb"\[[^\]\n]* @ 0x[0-9a-f]+\] |\[[^\]\n]*libmpg123/[^\]\n]*\] (?:error|warning|debug2?): |"
        rb"\[\d\d:\d\d:\d\d\] \S+\.(?:cc|h):\d+: |(?=Truncating packet of size )|(?=Note: (?:Illegal|Hit end|Trying))|"
        rb"tempfile\.tif: |Warning: (?=Xing stream size|Encountered more data)|"
        rb"(?=(?:TIFF|ZIP|LZW|LZMA|ZSTD|Fax[34]|PackBits|O?JPEG|Pixar|WebP)\w*: )"  # of libtiff
    )
)
_OF_SEEKING = b"Xing stream size"  # nobody seeks here
_taken = threading.local()


@contextmanager
def overheard() -> Iterator[list[str]]:
    """What decoders print inside, once it is left: each line once, without where in their source it comes from.

    Inside of another one nothing is taken: the lines are its.
    """
    lines: list[str] = []
    if threading.current_thread() is not threading.main_thread() or getattr(_taken, "now", False):
        yield lines
        return
    try:
        kept, file = os.dup(_STDERR), tempfile.TemporaryFile(prefix="tokenmask-")  # noqa: SIM115 (closed below)
    except OSError:  # without a stderr, or without room for a file
        yield lines
        return
    _taken.now = True
    _flush()
    os.dup2(file.fileno(), _STDERR)
    try:
        yield lines
    finally:
        _flush()
        os.dup2(kept, _STDERR)
        os.close(kept)
        _taken.now = False
        with file:
            file.seek(0)
            for line in file:
                mark = _OF_DECODERS.match(line)
                said = b"" if mark is None else line[mark.end() :].strip()
                if mark is None:
                    os.write(_STDERR, line)
                elif said and not said.startswith(_OF_SEEKING) and said.decode(errors="replace") not in lines:
                    lines.append(said.decode(errors="replace"))


def in_words(lines: list[str]) -> str:
    """ "its decoder says: no frame!, and 3 more", for a note on a file; "" where it said nothing."""
    more = f", and {len(lines) - 1} more" if len(lines) > 1 else ""
    return f"its decoder says: {lines[0][:100]}{more}" if lines else ""


def _flush() -> None:
    with suppress(AttributeError, ValueError, OSError):  # no stderr, or one that is closed
        sys.stderr.flush()

"""Files that are never half written, and text in any of Unicode's encodings.

Arrow: bytes --> a partial file beside the final name --> the final name. Does not know: what is in a file.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import json
import os
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import IO, Any

from tokenmask.arguments import path_of
from tokenmask.telling import tell

BYTE_ORDER_MARK = "\ufeff"

_LONGEST = 255  # bytes of a name in most file systems
_SHOWN = 12  # bytes on either side of one that is wrong
_PASSING: ContextVar[bool] = ContextVar("files are read back and removed", default=False)
_MARKED = (  # the longer ones first: that of UTF-32 begins with that of UTF-16
    *((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32")),
    *((codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16")),
)


def coding_of(data: bytes) -> str:
    """How text that begins so is coded: UTF-8, or UTF-16 or UTF-32 where a byte order mark says so; the mark is none
    of its characters.

    Raises:
        UnicodeDecodeError: it begins with two letters and two zeros in turn, as UTF-16 without a mark does.
    """
    zeros = [byte == 0 for byte in data[:4]]
    if zeros in ([False, True, False, True], [True, False, True, False]):
        raise UnicodeDecodeError("utf-8", data[:4], 0, 4, "every second byte is 0, as in UTF-16 without a mark")
    return next((name for mark, name in _MARKED if data.startswith(mark)), "utf-8-sig")


def text_of(data: bytes) -> str:
    """The text in a file: UTF-8, or UTF-16 or UTF-32 where a byte order mark says so, which is no part of it.

    Raises:
        UnicodeDecodeError: it is none of these, or UTF-16 without a mark.
    """
    return data.decode(coding_of(data))


def tell_mark(where: str, text: str) -> bool:
    """Tells of a byte order mark inside of a text, as files that were put together have it; whether there was one.

    Args:
        where: the text is, for the message.
        text: without the mark at its beginning.
    """
    if BYTE_ORDER_MARK not in text:
        return False
    tell(
        f"{where} holds a byte order mark (U+FEFF) at character {text.index(BYTE_ORDER_MARK) + 1}, as files that were "
        "put together do; it is read as a character, take it out if it is none"
    )
    return True


def no_tensors(error: BaseException) -> str:
    """Why a .safetensors file cannot be used, as a clause: its library speaks of its own insides."""
    from safetensors import SafetensorError

    said = " ".join(str(error).split())
    if isinstance(error, SafetensorError) and "does not contain tensor" in said:
        return "it holds other tensors"
    if isinstance(error, KeyError):
        return "it holds other tensors, or says nothing of them"
    unread = isinstance(error, SafetensorError | json.JSONDecodeError | TypeError | AttributeError | RecursionError)
    return "it is no such file, or is damaged or cut short" if unread else said


def no_text(path: str | Path, error: UnicodeDecodeError) -> str:
    """The sentence on a file that is not in the coding that it should be in: where it is not, and what to do.

    Args:
        path: of the file.
        error: of :func:`text_of`, or of reading it as text.
    """
    if not error.encoding.lower().startswith("utf-8"):
        name = error.encoding.upper()
        return f"{path} must be {name}, as its byte order mark says, but is not ({error.reason}); save it as UTF-8"
    with Path(path).open("rb") as file:
        for number, line in enumerate(file, 1):  # a multi-byte character holds no line feed
            if found := _no_text(line):
                place, todo = found
                return f"{path} must be text in UTF-8, but byte {place} of its line {number} is {todo}"
    return f"{path} must be text in UTF-8, but is not ({error.reason}); save it as UTF-8"


def no_text_in(where: str, part: str) -> str:
    """The sentence on a part of a file that was decoded with ``surrogateescape``; "" where all of it is UTF-8.

    Args:
        where: the part is, for the message.
        part: of the text.
    """
    if part.isascii() or not any(0xDC80 <= ord(letter) <= 0xDCFF for letter in part):
        return ""
    found = _no_text(part.encode("utf-8", "surrogateescape"))
    return f"{where} must be text in UTF-8, but its byte {found[0]} is {found[1]}" if found else ""


def _no_text(data: bytes) -> tuple[int, str] | None:
    """The first byte, counted from 1, that is not UTF-8, and in words what it is and what to do."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError as inner:
        around = data[max(0, inner.start - _SHOWN) : inner.start + _SHOWN]
        meant = around.decode("cp1252", errors="replace").strip()
        guess = f"if {meant!r} is right it is Windows-1252 or Latin-1: convert it with iconv -f WINDOWS-1252 "
        guess += "-t UTF-8, else "
        return inner.start + 1, f"0x{data[inner.start]:02x}; {guess if meant.isprintable() else ''}save it as UTF-8"
    return None


def why_unread(error: OSError, path: str | Path | None = None) -> str:
    """Why a file could not be read, as a clause without the numbers of a system; it names the file unless that is
    ``path``."""
    other = error.filename is not None and (path is None or Path(error.filename) != Path(path))
    subject = str(error.filename) if other else "it"
    if isinstance(error, FileNotFoundError):
        return f"{subject} is not there"
    if isinstance(error, IsADirectoryError):
        return f"{subject} is a folder"
    words = error.strerror or " ".join(str(error).split())
    return f"{subject}: {words}" if other else words


_POINTER = b"version https://git-lfs.github.com/spec/"
_PAGES = (b"<!doctype html", b"<html")
_FFMPEG = "convert it, with ffmpeg -i FILE new.wav"
_BEGINS = (  # of files of other kinds, what they are and what to do, and endings under which they are what is meant
    (b"%PDF-", "a PDF document; export its pages as pictures", ()),
    (b"8BPS", "a document of Photoshop; export it as PNG", ()),
    (b"\xff\x0a", "JPEG XL; convert it to PNG or JPEG", ()),
    (b"\0\0\0\x0cJXL ", "JPEG XL; convert it to PNG or JPEG", ()),
    (b"\x1aE\xdf\xa3", f"Matroska or WebM; {_FFMPEG}", (".mkv", ".webm")),
    (b"#!AMR", f"AMR; {_FFMPEG}", ()),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", f"ASF, as WMA and WMV are; {_FFMPEG}", ()),
    (b"wvpk", f"WavPack; {_FFMPEG}", ()),
    (b"\x0b\x77", f"AC-3; {_FFMPEG}", ()),
    (b"Kaydara FBX", "FBX; export it as BVH", ()),
    (b"MATLAB 5", "a file of MATLAB; export what is in it", ()),
    (b"\x89HDF", "a file of HDF5; export what is in it", ()),
    (b"MThd", "MIDI, which is notes and no sound; render it", ()),
    (b"PK\3\4", "a zip archive; unpack it", (".npz",)),
    (b"\x1f\x8b", "packed by gzip; unpack it", ()),
    (b"BZh", "packed by bzip2; unpack it", ()),
    (b"\xfd7zXZ", "packed by xz; unpack it", ()),
    (b"7z\xbc\xaf", "an archive of 7-Zip; unpack it", ()),
    (b"Rar!", "an archive of RAR; unpack it", ()),
)
_ANSWERS = ((b"<?xml", "XML"), (b'{"', "JSON"))
_BOXES = {  # brands of ISO base media files that come under endings of others
    **dict.fromkeys((b"heic", b"heix", b"hevc", b"mif1", b"msf1"), "HEIC; convert it to PNG or JPEG"),
    **dict.fromkeys((b"M4A ", b"M4B "), f"MPEG-4 sound; {_FFMPEG}"),
}

_BOXED = (".mp4", ".m4v", ".mov", ".avif")  # endings of files that are of boxes indeed


def check_fetched(path: str | Path) -> None:
    """:class:`Disguised` for a file that only points to its content, as a clone without Git LFS has them: words, too,
    would be read from it."""
    path = Path(path)
    if path.is_file() and path.stat().st_size < 1024 and _begin_of(path).startswith(_POINTER):
        raise Disguised(f"{path} must hold its content, but is a pointer of Git LFS; fetch it with `git lfs pull`")


def in_disguise(path: str | Path) -> str:
    """What a file is that cannot be read as its ending says, and what to do, where its first bytes tell; else ""."""
    begin = _begin_of(Path(path)) if Path(path).is_file() else b"?"
    if not begin:
        return "nothing, it has no bytes; copy it again"
    if begin.lstrip().lower().startswith(_PAGES):
        return "a page of HTML, as servers send in place of a file; fetch it again"
    if b"<svg" in begin:
        return "SVG, which is lines and no pixels; export it as PNG"
    suffix = Path(path).suffix.lower()
    for mark, what, own in _BEGINS:
        if begin.startswith(mark) and suffix not in own:
            return what
    for mark, name in _ANSWERS:
        if begin.lstrip().startswith(mark):
            return f"{name}, as servers answer in place of a file; fetch it again"
    other = "" if suffix in _BOXED else f"MPEG-4, a film or sound; {_FFMPEG}"
    return _BOXES.get(begin[8:12], other) if begin[4:8] == b"ftyp" else ""


class Disguised(ValueError):
    """A file is something else than its ending says, or holds nothing of it."""


@contextlib.contextmanager
def by_its_content(path: Any, words: bool = False) -> Iterator[None]:
    """While a file is read inside: a ValueError becomes the sentence on what the file is, where its first bytes tell.

    Args:
        path: of the file; anything else is for the reader to refuse.
        words: whether any text is what is meant, so that a page of HTML is none of another kind.

    Raises:
        Disguised: the file is a pointer of Git LFS, or something else than its ending says.
    """
    is_file = isinstance(path, str | os.PathLike) and Path(path).is_file()
    if is_file:
        check_fetched(path)
    try:
        yield
    except Disguised:
        raise
    except ValueError as error:
        if is_file and not words and (other := in_disguise(path)):
            raise Disguised(f"{path} must be what its ending says, but is {other}") from error
        raise


def _begin_of(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(256)


@contextlib.contextmanager
def writing_atomically(path: str | Path) -> Iterator[Path]:
    """Yields a hidden partial path beside ``path``; when the block ends well it takes that name, else it is removed.

    The data are on the disk before the name changes, so ``path`` is at all times the old file or the new one.
    The folder is made if it does not exist.

    Raises:
        OSError: in one sentence, when the file cannot be written (a full disk, no permission).
        TypeError: no path.
    """
    path = path_of("path of a file to write", path)
    end = f".{os.getpid()}.partial"
    partial = path.with_name(f".{_cut(path.name, _LONGEST - 1 - len(end))}{end}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.unlink(missing_ok=True)  # a link that somebody put there would be followed
        mode = _usual_mode(partial)
        yield partial
        os.chmod(partial, mode)  # some libraries write by temporary files, which nobody else may read
        if _PASSING.get():
            os.replace(partial, path)
        else:
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            os.replace(partial, path)
            sync_folder(path.parent)
    except OSError as error:
        reason = error.strerror or str(error)
        todo = "shorten the name" if error.errno == errno.ENAMETOOLONG else "free some space or choose another folder"
        told = OSError(f"{path} could not be written ({reason}); {todo}")
        told.errno = error.errno
        raise told from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink()


@contextlib.contextmanager
def passing_files() -> Iterator[None]:
    """While open, :func:`writing_atomically` does not wait for the disk: files are read back at once and removed."""
    before = _PASSING.set(True)
    try:
        yield
    finally:
        _PASSING.reset(before)


def _cut(name: str, size: int) -> str:
    """The beginning of a name that takes up to so many bytes."""
    data = os.fsencode(name)
    return name if len(data) <= size else data[:size].decode(errors="ignore")


def _usual_mode(path: Path) -> int:
    """The permissions of a new file, as the umask of the process leaves them; ``path`` is free before and after."""
    try:
        with path.open("xb") as file:
            return os.fstat(file.fileno()).st_mode & 0o777
    finally:
        path.unlink(missing_ok=True)


def write_bytes_atomic(path: str | Path, data: bytes) -> None:
    """Writes ``data`` so that ``path`` never holds half of it; see :func:`writing_atomically`."""
    with writing_atomically(path) as partial:
        partial.write_bytes(data)


def write_text_atomic(path: str | Path, text: str) -> None:
    """Writes ``text`` as UTF-8, line ends unchanged; see :func:`writing_atomically`."""
    write_bytes_atomic(path, text.encode())


def sync_folder(folder: Path) -> None:
    """Returns when the names of a folder's files are on the disk, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def hold(file: IO[Any]) -> bool:
    """Whether this process now holds an open file; the hold ends when it is closed, or with the process."""
    import fcntl

    try:
        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True

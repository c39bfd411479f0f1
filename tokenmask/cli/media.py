"""Media files: which belong to a modality, how they are read when their turn comes, which are held out.

Arrow: paths --> loaders --> raw media. Does not know: tokens, corpora, models.
"""

from __future__ import annotations

import hashlib
import itertools
from array import array
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, overload

from tokenmask.cli.folders import leads_nowhere, not_looked_at, visible_files
from tokenmask.cli.nearly import nearly
from tokenmask.cli.spool import Spool
from tokenmask.medium import RECORD_MARK, load_media, records_of, said
from tokenmask.progress import progress_bar
from tokenmask.tokenizer import ReadsFiles, Tokenizer, find_tokenizers, load_tokenizer_class


class File(NamedTuple):
    """A media file.

    Args:
        path: as it is opened.
        name: below the folder that was asked for, with slashes; the file's own name if it was asked for itself.
    """

    path: Path
    name: str


@dataclass(frozen=True)
class Loader:
    """Makes media when it is called.

    Args:
        kind: class of the media.
        value: words, or the path of a file.
        one_line: line ends of a text file become blanks.
        record: name of one of the records of the file; "" is the file as a whole.
        options: (name, value) of what the file may not say of itself, see :attr:`tokenmask.medium.Medium.asked`.
    """

    kind: Any
    value: str | Path
    one_line: bool = False
    record: str = ""
    options: tuple[tuple[str, Any], ...] = ()

    @property
    def source(self) -> str:
        """The words, the path, or FILE#RECORD, for messages."""
        return f"{self.value}{RECORD_MARK}{self.record}" if self.record else str(self.value)

    def __call__(self) -> Any:
        if isinstance(self.value, str):
            return checked_words(self.kind(self.value), self.value[:40])
        if leads_nowhere(self.value):
            raise ValueError(
                f"{self.value} must lead to a file, but is a link to {self.value.readlink()}, "
                "which is not there; fetch it"
            )
        if not self.value.exists() and (why := nearly(self.value)):
            raise ValueError(why)
        if self.record:
            return _records(self.kind, self.value, self.value.stat().st_mtime_ns)[self.record]()
        media = checked_words(load_media(self.kind, self.value, **dict(self.options)), str(self.value))
        return self.kind(" ".join(str(media).split())) if self.one_line else media


def checked_words(media: Any, source: str) -> Any:
    """The media; ValueError for words with characters of code 0, which nobody writes: damage, or no text at all."""
    if said(type(media), "words") and "\0" in str(media):
        raise ValueError(f"words must be without characters of code 0, but {source!r} has one; mend it, or take it out")
    return media


@lru_cache(maxsize=4)  # the records of a file follow each other
def _records(kind: Any, path: Path, changed: int) -> Mapping[str, Callable[[], Any]]:
    return records_of(kind, path)


def loaders(kind: Any, path: Path) -> list[tuple[str, Loader]]:
    """(name, loader) of each record of a file; the name is "" where the file is one item, or cannot be read."""
    try:
        names = list(records_of(kind, path)) if not leads_nowhere(path) else [""]
    except (ValueError, OSError):  # reading it tells why
        names = [""]
    return [(name, Loader(kind, path, record=name)) for name in names]


@dataclass(frozen=True)
class Broken(Loader):
    """What stands where an item should be that cannot become one.

    Args:
        reason: told when its turn comes, as for a file that cannot be read.
    """

    reason: str = ""

    def __call__(self) -> Any:
        raise ValueError(self.reason)


class LazyMedia(Sequence[Any]):
    """Media that are read each time they are asked for, so that a folder of large pictures needs no memory.

    Args:
        loaders: one for each item.
    """

    def __init__(self, loaders: Sequence[Loader]) -> None:
        self._loaders = loaders

    def __len__(self) -> int:
        return len(self._loaders)

    @overload
    def __getitem__(self, index: int) -> Any: ...

    @overload
    def __getitem__(self, index: slice) -> LazyMedia: ...

    def __getitem__(self, index: int | slice) -> Any:
        chosen = self._loaders[index]
        return LazyMedia(chosen) if isinstance(chosen, Sequence) else chosen()


LONG_BYTES = 1 << 24  # of a file, from which on it is worked on in pieces; a WAV file of some minutes


def in_pieces(tokenizer: Tokenizer, path: str | Path) -> ReadsFiles | None:
    """The tokenizer, where it can work on a file in pieces and the file is a long one of a single record."""
    if not isinstance(tokenizer, ReadsFiles) or not Path(path).is_file() or Path(path).stat().st_size < LONG_BYTES:
        return None
    return tokenizer


@cache
def medium(modality: str) -> Any:
    """The media class of a modality; looking it up takes a while, and there may be a million items.

    Raises:
        ValueError: no tokenizer of that modality is installed.
    """
    return load_tokenizer_class(modality).media


def suffixes_of(modality: str) -> tuple[str, ...]:
    """Endings of the files of a modality, as its media class says; () if it does not, or is not installed."""
    return _endings(modality, "suffixes")


def written_suffixes_of(modality: str) -> tuple[str, ...]:
    """Endings that its media class can write, the usual one first; () if it does not say, or is not installed."""
    return _endings(modality, "written_suffixes")


@cache
def _endings(modality: str, which: str) -> tuple[str, ...]:
    return tuple(said(medium(modality), which)) if modality in find_tokenizers() else ()


@cache
def is_words(modality: str) -> bool:
    """Whether its media are words, which are given and printed as they are; False if it is not installed."""
    return modality in find_tokenizers() and bool(said(medium(modality), "words"))


def files(
    paths: Sequence[str | Path], modality: str, suffixes: tuple[str, ...] = (), among: Collection[str] = ()
) -> Sequence[File]:
    """Media files of a modality under files and folders, sorted; hidden ones are left out. Few are in memory.

    Args:
        paths: files, which are taken as they are, or folders, which are searched. Links that lead nowhere are taken
            too: reading them fails with a reason.
        modality: for messages, and for the suffixes to look for.
        suffixes: looked for in place of those of the modality.
        among: modalities that are looked for beside this one; a file that could be of several goes to one.

    Raises:
        ValueError: a path that does not exist, or nothing found.
    """
    wanted = suffixes or suffixes_of(modality)
    found: Spool[File] = Spool()
    for path in map(Path, paths):
        if path.is_dir():
            for name in visible_files(path):
                if not wanted or (
                    name.suffix.lower() in wanted and (suffixes or _may_be(path / name, modality, among))
                ):
                    found.append(File(path / name, name.as_posix()))
        elif path.exists() or path.is_symlink():
            found.append(File(path, path.name))
        else:
            raise ValueError(f"{path} does not exist; name files or folders with {modality} in them")
    if not found:
        where = ", ".join(map(str, paths))
        besides = not_looked_at(paths, ()).removeprefix(", ")
        raise ValueError(
            f"no {modality} was found in {where}; looked for {', '.join(wanted or ('files',))}"
            + (f" ({besides})" if besides else "")
        )
    return found


def modalities_in(path: Path, among: Collection[str]) -> set[str]:
    """Of which of some modalities a folder holds files, as their names (where several fit, contents) tell."""
    kinds = {modality: suffixes_of(modality) for modality in sorted(set(among))}
    return {
        modality
        for name in visible_files(path)
        for modality, suffixes in kinds.items()
        if name.suffix.lower() in suffixes and _may_be(path / name, modality, kinds)
    }


def _may_be(path: Path, modality: str, among: Collection[str] = ()) -> bool:
    """False for a file that says it holds something else, or is more of another medium that is looked for."""
    claims = {
        one: float(said(medium(one), "claims")(path))
        for one in {modality, *among}
        if one == modality or path.suffix.lower() in suffixes_of(one)
    }
    return claims[modality] > 0 and claims[modality] == max(claims.values())


def suffix_of(modality: str) -> str:
    """What a media file of a modality ends in.

    Raises:
        ValueError: not known.
    """
    written = written_suffixes_of(modality)
    if not written:
        raise ValueError(f"tokenmask knows no file type for {modality}; name it with --suffix .EXT or --out FILE.EXT")
    return written[0]


def check_written(path: str | Path, modality: str, more: Sequence[str] = ()) -> None:
    """ValueError, before anything is computed, unless media of a modality can be written to a file of this name.

    ``more`` are endings that the sentence names beside, since the caller takes them.
    """
    written, suffix = written_suffixes_of(modality), Path(path).suffix.lower()
    if written and suffix not in written:
        raise ValueError(
            f"a file of {modality} that is written must end in {', '.join((*written, *more))}, got "
            f"{Path(path).name!r}; rename it"
        )


def is_held_out(name: str) -> bool:
    """About every tenth name, by its hash: the same ones however often and in whatever company they are asked for."""
    return int.from_bytes(hashlib.sha256(name.encode(errors="surrogatepass")).digest()[:8], "little") % 10 == 0


def readable(loaders: Iterable[tuple[str, Loader]], count: int, label: str) -> tuple[array[int], list[tuple[str, str]]]:
    """Reads everything once, and holds nothing of it.

    Args:
        loaders: name and loader of each item.
        count: of them.
        label: of the progress bar.

    Returns:
        numbers of the loaders that work, and (name, reason) of those that do not.
    """
    good, failed = array("q"), []
    begin = list(itertools.islice(loaders := iter(loaders), 1))
    many = count > 1000 and isinstance(begin[0][1].value, Path)  # about a second for small files
    with progress_bar(label, count, 0, many) as show:
        for number, (name, loader) in enumerate(itertools.chain(begin, loaders)):
            try:
                loader()
            except (ValueError, TypeError, OSError) as error:
                failed.append((name, str(error)))
            else:
                good.append(number)
            show(number + 1, None)
    return good, failed

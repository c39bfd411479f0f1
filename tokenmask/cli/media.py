"""Media files: which belong to a modality, how they are read when their turn comes, which are held out.

Arrow: paths --> loaders --> raw media. Does not know: tokens, corpora, models.
"""

from __future__ import annotations

import hashlib
import json
import struct
import zipfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, overload

from tokenmask.cli.folders import leads_nowhere, not_looked_at, visible_files
from tokenmask.progress import progress_bar
from tokenmask.tokenizer import find_tokenizers, load_tokenizer_class

_HOLDS = {"MotionClip": "motion", "EegRecording": "eeg"}  # by the word in the header of a .safetensors file
_FILMS = (".gif", ".webp", ".apng")  # pictures, or films if they move


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
    """

    kind: Any
    value: str | Path
    one_line: bool = False

    def __call__(self) -> Any:
        if isinstance(self.value, str):
            return self.kind(self.value)
        if leads_nowhere(self.value):
            raise ValueError(
                f"{self.value} must lead to a file, but is a link to {self.value.readlink()}, "
                "which is not there; fetch it"
            )
        media = self.kind.load(self.value)
        return self.kind(" ".join(media.text.split())) if self.one_line else media


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
    return tuple(getattr(medium(modality), which, ())) if modality in find_tokenizers() else ()


def files(
    paths: Sequence[str | Path], modality: str, suffixes: tuple[str, ...] = (), among: Collection[str] = ()
) -> list[File]:
    """Media files of a modality under files and folders, sorted; hidden ones are left out.

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
    found: list[File] = []
    for path in map(Path, paths):
        if path.is_dir():
            chosen = [
                name
                for name in visible_files(path)
                if not wanted or (name.suffix.lower() in wanted and _may_be(path / name, modality, among))
            ]
            found += [File(path / name, name.as_posix()) for name in chosen]
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
    """False for a file that says it holds something else; a damaged one is taken, and reading it tells why not."""
    suffix = path.suffix.lower()
    if suffix in _FILMS and {"image", "video"} <= {modality, *among}:
        return modality not in ("image", "video") or modality == ("video" if _moves(path) else "image")
    if suffix == ".npz":
        return modality != "eeg" or _is_recording(path)
    held = _held_in(path) if suffix == ".safetensors" else ""
    return not held or _HOLDS.get(held) == modality


def _moves(path: Path) -> bool:
    """Whether a picture has more than one frame."""
    from PIL import Image as pillow

    try:
        with pillow.open(path) as picture:
            return bool(getattr(picture, "is_animated", False))
    except (OSError, SyntaxError, ValueError, EOFError, struct.error, pillow.DecompressionBombError):
        return False


def _is_recording(path: Path) -> bool:
    """Whether a .npz file holds the arrays of a recording; True if it cannot be opened."""
    try:
        with zipfile.ZipFile(path) as archive:
            return {"samples.npy", "sample_rate_hz.npy", "channels.npy"} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return True


def _held_in(path: Path) -> str:
    """What a .safetensors file of media says that it holds; "" if nothing can be read there."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as file:
            header = json.loads((file.metadata() or {}).get("tokenmask", "{}"))
            return str(json.loads(header.get("about", "{}")).get("media", "other"))
    except (SafetensorError, OSError, ValueError, AttributeError, TypeError):
        return ""


def suffix_of(modality: str) -> str:
    """What a media file of a modality ends in.

    Raises:
        ValueError: not known.
    """
    written = written_suffixes_of(modality)
    if not written:
        raise ValueError(f"tokenmask knows no file type for {modality}; name it with --suffix .EXT or --out FILE.EXT")
    return written[0]


def check_written(path: str | Path, modality: str) -> None:
    """ValueError, before anything is computed, unless media of a modality can be written to a file of this name."""
    written, suffix = written_suffixes_of(modality), Path(path).suffix.lower()
    if written and suffix not in written:
        raise ValueError(
            f"a file of {modality} that is written must end in {', '.join(written)}, got {Path(path).name!r}; rename it"
        )


def is_held_out(name: str) -> bool:
    """About every tenth name, by its hash: the same ones however often and in whatever company they are asked for."""
    return int.from_bytes(hashlib.sha256(name.encode(errors="surrogatepass")).digest()[:8], "little") % 10 == 0


def readable(loaders: Sequence[tuple[str, Loader]], label: str) -> tuple[list[Loader], list[tuple[str, str]]]:
    """Reads everything once.

    Args:
        loaders: name and loader of each item.
        label: of the progress bar.

    Returns:
        the loaders that work, and (name, reason) of those that do not.
    """
    good, failed = [], []
    many = sum(isinstance(loader.value, Path) for _, loader in loaders) > 1000  # about a second for small files
    with progress_bar(label, len(loaders), 0, many) as show:
        for number, (name, loader) in enumerate(loaders, 1):
            try:
                loader()
            except (ValueError, TypeError, OSError) as error:
                failed.append((name, str(error)))
            else:
                good.append(loader)
            show(number, None)
    return good, failed

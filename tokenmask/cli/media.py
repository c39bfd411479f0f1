"""Media files: which belong to a modality, how they are read when their turn comes, which are held out.

Arrow: paths --> loaders --> raw media. Does not know: tokens, corpora, models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, overload

from tokenmask.progress import progress_bar

SUFFIXES = {  # what is looked for; the first is written if nothing else is asked for
    "text": (".txt",),
    "image": (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff"),
    "audio": (".wav", ".flac", ".ogg", ".oga", ".mp3", ".aif", ".aiff"),
    "motion": (".bvh", ".safetensors"),
    "eeg": (".edf", ".bdf", ".safetensors"),
    "video": (".gif", ".mp4", ".avi", ".webm"),
}


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
        media = self.kind.load(self.value)
        return self.kind(" ".join(media.text.split())) if self.one_line else media


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


def files(paths: Sequence[str | Path], modality: str, suffixes: tuple[str, ...] = ()) -> list[File]:
    """Media files of a modality under files and folders, sorted; hidden ones are left out.

    Args:
        paths: files, which are taken as they are, or folders, which are searched.
        modality: for messages, and for the suffixes to look for.
        suffixes: looked for in place of those of the modality.

    Raises:
        ValueError: a path that does not exist, or nothing found.
    """
    wanted = suffixes or SUFFIXES.get(modality)
    found: list[File] = []
    for path in map(Path, paths):
        if path.is_dir():
            names = sorted(file.relative_to(path) for file in path.rglob("*") if file.is_file())
            visible = [name for name in names if not any(part.startswith(".") for part in name.parts)]
            chosen = [
                name
                for name in visible
                if wanted is None or (name.suffix.lower() in wanted and _may_be(path / name, modality))
            ]
            found += [File(path / name, name.as_posix()) for name in chosen]
        elif path.exists():
            found.append(File(path, path.name))
        else:
            raise ValueError(f"{path} does not exist; name files or folders with {modality} in them")
    if not found:
        where = ", ".join(map(str, paths))
        raise ValueError(f"no {modality} was found in {where}; looked for {', '.join(wanted or ('files',))}")
    return found


def modalities_in(path: Path) -> set[str]:
    """Of which modalities a folder holds files, as their names (and the headers of .safetensors files) tell."""
    found: set[str] = set()
    for file in path.rglob("*"):
        if file.is_file() and not any(part.startswith(".") for part in file.relative_to(path).parts):
            suffix = file.suffix.lower()
            kinds = [modality for modality, suffixes in SUFFIXES.items() if suffix in suffixes]
            found.update(kinds if suffix != ".safetensors" else {_HOLDS.get(_held_in(file), "")} & set(kinds))
    return found


_HOLDS = {"MotionClip": "motion", "EegRecording": "eeg"}


def _may_be(path: Path, modality: str) -> bool:
    """False for a .safetensors file that holds something else; a damaged one is taken, and reading it tells why not."""
    if path.suffix.lower() != ".safetensors":
        return True
    held = _held_in(path)
    return not held or _HOLDS.get(held) == modality


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
    if modality not in SUFFIXES:
        raise ValueError(f"tokenmask knows no file type for {modality}; name it with --suffix .EXT or --out FILE.EXT")
    return SUFFIXES[modality][0]


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

"""Sources: manifests, folders and text files become items of media.

Arrow: paths --**items**--> Item --build_corpus--> Corpus. Does not know: tokens, models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from tokenmask.corpus import HELD_OUT, TRAIN, Item
from tokenmask.tokenizer import load_tokenizer_class

SUFFIXES = {"image": (".png", ".jpg", ".jpeg", ".webp"), "text": (".txt",)}


def files(paths: Sequence[str | Path], modality: str) -> list[Path]:
    """Media files of a modality under files and folders, sorted.

    Raises:
        ValueError: a path that does not exist, or nothing found.
    """
    found: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            wanted = SUFFIXES.get(modality)
            inside = (file for file in path.rglob("*") if file.is_file() and not file.name.startswith("."))
            found += sorted(file for file in inside if wanted is None or file.suffix.lower() in wanted)
        elif path.exists():
            found.append(path)
        else:
            raise ValueError(f"{path} does not exist; name files or folders with {modality} in them")
    if not found:
        suffixes = ", ".join(SUFFIXES.get(modality, ("files",)))
        raise ValueError(f"no {modality} was found in {', '.join(map(str, paths))}; looked for {suffixes}")
    return found


def lines(path: Path) -> list[str]:
    """The lines of a text file that hold more than blanks.

    Raises:
        ValueError: not readable as UTF-8.
    """
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} must be readable UTF-8 text, but is not ({error})") from error


def items(sources: Sequence[str | Path], modalities: Mapping[str, str]) -> Iterator[Item]:
    """Items of manifests, folders and text files.

    Args:
        sources: see the help of ``tokenmask corpus build``.
        modalities: stream name -> modality, of the streams that are wanted.

    Raises:
        ValueError: a source that does not exist or is of no known kind, or a manifest line that is no record.
    """
    for source in map(Path, sources):
        if source.is_dir():
            yield from _folder(source, modalities)
        elif source.suffix == ".jsonl" and source.is_file():
            yield from _manifest(source, modalities)
        elif source.suffix == ".txt" and source.is_file():
            name = _stream_of("text", modalities, source)
            for number, line in enumerate(lines(source), 1):
                yield _item(f"{source.name}:{number}", {name: _load("text", line)}, None, {})
        else:
            what = "is none of these" if source.exists() else "does not exist"
            raise ValueError(f"a source is a folder, a .jsonl manifest or a .txt file, but {source} {what}")


def _folder(folder: Path, modalities: Mapping[str, str]) -> Iterator[Item]:
    if "image" not in modalities.values():
        name = _stream_of("text", modalities, folder)
        for path in files([folder], "text"):
            yield _item(str(path.relative_to(folder)), {name: _load("text", path)}, None, {})
        return
    for path in files([folder], "image"):
        media = {_stream_of("image", modalities, folder): _load("image", path)}
        caption = path.with_suffix(".txt")
        if "text" in modalities.values() and caption.is_file():
            media[_stream_of("text", modalities, folder)] = partial(_caption, caption)
        yield _item(str(path.relative_to(folder)), media, None, {})


def _manifest(path: Path, modalities: Mapping[str, str]) -> Iterator[Item]:
    for number, line in enumerate(lines(path), 1):
        where = f"line {number} of {path}"
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{where} must be a JSON object, got {line[:40]!r} ({error})") from error
        if not isinstance(entry, dict) or not any(name in entry for name in modalities):
            raise ValueError(f"{where} must be a JSON object with one of {', '.join(modalities)}, got {line[:60]!r}")
        media = {}
        for name, modality in modalities.items():
            value = entry.pop(name, None)
            if value is not None and not isinstance(value, str):
                raise ValueError(f"{where} must give words or a path for {name!r}, got {type(value).__name__}")
            if value is not None:
                media[name] = _load(modality, value if modality == "text" else path.parent / value)
        key, split = str(entry.pop("key", f"{path.name}:{number}")), entry.pop("split", None)
        if split not in (None, TRAIN, HELD_OUT):
            raise ValueError(f"{where} must have the split {TRAIN!r} or {HELD_OUT!r}, got {split!r}")
        yield _item(key, media, split, entry)


def _item(key: str, media: dict[str, Any], split: str | None, metadata: dict[str, Any]) -> Item:
    """Without a split of its own, every tenth key by hash is held out: the same ones however often this runs."""
    chosen = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "little") % 10 == 0
    return Item(key, media, split or (HELD_OUT if chosen else TRAIN), metadata)


def _load(modality: str, value: str | Path) -> Any:
    """A function that makes the media when their turn comes."""
    kind: Any = load_tokenizer_class(modality).media
    return partial(kind, value) if isinstance(value, str) else partial(kind.load, value)


def _caption(path: Path) -> Any:
    kind: Any = load_tokenizer_class("text").media
    return kind(" ".join(kind.load(path).text.split()))


def _stream_of(modality: str, modalities: Mapping[str, str], source: Path) -> str:
    names = [name for name, found in modalities.items() if found == modality]
    if len(names) != 1:
        raise ValueError(
            f"{source} holds {modality}, and {len(names)} streams take it ({', '.join(names) or 'none'}); "
            "name the streams in a .jsonl manifest"
        )
    return names[0]

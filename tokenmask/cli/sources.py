"""Sources: manifests, folders and text files become items of media.

Arrow: paths --**items**--> Item --build_corpus--> Corpus. Does not know: tokens, models.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from tokenmask.cli.media import SUFFIXES, File, Loader, files, is_held_out, lines
from tokenmask.corpus import HELD_OUT, TRAIN, Item
from tokenmask.tokenizer import load_tokenizer_class


def items(sources: Sequence[str | Path], modalities: Mapping[str, str]) -> list[Item]:
    """Items of manifests, folders and text files; of their media only the names are read.

    Args:
        sources: see the help of ``tokenmask corpus build``.
        modalities: stream name -> modality, of the streams that are wanted.

    Returns:
        items whose media are :class:`~tokenmask.cli.media.Loader` objects.

    Raises:
        ValueError: a source that does not exist or is of no known kind, or a manifest line that is no record.
    """
    found: list[Item] = []
    for source in map(Path, sources):
        if source.is_dir():
            found += _folder(source, modalities)
        elif source.suffix == ".jsonl" and source.is_file():
            found += _manifest(source, modalities)
        elif source.suffix == ".txt" and source.is_file():
            name, kind = _stream_of("text", modalities, source), _media("text")
            found += [
                _item(f"{source.name}:{number}", {name: Loader(kind, line)}, line, None, {})
                for number, line in lines(source)
            ]
        else:
            what = "is none of these" if source.exists() else "does not exist"
            raise ValueError(f"a source is a folder, a .jsonl manifest or a .txt file, but {source} {what}")
    if not found:
        raise ValueError(f"the sources must hold at least one item, but {', '.join(map(str, sources))} hold none")
    return found


def digest(found: Sequence[Item]) -> str:
    """SHA-256, in hex, over the keys, splits, words and file sizes of items: tells when data were changed."""
    hashed = hashlib.sha256()
    for item in found:
        media = {name: _digested(loader.value) for name, loader in sorted(item.media.items())}
        hashed.update(json.dumps([item.key, item.split, media, item.metadata], sort_keys=True).encode())
    return hashed.hexdigest()


def _digested(value: str | Path) -> str | list[Any]:
    if isinstance(value, str):
        return value
    return [value.name, value.stat().st_size if value.is_file() else None]


def _folder(folder: Path, modalities: Mapping[str, str]) -> list[Item]:
    """Files of one name are one record: x.png with x.txt, its caption."""
    others = {name: modality for name, modality in modalities.items() if modality != "text"}
    home = folder.resolve().name
    if not others:
        name, kind = _stream_of("text", modalities, folder), _media("text")
        return [
            _item(f"{home}/{file.name}", {name: Loader(kind, file.path)}, file.name, None, {})
            for file in files([folder], "text")
        ]
    groups: dict[Path, dict[str, list[File]]] = {}
    for modality in others.values():
        if modality not in SUFFIXES:
            raise ValueError(f"tokenmask knows no file type for {modality}; name the files in a .jsonl manifest")
        name = _stream_of(modality, modalities, folder)
        for file in files([folder], modality):
            groups.setdefault(file.path.with_suffix(""), {}).setdefault(name, []).append(file)
    captions = _stream_of("text", modalities, folder) if "text" in modalities.values() else ""
    found = []
    for path, streams in groups.items():
        if all(len(found_here) == 1 for found_here in streams.values()):
            records = [{name: found_here[0] for name, found_here in streams.items()}]
        else:  # x.png and x.jpg: two records, which share a caption and a split
            records = [{name: file} for name, found_here in streams.items() for file in found_here]
        caption = path.with_name(path.name + ".txt")
        for record in records:
            first = next(iter(record.values()))
            media = {name: Loader(_media(others[name]), file.path) for name, file in record.items()}
            if captions and caption.is_file():
                media[captions] = Loader(_media("text"), caption, one_line=True)
            group = first.name.removesuffix(first.path.suffix)
            found.append(_item(f"{home}/{first.name}", media, group, None, {}))
    return found


def _manifest(path: Path, modalities: Mapping[str, str]) -> list[Item]:
    found = []
    for number, line in lines(path):
        where = f"line {number} of {path}"
        try:
            entry = json.loads(line)
        except ValueError as error:
            raise ValueError(f"{where} must be a JSON object, got {line[:40]!r} ({error})") from error
        if not isinstance(entry, dict) or not any(name in entry for name in modalities):
            raise ValueError(f"{where} must be a JSON object with one of {', '.join(modalities)}, got {line[:60]!r}")
        media: dict[str, Loader] = {}
        words: list[str] = []
        paths: list[str] = []
        for name, modality in modalities.items():
            value = entry.pop(name, None)
            if value is None:
                continue
            if not isinstance(value, str):
                raise ValueError(f"{where} must give words or a path for {name!r}, got {type(value).__name__}")
            (words if modality == "text" else paths).append(value)
            media[name] = Loader(_media(modality), value if modality == "text" else path.parent / value)
        key, split = str(entry.pop("key", f"{path.name}:{number}")), entry.pop("split", None)
        if split not in (None, TRAIN, HELD_OUT):
            raise ValueError(f"{where} must have the split {TRAIN!r} or {HELD_OUT!r}, got {split!r}")
        group = Path(paths[0]).with_suffix("").as_posix() if paths else "\n".join(words)
        found.append(_item(key, media, group, split, entry))
    return found


def _item(key: str, media: dict[str, Loader], group: str, split: str | None, metadata: dict[str, Any]) -> Item:
    """Without a split of its own an item goes with its group: one file, or one wording, is on one side only."""
    return Item(key, media, split or (HELD_OUT if is_held_out(group) else TRAIN), metadata)


@cache
def _media(modality: str) -> Any:
    """The media class of a modality; looking it up takes a while, and there may be a million items."""
    return load_tokenizer_class(modality).media


def _stream_of(modality: str, modalities: Mapping[str, str], source: Path) -> str:
    names = [name for name, found in modalities.items() if found == modality]
    if len(names) != 1:
        raise ValueError(
            f"{source} holds {modality}, and {len(names)} streams take it ({', '.join(names) or 'none'}); "
            "name the streams in a .jsonl manifest"
        )
    return names[0]

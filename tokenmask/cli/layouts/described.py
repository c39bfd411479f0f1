"""x.json beside x.png: an object with its caption and what else is known of it, as img2dataset writes them.

Arrow: folder --**described**--> entries. Does not know: other layouts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenmask.cli.folders import CAPTIONS
from tokenmask.cli.layouts.entry import WORDS, Entry, Layout, modality_of, split_of, words_in
from tokenmask.cli.manifests import as_json
from tokenmask.cli.objects import Watching
from tokenmask.cli.spool import Spool
from tokenmask.files import text_of


def described(
    folder: Path, files: list[Path], modalities: Collection[str], columns: Mapping[str, str]
) -> Layout | None:
    """A record for each caption of each file; half of the files or more must have an object of JSON beside them, the
    first of which holds words. Captions in files of text go before."""
    objects = {name.with_suffix(""): name for name in files if name.suffix.lower() == ".json"}
    media = [(name, kind) for name in files if (kind := modality_of(name.name, modalities)) is not None]
    told = {name.with_suffix("") for name in files if name.suffix.lower() in CAPTIONS}
    beside = [name.with_suffix("") for name, _ in media if name.with_suffix("") in objects]
    names = (columns["text"],) if "text" in columns else WORDS
    if "text" not in modalities or not beside or 2 * len(beside) < len(media) or not told.isdisjoint(beside):
        return None
    try:
        if not words_in(_object(folder / objects[beside[0]]), names):
            return None
    except ValueError:
        return None
    entries = Spool(
        entry
        for name, kind in media
        for entry in _entries(folder, name, kind, objects.get(name.with_suffix("")), names)
    )
    tables = [folder / objects[one] for one in beside]
    silent = sum("text" not in entry.media and not entry.problem for entry in entries)
    notes = [f"{silent} without words, for no .json beside them holds any"] if silent else []
    return Layout("files with a .json of the same name, which has the words", entries, tables, (), notes)


def _object(path: Path) -> dict[str, Any]:
    decoder = Watching()
    try:
        held = decoder.decode(text_of(path.read_bytes()))
        decoder.check_once()
    except (ValueError, OSError, RecursionError) as error:
        raise ValueError(f"{path} must be an object of JSON ({error}); mend it") from error
    if not isinstance(held, dict):
        raise ValueError(f"{path} must be an object of JSON, got {str(held)[:60]}; mend it")
    return {name: as_json(value) for name, value in held.items()}


def _entries(folder: Path, name: Path, kind: str, beside: Path | None, names: Sequence[str]) -> Iterator[Entry]:
    key, split = name.as_posix(), split_of(name) if len(name.parts) > 1 else None
    about: dict[str, Any] = {}
    said: list[str] = []
    if beside is not None:
        try:
            about = _object(folder / beside)
            said = words_in(about, names)
        except ValueError as error:
            why = str(error) if not about else f"{folder / beside}, {error}; mend it"
            yield Entry(key, {}, problem=why)
            return
    for one in said or [""]:
        yield Entry(key, {kind: folder / name, **({"text": one} if one else {})}, split, about)

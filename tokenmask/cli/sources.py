"""Sources: manifests, folders and text files become items of media.

Arrow: paths --**items**--> Item --build_corpus--> Corpus. Does not know: tokens, models.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from array import array
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from tokenmask.cli import layouts, manifests
from tokenmask.cli.columns import check_held, check_mapped, check_taken
from tokenmask.cli.folders import CAPTIONS, leads_nowhere, not_looked_at, visible_files
from tokenmask.cli.found import Items
from tokenmask.cli.manifests import lines
from tokenmask.cli.media import File, Loader, files, is_held_out, is_words, loaders, medium, modalities_in, suffixes_of
from tokenmask.cli.packed import Packed
from tokenmask.cli.records import below, is_manifest, item_of, laid_out, manifest_items, stream_of, words_of
from tokenmask.cli.show import say
from tokenmask.cli.spool import Spool
from tokenmask.corpus import HELD_OUT, Item
from tokenmask.corpus.keys import Keys
from tokenmask.files import text_of
from tokenmask.tokenizer import find_tokenizers


class Medium(NamedTuple):
    """One item of one modality.

    Args:
        name: below the folder or beside the manifest that named it, with slashes.
        loader: reads it.
        held_out: whether it is kept for measuring.
        path: of the file that it is, or that it is a line of; None for words of a manifest.
    """

    name: str
    loader: Loader
    held_out: bool
    path: Path | None


def media(
    paths: Sequence[str | Path], modality: str, per: str = "file", columns: Mapping[str, str] | None = None
) -> Sequence[Medium]:
    """Items of one modality in files, folders and manifests, each once; of media only the names are read.

    Few of them are in memory; of each are some 40 bytes, see :class:`~tokenmask.corpus.keys.Keys`.

    Args:
        paths: media files, folders that are searched for them, and manifests with a column of the modality's name.
        modality: what is wanted.
        per: "file", or "line" for text, each line of which is then an item.
        columns: the modality's name -> column of manifests, if that is called otherwise.

    Raises:
        ValueError: a path that does not exist, a manifest without any row that is a record, a column that none has,
            or nothing found.
    """
    found: Spool[Medium] = Spool()
    there = Keys()

    def add(name: str, loader: Loader, held_out: bool, path: Path | None) -> None:
        if (key := f"{name} {loader}") not in there:
            there.add(key)
            found.append(Medium(name, loader, held_out, path))

    seen: set[str] = set()
    others: list[str | Path] = []
    for path in map(Path, paths):
        if _is_packed(path, modality):
            for item in items([path], {modality: modality}, columns=columns):
                loader = item.media[modality]
                place = loader.part.container if isinstance(loader, Packed) else loader.value
                add(item.key, loader, item.split == HELD_OUT, place)
            seen.update((columns or {}).values())
            continue
        if not is_manifest(path, {modality: modality}):
            others.append(path)
            continue
        for item in manifest_items(path, {modality: modality}, columns or {}, seen):
            loader = item.media[modality]
            name = item.key if isinstance(loader.value, str) else below(path.parent, loader.value)
            place = None if isinstance(loader.value, str) else loader.value
            if isinstance(loader, Packed):
                place = loader.part.container
            add(name, loader, item.split == HELD_OUT, place)
    check_mapped(columns or {}, seen)
    kind = medium(modality)
    for file in files(others, modality) if others or not len(found) else ():
        if is_words(modality) and per == "line":
            for number, line in lines(file.path):
                add(f"{file.name}:{number}", Loader(kind, line), is_held_out(line), file.path)
        else:  # the group of a file is that of `corpus build`, so both hold out the same files
            for record, loader in loaders(kind, file.path):
                name = _record_name(file, record)
                add(name, loader, is_held_out(name.removesuffix(file.path.suffix)), file.path)
    return found


def unseen_by(paths: Sequence[str | Path], found: Iterable[Medium]) -> str:
    """What :func:`~tokenmask.cli.folders.not_looked_at` says of folders in which media were found."""
    return not_looked_at(paths, (one.path for one in found if one.path is not None))


def unseen(sources: Sequence[str | Path], found: Iterable[Item]) -> str:
    """The same, of the sources of items."""
    taken = (loader.value for item in found for loader in item.media.values() if isinstance(loader.value, Path))
    return not_looked_at(sources, itertools.chain(taken, getattr(found, "tables", ())))


def items(
    sources: Sequence[str | Path],
    modalities: Mapping[str, str],
    *,
    complete: bool = True,
    needed: Collection[str] = (),
    columns: Mapping[str, str] | None = None,
) -> Items:
    """Items of manifests, folders, archives and text files; of their media only the names are read.

    Args:
        sources: see the help of ``tokenmask corpus build``.
        modalities: stream name -> modality, of the streams that are wanted.
        complete: a folder must hold each modality but text; else it is looked through for what it does hold.
        needed: streams that some item must have.
        columns: stream name -> column of manifests, for those that are called otherwise.

    Returns:
        items whose media are :class:`~tokenmask.cli.media.Loader` objects.

    Raises:
        ValueError: a source that does not exist or is of no known kind, a manifest without any row that is a record
            (a row beside others becomes an item that fails), a manifest that names files which no stream takes, a
            column that no manifest has, or a stream that is needed and that no item has.
    """
    seen: set[str] = set()
    found = Items()
    kinds = [_kind(modality) for modality in modalities.values()]
    by_modality = {_kind(modalities[name]): column for name, column in (columns or {}).items() if name in modalities}
    for source in map(Path, sources):
        if source.suffix.lower() == ".tar" and source.is_file():
            one = layouts.shard(source, kinds, by_modality)
            for note in one.notes:
                say(note)
            seen.update(one.columns)
            for entry in one.entries:
                seen.update(entry.metadata)
            found += laid_out(source, source.name, one.entries, modalities)
        elif source.is_dir() and (layout := layouts.find(source, kinds, by_modality)) is not None:
            say(f"{source} is read as {layout.name}: {len(layout.entries)} items")
            for note in layout.notes:
                say(f"  {note}")
            found += laid_out(source, source.resolve().name, layout.entries, modalities)
            found.tables += layout.tables
            seen.update(layout.columns)
            for entry in layout.entries:
                seen.update(entry.metadata)
        elif source.is_dir():
            held = modalities.values() if complete else modalities_in(source, modalities.values())
            wanted = {name: modality for name, modality in modalities.items() if modality in held}
            blank, alone = list[Path](), list[Path]()
            found += _folder(source, wanted, blank, alone) if wanted else ()
            found.tables += blank
            if alone:
                names = ", ".join(str(one.relative_to(source)) for one in alone[:3]) + ", ..." * (len(alone) > 3)
                say(f"{source}: {len(alone)} caption{'s' * (len(alone) > 1)} without a file of the same name ({names})")
            if blank:
                names = ", ".join(one.name for one in blank[:3]) + ", ..." * (len(blank) > 3)
                hold = f"caption{'s hold' if len(blank) > 1 else ' holds'}"
                say(f"{source}: {len(blank)} {hold} nothing but blanks ({names})")
        elif is_manifest(source, modalities):
            listed = manifest_items(source, modalities, columns or {}, seen)
            check_taken(source, listed, modalities)
            found += listed
        elif source.suffix.lower() == ".txt" and source.is_file():
            name = words_of(modalities, source)
            kind = medium(modalities[name])
            found += (
                item_of(f"{source.name}:{number}", {name: Loader(kind, line)}, line, None, {})
                for number, line in lines(source)
            )
        else:
            what = "is none of these" if source.exists() else "does not exist"
            known = ", ".join(manifests.SUFFIXES)
            raise ValueError(f"a source is a folder, a manifest ({known}), a .tar or a .txt file, but {source} {what}")
    if not len(found):
        raise ValueError(
            f"the sources must hold at least one item, but in {', '.join(map(str, sources))} there is none"
            f"{_why(sources, modalities.values()) or '; name a folder, a manifest or a file of text that holds some'}"
        )
    check_mapped(columns or {}, seen)
    check_held(found, modalities, needed, sources)
    return found


def _kind(modality: str) -> str:
    """What layouts call it: all that takes words is text there."""
    return "text" if is_words(modality) else modality


def _why(sources: Sequence[str | Path], modalities: Iterable[str]) -> str:
    """What there is instead: endings of files that no modality has, modalities that have no ending."""
    held = {path.suffix.lower() for source in map(Path, sources) if source.is_dir() for path in visible_files(source)}
    known = {modality: suffixes_of(modality) for modality in {*find_tokenizers(), *modalities}}
    others = sorted(held - {""} - {suffix for endings in known.values() for suffix in endings})[:5]
    unknown = sorted(modality for modality in set(modalities) if not known[modality])
    said = [f"they have {', '.join(others)} files, an ending of no known modality"] if others else []
    said += [f"no ending is known for {', '.join(unknown)}"] if unknown else []
    return f" ({'; '.join(said)}); name the files in a .jsonl manifest" if said else ""


def digest(found: Iterable[Item]) -> str:
    """SHA-256, in hex, over the keys, splits, words and file sizes of items: tells when data were changed."""
    hashed = hashlib.sha256()
    for item in found:
        media = {name: _digested(loader) for name, loader in sorted(item.media.items())}
        hashed.update(json.dumps([item.key, item.split, media, item.metadata], sort_keys=True).encode())
    return hashed.hexdigest()


def _digested(loader: Loader) -> str | list[Any]:
    if isinstance(loader.value, str):
        return loader.value
    part = loader.part if isinstance(loader, Packed) else None
    path = loader.value if part is None else part.container
    size = path.stat().st_size if path.is_file() else None
    return [loader.value.name, size, *([list(part.place)] if part else []), *map(list, loader.options)]


def _folder(folder: Path, modalities: Mapping[str, str], blank: list[Path], alone: list[Path]) -> Iterator[Item]:
    """Files of one name are one record: x.png with x.txt, its caption. Captions that hold nothing go to ``blank``,
    those of no other file to ``alone``.

    Few items are in memory; of each file are its name without its ending, and a number.
    """
    others = {name: modality for name, modality in modalities.items() if not is_words(modality)}
    home = folder.resolve().name
    if not others:
        name = words_of(modalities, folder)
        for file in files([folder], modalities[name]):
            loader = Loader(medium(modalities[name]), file.path)
            yield item_of(f"{home}/{file.name}", {name: loader}, file.name, None, {})
        return
    captions = words_of(modalities, folder) if len(others) < len(modalities) else ""
    endings = _captions(folder) if captions else {}
    for stem, streams in _of_one_name(folder, others, modalities):
        if all(len(found_here) == 1 for found_here in streams.values()):
            records = [{name: found_here[0] for name, found_here in streams.items()}]
        else:  # x.png and x.jpg, or one file of many: records that share a caption
            records = [{name: one} for name, found_here in streams.items() for one in found_here]
        caption = Path(stem + endings.pop(stem)) if stem in endings else None
        if caption is not None and not _says_something(caption):
            blank.append(caption)
            caption = None
        for record in records:
            first, its_loader = next(iter(record.values()))
            media = {name: loader for name, (_, loader) in record.items()}
            if caption is not None:
                media[captions] = Loader(medium(modalities[captions]), caption, one_line=True)
            group = first.removesuffix(Path(its_loader.value).suffix)
            yield item_of(f"{home}/{first}", media, group, None, {})
    alone += [Path(stem + ending) for stem, ending in endings.items()]


def _captions(folder: Path) -> dict[str, str]:
    """Path without its ending -> ending, of files of words: .txt before .caption, and small letters before others."""
    found: dict[str, str] = {}
    for name in visible_files(folder):
        if name.suffix.lower() in CAPTIONS:
            stem = str((folder / name).with_suffix(""))
            found[stem] = min(found.get(stem, name.suffix), name.suffix, key=_rank)
    return found


def _rank(ending: str) -> tuple[int, bool]:
    return CAPTIONS.index(ending.lower()), ending != ending.lower()


def _of_one_name(
    folder: Path, others: Mapping[str, str], modalities: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, list[tuple[str, Loader]]]]]:
    """The records of each stream that are called alike but for their endings, with what they are called."""
    stems: dict[str, int] = {}
    found: dict[str, tuple[Spool[tuple[str, Loader]], array[int]]] = {}
    for modality in others.values():
        if not suffixes_of(modality):
            raise ValueError(f"tokenmask knows no file type for {modality}; name the files in a .jsonl manifest")
        here, numbers = found.setdefault(stream_of(modality, modalities, folder), (Spool(), array("q")))
        for file in files([folder], modality, among=[*others.values()]):
            number = stems.setdefault(str(file.path.with_suffix("")), len(stems))
            for record, loader in loaders(medium(modality), file.path):
                here.append((_record_name(file, record), loader))
                numbers.append(number)
    orders = {name: iter(sorted(range(len(here)), key=numbers.__getitem__)) for name, (here, numbers) in found.items()}
    ahead = {name: next(order, None) for name, order in orders.items()}
    for stem, number in stems.items():
        streams: dict[str, list[tuple[str, Loader]]] = {}
        for name, (here, numbers) in found.items():
            while (place := ahead[name]) is not None and numbers[place] == number:
                streams.setdefault(name, []).append(here[place])
                ahead[name] = next(orders[name], None)
        yield stem, streams


def _record_name(file: File, record: str) -> str:
    """A file of many records is like a folder of them: genes.fasta holds genes/one.fasta and genes/two.fasta."""
    ending = file.path.suffix
    return f"{file.name.removesuffix(ending)}/{record}{ending}" if record else file.name


def _says_something(caption: Path) -> bool:
    """Whether there is a caption that holds more than blanks; what cannot be read counts, so its reason is told."""
    if not caption.is_file():
        return leads_nowhere(caption)
    try:
        return bool(text_of(caption.read_bytes()).strip())
    except (OSError, UnicodeDecodeError):
        return True


def _is_packed(path: Path, modality: str) -> bool:
    """Whether media lie in other files: an archive, or a folder of archives or tables."""
    if path.suffix.lower() == ".tar" and path.is_file():
        return True
    packing = (".tar", ".arrow", ".parquet")
    names = visible_files(path) if path.is_dir() else []
    endings = {name.suffix.lower() for name in names}
    return bool(endings & set(packing)) and not endings & set(suffixes_of(modality))

"""Speech with words, as LJSpeech, Kaldi, LibriSpeech, LibriTTS and VCTK lay it out.

Arrow: folder --**ljspeech**, **kaldi**, **librispeech**, **libritts**, **vctk**--> entries. Does not know: others.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from tokenmask.cli import manifests
from tokenmask.cli.layouts.entry import Entry, Layout, modality_of, split_of

_NORMALIZED = ".normalized.txt"


def ljspeech(folder: Path, files: list[Path], modalities: Collection[str], _: Mapping[str, str]) -> Layout | None:
    """metadata.csv without names: id|words|words in full, and wavs/id.wav (LJSpeech and what was made like it)."""
    path = folder / "metadata.csv"
    sounds = {name.with_suffix("").name: folder / name for name in files if name.parts[0] in ("wavs", "wav")}
    if Path("metadata.csv") not in files or not sounds or "audio" not in modalities:
        return None
    entries = []
    for number, line in manifests.lines(path):
        cells = line.split("|")
        name = Path(cells[0]).name.removesuffix(".wav")
        if number == 1 and name not in sounds:
            return None
        words = next((one for one in reversed(cells[1:3]) if one.strip()), "")
        found = name in sounds
        entries.append(_spoken(name, sounds[name] if found else folder / "wavs" / f"{name}.wav", words, None))
    return Layout("LJSpeech (metadata.csv and wavs)", entries, [path])


def _spoken(key: str, sound: Path, words: str | Path, split: str | None) -> Entry:
    said = words if isinstance(words, Path) else " ".join(words.split())
    return Entry(key, {"audio": sound, **({"text": said} if said else {})}, split)


def kaldi(folder: Path, files: list[Path], modalities: Collection[str], _: Mapping[str, str]) -> Layout | None:
    """wav.scp (id and path) and text (id and words) of Kaldi, in the folder or in one a split."""
    lists = [name for name in files if name.name == "wav.scp"]
    if not lists or "audio" not in modalities:
        return None
    entries, tables = [], []
    for name in lists:
        place = folder / name.parent
        if (place / "segments").is_file():
            raise ValueError(f"{place} has segments of longer recordings, which are not cut; write them to files first")
        tables += [path for path in (place / "wav.scp", place / "text") if path.is_file()]
        words, several = _keyed(place / "text") if (place / "text").is_file() else ({}, set[str]())
        sounds, more = _keyed(place / "wav.scp")
        for key in [one for one in words if one not in sounds]:
            problem = f"{key!r} of {place / 'text'} must have a line in {place / 'wav.scp'}, but has no sound there"
            entries.append(Entry((name.parent / key).as_posix(), {}, problem=problem))
        for key, value in sounds.items():
            whole = (name.parent / key).as_posix()
            if key in several | more:
                table = place / ("text" if key in several else "wav.scp")
                entries.append(Entry(whole, {}, problem=_twice(key, table)))
                continue
            if not value:
                problem = f"{key!r} of {place / 'wav.scp'} must be followed by the path of a file, but is not; write it"
                entries.append(Entry(whole, {}, problem=problem))
                continue
            if value.endswith("|"):
                problem = f"{key!r} of {place / 'wav.scp'} must be the path of a file, got a command; run it first"
                entries.append(Entry(whole, {}, problem=problem))
                continue
            sound = next((one for one in (place / value, folder / value) if one.is_file()), place / value)
            entries.append(_spoken(whole, sound, words.get(key, ""), split_of(name.parent.name)))
    return Layout("Kaldi (wav.scp and text)", entries, tables)


def _keyed(path: Path) -> tuple[dict[str, str], set[str]]:
    """Lines of an id and the rest, and the ids that several lines have."""
    found: dict[str, str] = {}
    several: set[str] = set()
    for _, line in manifests.lines(path):
        key, *value = line.split(maxsplit=1)
        several |= {key} & found.keys()
        found[key] = "".join(value).strip()
    return found, several


def _twice(key: str, table: Path) -> str:
    return f"{key!r} must have one line in {table}, but has several; keep one"


def librispeech(folder: Path, files: list[Path], modalities: Collection[str], _: Mapping[str, str]) -> Layout | None:
    """x.trans.txt (id and words a line) beside the sounds that it names, as in LibriSpeech."""
    lists = [name for name in files if name.name.endswith(".trans.txt")]
    if not lists or "audio" not in modalities:
        return None
    sounds = {name.with_suffix(""): name for name in files if modality_of(name.name, ["audio"])}
    entries = []
    for name in lists:
        told, several = _keyed(folder / name)
        for key, words in told.items():
            if key in several:
                entries.append(Entry((name.parent / key).as_posix(), {}, problem=_twice(key, folder / name)))
                continue
            sound = sounds.get(name.parent / key, name.parent / f"{key}.flac")
            entries.append(_spoken((name.parent / key).as_posix(), folder / sound, words, split_of(name)))
    return Layout("LibriSpeech (.trans.txt beside sounds)", entries, [folder / name for name in lists])


def libritts(folder: Path, files: list[Path], modalities: Collection[str], _: Mapping[str, str]) -> Layout | None:
    """x.normalized.txt, which has the words, and x.original.txt beside x.wav, as in LibriTTS."""
    words = {
        name.with_name(name.name.removesuffix(_NORMALIZED)): name for name in files if name.name.endswith(_NORMALIZED)
    }
    sounds = {name.with_suffix(""): name for name in files if modality_of(name.name, ["audio"])}
    if not words.keys() & sounds.keys() or "audio" not in modalities:
        return None
    entries = [
        _spoken(bare.as_posix(), folder / sound, folder / words[bare] if bare in words else "", split_of(sound))
        for bare, sound in sounds.items()
    ]
    silent = [name for bare, name in words.items() if bare not in sounds]
    notes = ["words are those of .normalized.txt, not of .original.txt"]
    if silent:
        notes.append(f"left out: {len(silent)} texts without a sound ({silent[0]}{', ...' * (len(silent) > 1)})")
    return Layout("LibriTTS (.normalized.txt beside sounds)", entries, [], (), notes)


def vctk(folder: Path, files: list[Path], modalities: Collection[str], _: Mapping[str, str]) -> Layout | None:
    """txt/p225/p225_001.txt and wav48.../p225/p225_001.wav or p225_001_mic1.flac, as in VCTK."""
    words = {name.with_suffix("").parts[-2:]: name for name in files if name.parts[0] == "txt" and len(name.parts) == 3}
    sounds = [name for name in files if name.parts[0].startswith("wav") and len(name.parts) == 3]
    if not words or not sounds or "audio" not in modalities:
        return None
    entries = []
    silent = dict(words)
    for name in sounds:
        stem = name.with_suffix("").name
        called = [(name.parts[-2], one) for one in (stem, stem.rpartition("_mic")[0])]
        said = next((words[one] for one in called if one in words), None)
        for one in called:
            silent.pop(one, None)
        words_of = "" if said is None else folder / said
        entries.append(_spoken(name.with_suffix("").as_posix(), folder / name, words_of, None))
    first = next(iter(silent.values()), None)
    notes = [f"left out: {len(silent)} texts without a sound ({first}{', ...' * (len(silent) > 1)})"] if silent else []
    return Layout("VCTK (txt and wav folders)", entries, [], (), notes)

"""``tokenmask corpus build`` and ``show``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from tokenmask.cli.asked import ask_items, asked
from tokenmask.cli.columns import left_over, mapped
from tokenmask.cli.device import CPU, on
from tokenmask.cli.engine import engine_asked
from tokenmask.cli.found import Items
from tokenmask.cli.media import modalities_in, suffixes_of
from tokenmask.cli.names import by_name
from tokenmask.cli.show import failures, say, table
from tokenmask.cli.sources import items, unseen
from tokenmask.corpus import HELD_OUT, TRAIN, Corpus, Engine, Item, build_corpus, statistics
from tokenmask.run.folder import SHIPPED
from tokenmask.streams import StreamSpec
from tokenmask.tokenizer import Tokenizer, tokenizer_at

SHIPS = "shipped"  # in the place of a folder: the tokenizer that ships under the name of the stream


def corpus(arguments: argparse.Namespace) -> int:
    """Builds a corpus, or counts what is in one."""
    if arguments.action == "show":
        return _show(arguments.folder)
    out = Path(arguments.out)
    wanted, engine = asked(arguments), engine_asked(arguments)
    return build_named(
        arguments.tokenizer, arguments.sources, arguments.map, out, arguments.workers, wanted, engine=engine
    )


def build_named(
    named: Sequence[str],
    sources: Sequence[str],
    columns: Iterable[tuple[str, str]],
    out: Path,
    workers: int | None,
    wanted: dict[str, Any],
    device: torch.device = CPU,
    engine: Engine | None = None,
) -> int:
    """Builds a corpus of what is found in ``sources``, with "NAME=FOLDER" tokenizers and "STREAM=COLUMN" columns.

    ``wanted`` are options of reading, see :func:`tokenmask.cli.asked.asked`; tokenizers compute on ``device``,
    or on the CPUs of ``engine``.
    """
    tokenizers = {name: on(one, device) for name, one in named_tokenizers(named).items()}
    modalities = {name: tokenizer.spec.modality for name, tokenizer in tokenizers.items()}
    found = items(sources, modalities, needed=modalities, columns=mapped(columns, modalities))
    ask_items(found, wanted)
    say_left_over(found, modalities)
    return build(found, tokenizers, out, workers, sources, engine)


def build(
    found: Sequence[Item],
    tokenizers: Mapping[str, Tokenizer],
    out: Path,
    workers: int | None = None,
    sources: Sequence[str] = (),
    engine: Engine | None = None,
) -> int:
    """Encodes items into a corpus, says what was done and what was not looked at, and gives the exit code."""
    there = out.is_dir()
    if engine is None:
        summary = build_corpus(found, tokenizers, out, workers=workers)
    else:
        summary = build_corpus(found, tokenizers, out, engine=engine)
    left = unseen(sources, found)
    say(f"{summary.written} records written, {summary.skipped} there before, {len(summary.failed)} failed{left}: {out}")
    code = failures(summary.failed, len(found))
    if code == 2 and not there:
        out.rmdir()
    return code


def say_left_over(found: Items, wanted: Collection[str] = ()) -> None:
    """Names the columns of manifests that no stream takes, and the streams that were wanted and that nothing holds."""
    for sentence in left_over(found, wanted):
        say(sentence)


def is_named(word: str) -> bool:
    """Whether words are NAME=FOLDER, no folder alone, nor KIND:SOURCE with options."""
    name, equals, _ = word.partition("=")
    return bool(equals) and ":" not in name and not Path(word).is_dir()


def named_tokenizers(words: Sequence[str]) -> dict[str, Tokenizer]:
    """ "NAME=FOLDER", "NAME=KIND:SOURCE" or "NAME=shipped" words -> tokenizers by stream name."""
    found = by_name(words, "a tokenizer", "NAME=FOLDER")
    return {name: tokenizer_at(tokenizer_place(name, folder)) for name, folder in found.items()}


def tokenizer_place(name: str, folder: str) -> str:
    """The place of NAME=PLACE; of NAME=shipped it is the folder of the tokenizer that ships under the name.

    Raises:
        ValueError: none ships under it.
    """
    if folder != SHIPS or Path(folder).exists():
        if ":" not in folder and not Path(folder).is_dir():
            ships = f"write {name}={SHIPS} for the one that ships, " if name in _shipped() else ""
            raise ValueError(
                f"a tokenizer folder holds tokenizer.json, but {folder} is no folder; name one of `tokenmask fit`, "
                f"{ships}or write {name}=KIND:SOURCE for a published one"
            )
        return folder
    names = _shipped()
    if name not in names:
        raise ValueError(f"tokenizers ship for {', '.join(names)}, got {name}={SHIPS}; name a folder")
    return str(SHIPPED / "tokenizers" / name)


def _shipped() -> list[str]:
    return sorted(path.name for path in (SHIPPED / "tokenizers").iterdir())


def shipped_for(word: str, paths: Sequence[str]) -> str:
    """The word for a tokenizer; of "shipped" alone NAME=shipped, by the modality of the files and of what folders hold.

    Raises:
        ValueError: they are of none that ships, or of several.
    """
    if word != SHIPS or Path(word).exists():
        return word
    found: set[str] = set()
    for path in map(Path, paths):
        held = {name for name in _shipped() if path.suffix.lower() in suffixes_of(name)}
        found |= modalities_in(path, _shipped()) if path.is_dir() else held
    if len(found) != 1:
        what = f"of {' and '.join(sorted(found))}" if found else "of no kind for which one ships"
        raise ValueError(
            f"--tokenizer {SHIPS} is the one for the files that are named, but they are {what}; write NAME={SHIPS} "
            f"with one of {', '.join(_shipped())}"
        )
    return f"{found.pop()}={SHIPS}"


def one_tokenizer(word: str) -> Tokenizer:
    """The tokenizer of FOLDER or KIND:SOURCE, or of NAME=PLACE as other commands take it (image=shipped)."""
    name, _, place = word.partition("=")
    return tokenizer_at(tokenizer_place(name, place) if is_named(word) else word)


def shape_of(spec: StreamSpec) -> str:
    """The grid of a stream in words, for example "8 row x 8 column" or "any index, 12.5 a second"."""
    sizes = [f"{'any' if size is None else size} {axis}" for axis, size in zip(spec.axes, spec.grid, strict=True)]
    return " x ".join(sizes) + ("" if spec.rate_hz is None else f", {spec.rate_hz:g} a second")


def _show(folder: str) -> int:
    whole = Corpus(folder)
    splits = {split: Corpus(folder, split=split) for split in (TRAIN, HELD_OUT)}
    say(f"{folder}: {len(whole)} records ({len(splits[TRAIN])} train, {len(splits[HELD_OUT])} held out)")
    for name, spec in whole.specs.items():
        made_by = f"tokenizer {spec.fingerprint[:12]}" if spec.fingerprint else "no fingerprint"
        say(f"  {name}: {spec.modality}, {shape_of(spec)}, {spec.num_levels} level(s), {made_by}")
    counted = {split: statistics(part) for split, part in splits.items()}
    rows = []
    for name, spec in whole.specs.items():
        for level, size in enumerate(spec.codebook_sizes):
            train, held_out = (counted[split][name][level] for split in (TRAIN, HELD_OUT))
            count = train + held_out
            shares = count[count > 0].double() / max(int(count.sum()), 1)
            entropy = -float((shares * shares.log2()).sum())
            rows.append(
                [
                    name,
                    str(level),
                    str(size),
                    str(int(train.sum())),
                    str(int(held_out.sum())),
                    f"{int((count > 0).sum())} ({int((count > 0).sum()) / size:.1%})",
                    f"{entropy:.2f}",
                    f"{math.log2(size):.2f}",
                ]
            )
    table(["stream", "level", "codebook", "train codes", "held-out codes", "used", "entropy", "at most"], rows)
    say("used: codes that occur at all; entropy: of their frequencies, bits a code; at most: log2 of the codebook size")
    return 0

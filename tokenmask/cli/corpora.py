"""``tokenmask corpus build`` and ``show``."""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from tokenmask.cli.show import failures, say, table
from tokenmask.cli.sources import items
from tokenmask.corpus import HELD_OUT, TRAIN, Corpus, build_corpus, statistics
from tokenmask.tokenizer import Tokenizer, load_tokenizer


def corpus(arguments: argparse.Namespace) -> int:
    """Builds a corpus, or counts what is in one."""
    if arguments.action == "show":
        return _show(Path(arguments.folder))
    return build(arguments.sources, named_tokenizers(arguments.tokenizer), Path(arguments.out))


def build(sources: Sequence[str], tokenizers: Mapping[str, Tokenizer], out: Path) -> int:
    """Encodes sources into a corpus, says what was done, and gives the exit code."""
    modalities = {name: tokenizer.spec.modality for name, tokenizer in tokenizers.items()}
    summary = build_corpus(items(sources, modalities), tokenizers, out)
    say(f"{summary.written} records written, {summary.skipped} there before, {len(summary.failed)} failed: {out}")
    return failures(summary.failed, summary.written + summary.skipped + len(summary.failed))


def named_tokenizers(words: Sequence[str]) -> dict[str, Tokenizer]:
    """ "NAME=FOLDER" words -> tokenizers by stream name."""
    found = {}
    for word in words:
        name, equals, folder = word.partition("=")
        if not (name and equals and folder):
            raise ValueError(f"a tokenizer is given as NAME=FOLDER, got {word!r}")
        found[name] = load_tokenizer(folder)
    return found


def _show(folder: Path) -> int:
    whole = Corpus(folder)
    counts = {split: len(Corpus(folder, split=split)) for split in (TRAIN, HELD_OUT)}
    say(f"{folder}: {len(whole)} records ({counts[TRAIN]} train, {counts[HELD_OUT]} held out)")
    rows = []
    for name, levels in statistics(whole).items():
        spec = whole.specs[name]
        for level, count in enumerate(levels):
            total = int(count.sum())
            shares = count[count > 0].double() / max(total, 1)
            bits = -float((shares * shares.log2()).sum())
            used = int((count > 0).sum())
            rows.append(
                [
                    name,
                    str(level),
                    str(spec.codebook_sizes[level]),
                    str(total),
                    f"{used / len(count):.3f}",
                    f"{bits:.2f}",
                ]
            )
            rows[-1].append(f"{math.log2(len(count)):.2f}")
    table(["stream", "level", "size", "codes", "used", "unigram bits", "uniform bits"], rows)
    return 0

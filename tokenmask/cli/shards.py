"""``tokenmask encode --shards`` and ``decode`` of what it made: many small files as records of one corpus.

Arrow: media --encode--> records in Parquet shards --decode--> media. Does not know: how either is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

from tokenmask.cli.corpora import build
from tokenmask.cli.found import Items
from tokenmask.cli.sources import Medium
from tokenmask.corpus import HELD_OUT, TRAIN, Corpus, Engine, Item
from tokenmask.corpus.keys import Keys
from tokenmask.streams import TokenStream
from tokenmask.tokenizer import Tokenizer


def into_shards(
    found: Sequence[Medium],
    tokenizer: Tokenizer,
    out: Path,
    workers: int | None,
    sources: Sequence[str],
    engine: Engine | None = None,
) -> int:
    """A record for each medium, with its name as key; what is there already is skipped. The exit code.

    Raises:
        ValueError: two media of one name, or a folder with shards of another tokenizer.
    """
    modality = tokenizer.spec.modality
    seen = Keys()
    for one in found:
        if one.name in seen:
            other = next(first for first in found if first.name == one.name)
            raise ValueError(
                f"{other.loader.source} and {one.loader.source} would both be the record {one.name!r}; "
                "name the folder above them, or use two calls with two --out folders"
            )
        seen.add(one.name)
    records = Items(Item(one.name, {modality: one.loader}, HELD_OUT if one.held_out else TRAIN) for one in found)
    return build(records, {modality: tokenizer}, out, workers, sources, engine)


def is_sharded(path: Path) -> bool:
    """Whether a folder holds shards."""
    return path.is_dir() and any(path.glob("*.parquet"))


def from_shards(folder: Path, tokenizer: Tokenizer) -> Iterator[tuple[str, Callable[[], TokenStream]]]:
    """(key, what gives the codes) of the records with codes of a tokenizer.

    Raises:
        ValueError: damaged shards, or none with such a stream.
    """
    corpus = Corpus(folder)
    names = [name for name, spec in corpus.specs.items() if spec == tokenizer.spec]
    if not names:
        raise ValueError(
            f"{folder} must hold codes of this tokenizer to be decoded, but its streams "
            f"({', '.join(corpus.specs)}) were made by others; name the tokenizer that made them"
        )
    for record in corpus:
        for name in names:
            if name in record.streams:
                key = record.key if len(names) == 1 else f"{record.key}.{name}"
                yield key, partial(_same, record.streams[name])


def _same(stream: TokenStream) -> TokenStream:
    return stream

"""Record: the named token streams of one thing, with what is known about it.

Arrow: TokenStream --> **Record** --> CorpusWriter, and Corpus --> **Record** --Layout.pack--> Sequence.
Does not know: files, shared ids, models.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from tokenmask.streams import TokenStream

JSON: TypeAlias = "bool | int | float | str | list[JSON] | dict[str, JSON] | None"

TRAIN, HELD_OUT = "train", "held-out"


@dataclass(frozen=True)
class Record:
    """One captioned image, one recording, one verse: streams that belong together.

    Args:
        key: names the record; unique in its corpus.
        streams: stream name -> tokens, with local codes.
        metadata: anything JSON can hold (caption, licence, source file).
        split: "train" or "held-out"; decided by file, speaker or clip, never by window.
    """

    key: str
    streams: Mapping[str, TokenStream]
    metadata: Mapping[str, JSON] = field(default_factory=dict)
    split: str = TRAIN

    def __post_init__(self) -> None:
        if not self.key:
            raise ValueError("a Record needs a key that is not empty, got ''")
        if self.split not in (TRAIN, HELD_OUT):
            raise ValueError(f"the split of record {self.key!r} must be {TRAIN!r} or {HELD_OUT!r}, got {self.split!r}")

    __hash__ = None  # type: ignore[assignment]


def num_positions(record: Record) -> int:
    """Places of all grids of a record; the levels of one place count once."""
    return sum(math.prod(stream.grid) for stream in record.streams.values())

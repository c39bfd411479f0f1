"""TableEncoder: the one function that any engine can map over parts of a corpus.

Arrow: table of items --**TableEncoder**--> table of token columns, and of what was refused.
Does not know: which engine calls it, where tables come from or go to.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import pyarrow as pa

from tokenmask.corpus.engines.packed import PackedTokenizer
from tokenmask.corpus.engines.tables import (
    KEY,
    METADATA,
    SEALED,
    SPLIT,
    token_schema,
    token_table,
    unsealed,
)
from tokenmask.corpus.items import Item, encode_chunk
from tokenmask.medium import load_media
from tokenmask.streams import StreamSpec
from tokenmask.tokenizer import Tokenizer

PATH, WORDS = "path", "words"


@dataclass(frozen=True)
class TableEncoder:
    """``encode_table(table) -> table``: picklable, without state, the same answer wherever it is called.

    What it takes has a row an item:

    - ``key``, a string; ``split`` ("train" if it is not there) and ``metadata`` (JSON), strings that are passed on;
    - for each stream ``NAME_path``, a file that this process can read (``FILE#RECORD`` for one of several), or
      ``NAME_words``, words as they are; null where an item lacks the stream.

    What it gives has a row for each of these, in order, see :mod:`tokenmask.corpus.engines.tables`;
    :func:`tokenmask.corpus.write_tables` makes shards of it. A process opens the tokenizers at its first call.

    Args:
        tokenizers: stream name -> its tokenizer.
        seal: opens tables of :func:`tokenmask.corpus.engines.tables.item_table` that were made with the same.
    """

    tokenizers: Mapping[str, PackedTokenizer]
    seal: bytes = b""

    @classmethod
    def of(cls, tokenizers: Mapping[str, Tokenizer], seal: bytes = b"") -> TableEncoder:
        """The encoder of some tokenizers; one that several streams share travels once.

        Raises:
            TypeError: no mapping of names to tokenizers.
            ValueError: no tokenizer at all.
        """
        if not isinstance(tokenizers, Mapping):
            raise TypeError(f'tokenizers are given by stream, as {{"text": tokenizer}}, got {tokenizers!r}; write that')
        if not tokenizers:
            raise ValueError(
                "a TableEncoder needs a tokenizer for at least one stream, got none; name a stream and one"
            )
        for name, one in tokenizers.items():
            if isinstance(one, type) or not all(hasattr(one, what) for what in ("spec", "encode_many", "save")):
                raise TypeError(
                    f"{name!r} needs a tokenizer, got {one!r}; open it first, with tokenmask.tokenizer.load_tokenizer"
                )
        packed = {id(one): PackedTokenizer.of(one) for one in tokenizers.values()}
        return cls({name: packed[id(one)] for name, one in tokenizers.items()}, seal)

    @property
    def specs(self) -> dict[str, StreamSpec]:
        """Stream name -> what its codes mean."""
        return {name: packed.spec for name, packed in self.tokenizers.items()}

    @property
    def schema(self) -> pa.Schema:
        """The columns of what it gives."""
        return token_schema(self.specs)

    def open(self) -> dict[str, Tokenizer]:
        """The tokenizers of this process.

        Raises:
            ValueError: one is not installed here.
        """
        return {name: packed.open() for name, packed in self.tokenizers.items()}

    def __call__(self, table: pa.Table) -> pa.Table:
        """Encodes the rows of a table; an item that cannot be read or encoded is refused with a reason.

        Raises:
            TypeError: no table, or columns that hold no words.
            ValueError: the table has other columns than those above, or a tokenizer cannot be opened.
        """
        self._check(table)
        tokenizers = self.open()
        items = list(self._items(table, tokenizers))
        with warnings.catch_warnings(record=True) as told:  # where the tables are collected they are said again
            results = encode_chunk(items, tokenizers)
        return token_table(table, results, self.specs, [str(one.message) for one in told])

    def batches(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """The same over batches of records, as Spark's ``mapInArrow`` has them."""
        for batch in batches:
            yield from self(pa.Table.from_batches([batch])).to_batches()

    def refuse(self, table: pa.Table, reason: str) -> pa.Table:
        """The answer that refuses every row of a table."""
        return token_table(table, [ValueError(reason)] * len(table), self.specs)

    def _check(self, table: pa.Table) -> None:
        if not isinstance(table, pa.Table):
            raise TypeError(
                f"a TableEncoder takes a pyarrow.Table with a row an item, got {type(table).__name__}; make one of it, "
                "as pyarrow.Table.from_pylist(rows) does, or call batches for RecordBatches"
            )
        names = set(table.column_names)
        known = {
            KEY,
            SPLIT,
            METADATA,
            SEALED,
            *(f"{name}_{part}" for name in self.tokenizers for part in (PATH, WORDS)),
        }
        if KEY not in names or names - known:
            raise ValueError(
                f"a table of items must have the column {KEY!r} and others of {sorted(known - {KEY, SEALED})}, got "
                f"{sorted(names)}; rename or leave out the others"
            )
        for name in table.column_names:
            kind = table.schema.field(name).type
            if name != SEALED and not (_is_words(kind) or pa.types.is_null(kind)):
                raise TypeError(
                    f"a table of items holds words, but its column {name!r} holds {kind}; cast it to string"
                )

    def _items(self, table: pa.Table, tokenizers: Mapping[str, Tokenizer]) -> Iterator[Item]:
        for row in table.to_pylist():
            media: dict[str, Any] = {}
            for name, tokenizer in tokenizers.items():
                path, words = row.get(f"{name}_{PATH}"), row.get(f"{name}_{WORDS}")
                if path is not None and words is not None:
                    media[name] = partial(_both, name)
                elif path is not None:
                    media[name] = partial(load_media, tokenizer.media, path)
                elif words is not None:
                    media[name] = partial(tokenizer.media, words)
            if row.get(SEALED) is not None:
                media |= unsealed(row[SEALED], self.seal)
            yield Item(row[KEY] or "", media)


def _is_words(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _both(name: str) -> None:
    raise ValueError(f"a stream of an item is a file or words, got {name}_{PATH} and {name}_{WORDS}; leave one null")

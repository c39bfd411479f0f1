"""write_tables: what any engine made of items, as the shards of a corpus.

Arrow: token tables --**write_tables**--> shards. Does not know: how, where and in which order they were encoded.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa

from tokenmask.corpus.engines.tables import KEY, METADATA, SPLIT, streams_of
from tokenmask.corpus.items import sentence
from tokenmask.corpus.records import Record
from tokenmask.corpus.summary import BuildSummary
from tokenmask.corpus.writer import CorpusWriter
from tokenmask.streams import StreamSpec
from tokenmask.telling import tell


def write_tables(
    tables: Iterable[pa.Table],
    specs: Mapping[str, StreamSpec],
    folder: str | Path,
    *,
    records_per_shard: int = 4096,
    row_group: int = 512,
) -> BuildSummary:
    """Writes token tables as a corpus; with tables in the order of items, the bytes that ``build_corpus`` writes.

    Whatever ends it early, the records so far are kept, except those of a shard that could not be written. Rows whose
    keys are there already are skipped, so that a job can be run again.

    Args:
        tables: what a :class:`TableEncoder` gave, in any number of rows each.
        specs: of that encoder.
        folder: of the corpus.
        records_per_shard: see :class:`CorpusWriter`.
        row_group: see :class:`CorpusWriter`.

    Raises:
        TypeError: no tables, or no specs.
        ValueError: tables of something else, or the folder holds another corpus.
        OSError: a shard could not be written.
    """
    if isinstance(tables, pa.Table | str) or not isinstance(tables, Iterable):
        raise TypeError(
            f"write_tables takes tables one after the other, got {type(tables).__name__}; pass a list of them"
        )
    if not isinstance(specs, Mapping) or not all(isinstance(spec, StreamSpec) for spec in specs.values()):
        raise TypeError(f"write_tables needs the specs of the encoder, encode_table.specs, got {specs!r}; pass these")
    writer = CorpusWriter(folder, specs, records_per_shard=records_per_shard, row_group=row_group)
    there, failed, written, skipped = writer.keys.copy(), [], 0, 0
    try:
        for table in tables:
            if not isinstance(table, pa.Table):
                raise TypeError(
                    f"write_tables takes what a TableEncoder gave, a pyarrow.Table, got {type(table).__name__}; "
                    "make a table of it, as pyarrow.Table.from_batches does"
                )
            results, told = streams_of(table, specs)
            for words in told:
                tell(words)
            about = (table.column(name).to_pylist() for name in (KEY, SPLIT, METADATA))
            for key, split, metadata, result in zip(*about, results, strict=True):
                if key in there:
                    skipped += 1
                    continue
                try:
                    if isinstance(result, Exception):
                        raise result
                    writer.add(Record(key or "", result, json.loads(metadata or "{}"), split))
                    written += 1
                except ValueError as error:
                    failed.append((key, sentence(error)))
    finally:
        writer.close()
    return BuildSummary(written, failed, skipped)

"""Encoding of many items, here or on an engine: the same streams in the same order either way.

Arrow: Item --**encode_items**--> TokenStreams of each item, or the reason why there are none.
Does not know: where media come from, where streams go, any modality, what an engine is made of.
"""

from __future__ import annotations

import itertools
import secrets
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sized

from tokenmask.corpus.engines.encoder import TableEncoder
from tokenmask.corpus.engines.engine import Engine
from tokenmask.corpus.engines.processes import ProcessPool
from tokenmask.corpus.engines.tables import item_table, streams_of
from tokenmask.corpus.engines.team import IN_HAND
from tokenmask.corpus.items import Item, Streams, encode_chunk, sentence
from tokenmask.telling import tell
from tokenmask.threads import usable_cores
from tokenmask.tokenizer import Tokenizer

__all__ = ["ITEMS_AT_ONCE", "Item", "encode_items", "sentence", "usual_workers"]

ITEMS_AT_ONCE = 16  # encoded together
_FEW = 100  # items that are encoded before the workers have started


def encode_items(
    items: Iterable[Item], tokenizers: Mapping[str, Tokenizer], *, workers: int = 1, engine: Engine | None = None
) -> Iterator[tuple[Item, Streams | Exception]]:
    """Encodes items in order; what fails becomes the reason instead of streams.

    The streams do not depend on ``workers`` or ``engine``. A worker that dies (a fault in a decoder, no memory) costs
    the item that killed it and no other. Workers end with this process, however it ends.

    Args:
        items: any iterable; read once, a few at a time. For several workers their media must be picklable: media
            objects, or functions found by name.
        tokenizers: stream name -> the tokenizer of that stream; an item may lack streams.
        workers: processes of this machine; 1 encodes in this one.
        engine: what encodes in place of ``workers``.

    Raises:
        ValueError: ``workers`` is not positive, or the items cannot be sent to workers.
        OSError: workers cannot be started, or a cluster was lost.
    """
    if workers < 1:
        raise ValueError(f"workers must be at least 1, got {workers}")
    if engine is None and workers == 1:
        for chunk in _chunks(items, ITEMS_AT_ONCE):
            yield from zip(chunk, encode_chunk(chunk, tokenizers), strict=True)
        return
    engine = engine or ProcessPool(workers)
    # A chunk is small where there are few items, so that each worker gets some.
    size = ITEMS_AT_ONCE
    if isinstance(items, Sized):
        size = max(1, min(ITEMS_AT_ONCE, len(items) // (IN_HAND * engine.size)))
    encode = TableEncoder.of(tokenizers, seal=secrets.token_bytes(32))
    out: deque[list[Item]] = deque()

    def tables() -> Iterator[object]:
        for chunk in _chunks(items, size):
            out.append(chunk)
            yield item_table(chunk, encode.seal)

    for table in engine.map(encode, tables()):
        results, told = streams_of(table, encode.specs)
        for words in told:
            tell(words)
        yield from zip(out.popleft(), results, strict=True)


def usual_workers(count: int) -> int:
    """Worker processes for that many items: one for each core this process may use, one alone below a hundred items."""
    return 1 if count < _FEW else usable_cores()


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk

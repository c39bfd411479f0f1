"""Encoding of many items, here or on an engine: the same streams in the same order either way.

Arrow: Item --**encode_items**--> TokenStreams of each item, or the reason why there are none.
Does not know: where media come from, where streams go, any modality, what an engine is made of.
"""

from __future__ import annotations

import itertools
import secrets
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized

import pyarrow as pa

from tokenmask.corpus.engines.encoder import TableEncoder
from tokenmask.corpus.engines.engine import Engine
from tokenmask.corpus.engines.processes import ProcessPool
from tokenmask.corpus.engines.tables import KEY, item_table, streams_of
from tokenmask.corpus.engines.team import IN_HAND, check_workers
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
        items: any iterable; read once, a few at a time. For several workers their media must be said in words: media
            objects, or functions found by name (:func:`tokenmask.corpus.engines.words.to_bytes`).
        tokenizers: stream name -> the tokenizer of that stream; an item may lack streams.
        workers: processes of this machine; 1 encodes in this one.
        engine: what encodes in place of ``workers``.

    Raises:
        ValueError: ``workers`` is not positive, the items cannot be sent to workers, or an engine answers out of order
            or not at all.
        TypeError: an engine that is none.
        OSError: workers cannot be started, or a cluster was lost.
    """
    check_workers(workers, "core")
    if engine is None and workers == 1:
        for chunk in _chunks(items, ITEMS_AT_ONCE):
            yield from zip(chunk, encode_chunk(chunk, tokenizers), strict=True)
        return
    if engine is not None and (isinstance(engine, type) or not callable(getattr(engine, "map", None))):
        raise TypeError(
            f"engine must map a function over tables (tokenmask.corpus.engines.Engine), got {engine!r}; pass "
            "ProcessPool(2), or an object with size and map"
        )
    engine = engine or ProcessPool(workers)
    # A chunk is small where there are few items, so that each worker gets some.
    size = ITEMS_AT_ONCE
    if isinstance(items, Sized):
        size = max(1, min(ITEMS_AT_ONCE, len(items) // (IN_HAND * engine.size)))
    encode = TableEncoder.of(tokenizers, seal=secrets.token_bytes(32))
    out: deque[tuple[list[Item], list[str]]] = deque()

    def tables() -> Iterator[pa.Table]:
        for chunk in _chunks(items, size):
            table = item_table(chunk, encode.seal)
            out.append((chunk, table.column(KEY).to_pylist()))
            yield table

    for table in engine.map(encode, tables()):
        results, told = streams_of(table, encode.specs)
        chunk, keys = out.popleft() if out else ([], [])
        _check_answer(engine, keys, table.column(KEY).to_pylist())
        for words in told:
            tell(words)
        yield from zip(chunk, results, strict=True)
    if out:
        _check_answer(engine, out[0][1], [])


def usual_workers(count: int) -> int:
    """Worker processes for that many items: one for each core this process may use, one alone below a hundred items."""
    return 1 if count < _FEW else usable_cores()


def _check_answer(engine: Engine, sent: Sequence[str], got: Sequence[str]) -> None:
    """ValueError unless an engine's answer is that to the table that was sent first of those unanswered."""
    if list(sent) == list(got):
        return
    said = [f"{len(keys)} rows from {keys[0]!r}" if keys else "none" for keys in (sent, got)]
    raise ValueError(
        f"{type(engine).__name__}.map must give one answer to each table, in their order, but to the table of "
        f"{said[0]} it gave {said[1]}; let it wait for the answer that is due"
    )


def _chunks(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, size)):
        yield chunk

"""Engine: what maps one function over the parts of a corpus, named by a word.

Arrow: word --**engine_of**--> Engine. Does not know: what is mapped.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import pyarrow as pa

from tokenmask.corpus.engines.encoder import TableEncoder
from tokenmask.corpus.engines.on_ray import RayCluster
from tokenmask.corpus.engines.processes import ProcessPool

LOCAL, PROCESSES, RAY = "local", "processes", "ray"


class Engine(Protocol):
    """Maps ``encode`` over tables, wherever; :class:`ProcessPool` is the smallest example."""

    @property
    def size(self) -> int:
        """About how many tables are encoded at once."""
        ...

    def map(self, encode: TableEncoder, tables: Iterator[pa.Table]) -> Iterator[pa.Table]:
        """The answers to all tables, in their order; a table is asked for when it is needed.

        A row whose encoding ends its process is refused (``encode.refuse``) and costs no other.
        """
        ...


def engine_of(word: str, workers: int | None = None) -> Engine | None:
    """The engine of "processes", "ray", or "ray:ADDRESS" for a cluster that runs; None for "local", this process.

    Args:
        word: see above.
        workers: processes that encode; None is as many as it has CPUs.

    Raises:
        TypeError: no word.
        ValueError: another word.
    """
    if not isinstance(word, str):
        raise TypeError(f"an engine is named by a word, such as {PROCESSES!r}, got {word!r}; write one")
    name, colon, address = word.partition(":")
    if word == LOCAL:
        return None
    if word == PROCESSES:
        return ProcessPool(workers)
    if name == RAY and bool(colon) == bool(address):
        return RayCluster(address or None, workers)
    raise ValueError(
        f"an engine is {LOCAL}, {PROCESSES}, {RAY} (a cluster of this machine) or {RAY}:ADDRESS, got {word!r}; "
        "name one of these, or map a TableEncoder over tables yourself"
    )

"""build_corpus: media of any kind into a corpus, item by item, going on where it was stopped.

Arrow: raw media --Tokenizer.encode_many--> TokenStream --CorpusWriter--> **shards**.
Does not know: where media come from, any modality, models.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sized
from pathlib import Path

from tokenmask.arguments import is_a, path_of
from tokenmask.corpus.encoding import encode_items, usual_workers
from tokenmask.corpus.engines import Engine, engine_of
from tokenmask.corpus.engines.team import check_workers
from tokenmask.corpus.items import Item, sentence
from tokenmask.corpus.keys import Keys
from tokenmask.corpus.records import Record
from tokenmask.corpus.summary import BuildSummary
from tokenmask.corpus.writer import CorpusWriter
from tokenmask.progress import progress_bar
from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import Tokenizer


def build_corpus(
    items: Iterable[Item],
    tokenizers: Mapping[str, Tokenizer],
    folder: str | Path,
    *,
    progress: bool = True,
    on_error: str = "collect",
    workers: int | None = 1,
    engine: str | Engine = "local",
    records_per_shard: int = 4096,
    row_group: int = 512,
) -> BuildSummary:
    """Encodes items and writes them as a corpus; run it again to go on after a stop.

    Whatever ends it early (Ctrl-C, an exception), the records encoded so far are kept, except those of a shard that
    could not be written.

    Args:
        items: any iterable; read once, a few at a time.
        tokenizers: stream name -> the tokenizer of that stream; an item may lack streams.
        folder: of the corpus.
        progress: a bar on stderr, if the items have a length.
        on_error: "collect" puts items that fail into the summary, "raise" stops at the first.
        workers: processes that encode; the corpus is the same for any number, see :func:`encode_items`. None takes
            :func:`usual_workers` of the items that are not there yet, if items have a length, else 1.
        engine: what encodes: "local", this machine with ``workers``; or "processes", "ray", "ray:ADDRESS" with all
            CPUs that they have, or an :class:`Engine` with as many as it was told. The corpus is the same.
        records_per_shard: see :class:`CorpusWriter`.
        row_group: see :class:`CorpusWriter`.

    Raises:
        ValueError: the folder holds another corpus, an engine that is not there, or with ``on_error="raise"`` an item
            failed.
        TypeError: items that are none, tokenizers that are no dict of tokenizers, no path, or workers that are no whole
            number.
        OSError: a shard could not be written, or a cluster was lost.
    """
    if on_error not in ("collect", "raise"):
        raise ValueError(f"on_error must be 'collect' or 'raise', got {on_error!r}; write one of these")
    _check(items, tokenizers)
    name = path_of("folder of a corpus", folder).name
    check_workers(workers, "core")
    mapping = engine_of(engine) if isinstance(engine, str) else engine
    if mapping is not None and workers not in (None, 1):
        raise ValueError(
            f"workers are those of the engine local, got {workers} beside {engine}; give them to the engine, as in "
            f"engine=ProcessPool({workers})"
        )
    specs = {name: tokenizer.spec for name, tokenizer in tokenizers.items()}
    writer = CorpusWriter(folder, specs, records_per_shard=records_per_shard, row_group=row_group)
    there, failed, written, skipped = writer.keys.copy(), [], 0, 0

    def is_new(item: Item) -> bool:
        nonlocal skipped
        is_there = _key(item) in there
        skipped += is_there
        return not is_there

    total = len(items) if isinstance(items, Sized) else 0
    skipped = sum(_key(item) in there for item in items) if total and there else 0
    new: Iterable[Item] = _New(items, there, total - skipped) if total else filter(is_new, items)
    if workers is None:
        workers = usual_workers(total - skipped) if total and mapping is None else 1
    try:
        with progress_bar(f"encoding {name}", total, skipped, progress) as show:
            for item, result in encode_items(new, tokenizers, workers=workers, engine=mapping):
                reason = result if isinstance(result, Exception) else _add(writer, item, result)
                if reason is None:
                    written += 1
                elif on_error == "raise":
                    raise ValueError(f"item {item.key!r} could not become a record: {sentence(reason)}") from reason
                else:
                    failed.append((item.key, sentence(reason)))
                show(written + skipped + len(failed), None)
    finally:
        writer.close()
    return BuildSummary(written, failed, skipped)


class _New(Sized):
    """The items whose keys are not there, ``count`` of them; few are in memory, if few of ``items`` are."""

    def __init__(self, items: Iterable[Item], there: Keys, count: int) -> None:
        self._items, self._there, self._count = items, there, count

    def __len__(self) -> int:
        return self._count

    def __iter__(self) -> Iterator[Item]:
        return (item for item in self._items if _key(item) not in self._there)


def _check(items: object, tokenizers: object) -> None:
    """TypeError unless these can be items, and are tokenizers by name."""
    if isinstance(items, str | bytes) or not isinstance(items, Iterable):
        raise TypeError(f"items must be a list of Item, got {items!r}; write [Item(key, {{'image': picture}})]")
    if not isinstance(tokenizers, Mapping):
        raise TypeError(
            f"tokenizers must be a dict from names of streams, got {tokenizers!r}; write {{'image': tokenizer}}"
        )
    for name, tokenizer in tokenizers.items():
        if isinstance(tokenizer, type) or not isinstance(getattr(tokenizer, "spec", None), StreamSpec):
            raise TypeError(
                f"each of tokenizers must be a Tokenizer, got {tokenizer!r} for {name!r}; load one with load_tokenizer"
            )


def _key(item: Item) -> str:
    is_a("each of items", item, Item)
    return item.key


def _add(writer: CorpusWriter, item: Item, streams: Mapping[str, TokenStream]) -> Exception | None:
    try:
        writer.add(Record(item.key, streams, item.metadata, item.split))
    except ValueError as error:
        return error
    return None

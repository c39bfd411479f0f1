"""build_corpus: media of any kind into a corpus, item by item, going on where it was stopped.

Arrow: raw media --Tokenizer.encode_many--> TokenStream --CorpusWriter--> **shards**.
Does not know: where media come from, any modality, models.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tokenmask.corpus.records import JSON, TRAIN, Record
from tokenmask.corpus.writer import CorpusWriter
from tokenmask.fitting import progress_bar
from tokenmask.streams import TokenStream
from tokenmask.tokenizer import Tokenizer

ITEMS_AT_ONCE = 16  # encoded together


@dataclass(frozen=True)
class Item:
    """What becomes one record.

    Args:
        key: unique in the corpus; an item whose key is there already is skipped.
        media: stream name -> media, or a function without arguments that loads it when its turn comes.
        split: "train" or "held-out"; decide by file, speaker or clip, never by window.
        metadata: kept with the record.
    """

    key: str
    media: Mapping[str, Any]
    split: str = TRAIN
    metadata: Mapping[str, JSON] = field(default_factory=dict)


@dataclass(frozen=True)
class BuildSummary:
    """What :func:`build_corpus` did.

    Args:
        written: records added.
        failed: (key, reason) of the items that could not be read or encoded.
        skipped: items whose keys were in the corpus before.
    """

    written: int
    failed: list[tuple[str, str]]
    skipped: int


def build_corpus(
    items: Iterable[Item],
    tokenizers: Mapping[str, Tokenizer],
    folder: str | Path,
    *,
    progress: bool = True,
    on_error: str = "collect",
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
        records_per_shard: see :class:`CorpusWriter`.
        row_group: see :class:`CorpusWriter`.

    Raises:
        ValueError: the folder holds another corpus, or with ``on_error="raise"`` an item failed.
        OSError: a shard could not be written.
    """
    if on_error not in ("collect", "raise"):
        raise ValueError(f"on_error must be 'collect' or 'raise', got {on_error!r}")
    specs = {name: tokenizer.spec for name, tokenizer in tokenizers.items()}
    writer = CorpusWriter(folder, specs, records_per_shard=records_per_shard, row_group=row_group)
    there, failed, written, skipped = frozenset(writer.keys), [], 0, 0
    total = len(items) if isinstance(items, Sized) else 0
    try:
        with progress_bar(f"encoding {Path(folder).name}", total, 0, progress) as show:
            for chunk in _chunks(items):
                new = [item for item in chunk if item.key not in there]
                skipped += len(chunk) - len(new)
                for item, result in zip(new, _encode(new, tokenizers), strict=True):
                    reason = result if isinstance(result, Exception) else _add(writer, item, result)
                    if reason is None:
                        written += 1
                    elif on_error == "raise":
                        raise ValueError(
                            f"item {item.key!r} could not become a record: {_sentence(reason)}"
                        ) from reason
                    else:
                        failed.append((item.key, _sentence(reason)))
                    show(written + skipped + len(failed), None)
    finally:
        writer.close()
    return BuildSummary(written, failed, skipped)


def _encode(items: Sequence[Item], tokenizers: Mapping[str, Tokenizer]) -> list[dict[str, TokenStream] | Exception]:
    """The streams of each item, or why there are none."""
    results: list[dict[str, TokenStream] | Exception] = [{} for _ in items]
    media: list[dict[str, Any]] = []
    for index, item in enumerate(items):
        try:
            media.append(_load(item, tokenizers))
        except Exception as error:  # noqa: BLE001 - a loader is foreign code and may raise anything
            media.append({})
            results[index] = error
    for name, tokenizer in tokenizers.items():
        having = [index for index, loaded in enumerate(media) if name in loaded]
        for index, stream in zip(having, _streams(tokenizer, [media[index][name] for index in having]), strict=True):
            result = results[index]
            if isinstance(stream, Exception):
                results[index] = stream
            elif not isinstance(result, Exception):
                result[name] = stream
    return results


def _load(item: Item, tokenizers: Mapping[str, Tokenizer]) -> dict[str, Any]:
    unknown = sorted(set(item.media) - set(tokenizers))
    if unknown or not item.media:
        raise ValueError(f"an item needs media for some of the streams {sorted(tokenizers)}, got {sorted(item.media)}")
    return {name: media() if callable(media) else media for name, media in item.media.items()}


def _streams(tokenizer: Tokenizer, media: Sequence[Any]) -> list[TokenStream | Exception]:
    try:
        return list(tokenizer.encode_many(media)) if media else []
    except Exception as error:  # noqa: BLE001 - which of the items it was, the loop below finds out
        if len(media) == 1:
            return [error]
    results: list[TokenStream | Exception] = []
    for one in media:
        results += _streams(tokenizer, [one])
    return results


def _add(writer: CorpusWriter, item: Item, streams: Mapping[str, TokenStream]) -> Exception | None:
    try:
        writer.add(Record(item.key, streams, item.metadata, item.split))
    except ValueError as error:
        return error
    return None


def _sentence(error: Exception) -> str:
    text = str(error).strip()
    line = text.splitlines()[0] if text else "no reason given"
    return line if isinstance(error, ValueError) else f"{type(error).__name__}: {line}"


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    iterator = iter(items)
    while chunk := list(itertools.islice(iterator, ITEMS_AT_ONCE)):
        yield chunk

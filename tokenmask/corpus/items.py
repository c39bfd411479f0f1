"""Items and the streams of them: what becomes a record, and why one does not.

Arrow: **Item** --**encode_chunk**--> TokenStreams of each, or the reason why there are none.
Does not know: where media come from, processes, tables, any modality.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tokenmask.corpus.records import JSON, TRAIN
from tokenmask.streams import TokenStream
from tokenmask.threads import free_cores
from tokenmask.tokenizer import Tokenizer

Streams = dict[str, TokenStream]


@dataclass(frozen=True)
class Item:
    """What becomes one record.

    Args:
        key: unique in the corpus; an item whose key is there already is skipped. A relative path without "..", since
            files are called by it: an item with another becomes no record.
        media: stream name -> media, or a function without arguments that loads it when its turn comes.
        split: "train" or "held-out"; decide by file, speaker or clip, never by window.
        metadata: kept with the record.
    """

    key: str
    media: Mapping[str, Any]
    split: str = TRAIN
    metadata: Mapping[str, JSON] = field(default_factory=dict)


def sentence(error: Exception) -> str:
    """The first line of an error, with its kind unless that is ValueError, or a sentence about its file."""
    text = str(error).strip()
    line = text.splitlines()[0] if text else "no reason given"
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename} cannot be read ({error.strerror}); check the path"
    return line if isinstance(error, ValueError) else f"{type(error).__name__}: {line}"


@free_cores()
def encode_chunk(items: Sequence[Item], tokenizers: Mapping[str, Tokenizer]) -> list[Streams | Exception]:
    """The streams of each item, or why there are none."""
    results: list[Streams | Exception] = [{} for _ in items]
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

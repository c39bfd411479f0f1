"""Vocabulary: the pieces of a published model's text tokenizer, and which of them mark something.

Arrow: tokenizer of transformers, or folder --**opened**--> FastTokenizer; --**marks_named**--> pieces that mark.
Does not know: networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenmask.modalities.published.fast import FILE, FastTokenizer
from tokenmask.modalities.published.files import json_of

MARKS = ("cls_token", "bos_token", "sep_token", "eos_token", "mask_token", "pad_token")
_SAYING = ("tokenizer_config.json", "special_tokens_map.json")


def marks_named(tokenizer: Any, who: str) -> dict[str, str]:
    """Mark -> piece, of a fast tokenizer of transformers, or of the folder of one.

    Raises:
        ValueError: no fast tokenizer.
    """
    if isinstance(tokenizer, Path):
        found: dict[str, Any] = {}
        for name in _SAYING:
            if (tokenizer / name).is_file():
                found |= json_of(tokenizer / name, who)
        pieces = {mark: found.get(mark) for mark in MARKS}
        pieces = {mark: own.get("content") if isinstance(own, Mapping) else own for mark, own in pieces.items()}
    else:
        backend_of(tokenizer, who)
        pieces = {mark: getattr(tokenizer, mark, None) for mark in MARKS}
    return {mark: str(piece) for mark, piece in pieces.items() if piece is not None}


def backend_of(tokenizer: Any, who: str) -> Any:
    """The ``tokenizers.Tokenizer`` of a fast tokenizer of transformers."""
    inner = getattr(tokenizer, "backend_tokenizer", None)
    if inner is None:
        raise ValueError(
            f"{who} needs the fast tokenizer of a network, got {type(tokenizer).__name__}; use AutoTokenizer of its "
            "folder"
        )
    return inner


def opened(tokenizer: Any, who: str, end: str | None) -> FastTokenizer:
    """The pieces as a tokenizer of ours, whose texts end with the piece ``end``."""
    if isinstance(tokenizer, Path):
        if not (tokenizer / FILE).is_file():
            raise ValueError(f"{who} needs {FILE} in {tokenizer}, which has none; pass tokenizer=, or copy it there")
        return FastTokenizer.open(tokenizer, end=end)
    return FastTokenizer.of(backend_of(tokenizer, who), end=end)


def first(marks: Mapping[str, str], *names: str) -> str | None:
    """The piece of the first of some marks that there is."""
    return next((marks[name] for name in names if name in marks), None)


def check_size(words: FastTokenizer, rows: int) -> int:
    """How many pieces there are; ValueError where a network with ``rows`` of them knows fewer."""
    size = words.spec.codebook_sizes[0]
    if size > rows:
        raise ValueError(
            f"the vocabulary has {size} pieces, but the network knows {rows}; use the tokenizer of its folder"
        )
    return size

"""Tokenizers: what turns media into token streams and back, and how one is found, told apart, stored and loaded.

Does not know: any modality, shared ids, models.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tokenmask.tokenizer.folders import (
    DESCRIPTION_FILE,
    FORMAT,
    check_decoder,
    check_fingerprint,
    check_free,
    describe,
    load_tokenizer,
    read_description,
)
from tokenmask.tokenizer.identity import (
    check_media,
    check_stream,
    fingerprint,
    stream_of,
)
from tokenmask.tokenizer.installed import (
    ENTRY_POINT_GROUP,
    TOKENIZERS,
    check_storable,
    find_tokenizers,
    installed_tokenizers,
    load_tokenizer_class,
    register_tokenizer,
    tokenizer_name,
)
from tokenmask.tokenizer.offers import (
    Continues,
    DecodesPieces,
    FindsChannels,
    GivesCodebooks,
    GivesVectors,
    KeepsGroups,
    Learns,
    Locates,
    Moves,
    NamesGroups,
    Opens,
    ReadsFiles,
    Selects,
    Show,
    SpellsCodes,
    WritesFiles,
    nothing_shown,
)
from tokenmask.tokenizer.opening import open_tokenizer, tokenizer_at
from tokenmask.tokenizer.protocol import (
    Tokenizer,
)

__all__ = [
    "DESCRIPTION_FILE",
    "ENTRY_POINT_GROUP",
    "FORMAT",
    "TOKENIZERS",
    "Continues",
    "DecodesPieces",
    "FindsChannels",
    "GivesCodebooks",
    "GivesVectors",
    "KeepsGroups",
    "Learns",
    "Locates",
    "Moves",
    "NamesGroups",
    "Opens",
    "ReadsFiles",
    "Selects",
    "Show",
    "SpellsCodes",
    "Tokenizer",
    "WritesFiles",
    "check_decoder",
    "check_fingerprint",
    "check_free",
    "check_media",
    "check_storable",
    "check_stream",
    "describe",
    "find_tokenizers",
    "fingerprint",
    "installed_tokenizers",
    "load_tokenizer",
    "load_tokenizer_class",
    "nothing_shown",
    "open_tokenizer",
    "read_description",
    "register_tokenizer",
    "stream_of",
    "tokenizer_at",
    "tokenizer_name",
]


class _Opener(ModuleType):
    """This module under its name in the package, ``tokenmask.tokenizer``, opens tokenizers when it is called."""

    def __call__(self, name: str, source: str | Path | None = None, **options: Any) -> Tokenizer:
        return open_tokenizer(name, source, **options)


sys.modules[__name__].__class__ = _Opener

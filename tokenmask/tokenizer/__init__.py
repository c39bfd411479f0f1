"""Tokenizers: what turns media into token streams and back, and how one is found, told apart, stored and loaded.

Does not know: any modality, shared ids, models.
"""

from tokenmask.tokenizer.folders import (
    DESCRIPTION_FILE,
    FORMAT,
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
    find_tokenizers,
    load_tokenizer_class,
    tokenizer_name,
)
from tokenmask.tokenizer.offers import (
    FindsChannels,
    GivesCodebooks,
    GivesVectors,
    Learns,
    Locates,
    NamesGroups,
    Selects,
    Show,
    SpellsCodes,
    TakesFiles,
    nothing_shown,
)
from tokenmask.tokenizer.protocol import (
    Tokenizer,
)

__all__ = [
    "DESCRIPTION_FILE",
    "ENTRY_POINT_GROUP",
    "FORMAT",
    "TOKENIZERS",
    "FindsChannels",
    "GivesCodebooks",
    "GivesVectors",
    "Learns",
    "Locates",
    "NamesGroups",
    "Selects",
    "Show",
    "SpellsCodes",
    "TakesFiles",
    "Tokenizer",
    "check_fingerprint",
    "check_free",
    "check_media",
    "check_stream",
    "describe",
    "find_tokenizers",
    "fingerprint",
    "load_tokenizer",
    "load_tokenizer_class",
    "nothing_shown",
    "read_description",
    "stream_of",
    "tokenizer_name",
]

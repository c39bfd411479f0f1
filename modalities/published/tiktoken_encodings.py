"""tiktoken's encodings: what texts are split by, and where the library has the file of each.

Does not know: tokenizers, texts.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import types
from pathlib import Path
from typing import Any

from tokenmask.modalities.published.files import needed


def encodings() -> dict[str, Any]:
    """Constructors of tiktoken's encodings of one file."""
    every = needed("tiktoken_ext.openai_public", "TiktokenTokenizer").ENCODING_CONSTRUCTORS
    return {name: make for name, make in every.items() if "load_tiktoken_bpe" in make.__code__.co_names}


def _made(name: str, load: Any) -> Any:
    """What a constructor says with another way to load ranks; it is copied, so the library stays as it is."""
    make = encodings()[name]
    return types.FunctionType(make.__code__, {**make.__globals__, "load_tiktoken_bpe": load})()


def pattern_of(name: str) -> str:
    """What an encoding splits texts by."""
    found: str = _made(name, lambda *given, **named: {})["pat_str"]
    return found


def address(name: str) -> tuple[str, Path]:
    """(where tiktoken would fetch the file of an encoding, where its cache has it)."""
    seen: list[str] = []

    def noted(url: str, **named: Any) -> dict[bytes, int]:
        seen.append(url)
        return {}

    _made(name, noted)
    folder = os.environ.get("TIKTOKEN_CACHE_DIR") or os.environ.get("DATA_GYM_CACHE_DIR")
    place = Path(folder) if folder else Path(tempfile.gettempdir()) / "data-gym-cache"
    return seen[0], place / hashlib.sha1(seen[0].encode()).hexdigest()

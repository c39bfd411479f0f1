"""tokenmask: masked modelling of discrete tokens of any modality.

Axis letters everywhere: B batch rows, L packed positions, K levels (codebooks), S slots, M queries, V codes of a range,
D width, H heads. Time runs one way: t = 0 hides nothing, t = 1 hides everything.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Loaded on first use (PEP 562), so that `import tokenmask` stays quick and torch waits until it is needed.
_HOMES = {
    "load": "run",
    "Run": "run",
    "load_tokenizer": "run",
    "TokenStream": "streams",
    "StreamSpec": "streams",
    "Layout": "layout",
    "Corpus": "corpus",
    "Recipe": "recipes",
    "Sampler": "sampling",
    "Trainer": "training",
    "Transformer": "models",
    "Masker": "masking",
}
__all__ = ["__version__", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"tokenmask.{_HOMES[name]}"), name)
    raise AttributeError(f"tokenmask has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])

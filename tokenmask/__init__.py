"""tokenmask: masked modelling of discrete tokens of any modality.

Axis letters everywhere: B batch rows, L packed positions, K levels (codebooks), S slots, M queries, V codes of a range,
D width, H heads. Time runs one way: t = 0 hides nothing, t = 1 hides everything.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # what editors and type checkers see; a running program gets the same names by __getattr__
    from tokenmask.corpus import Corpus as Corpus
    from tokenmask.layout import Layout as Layout
    from tokenmask.masking import Masker as Masker
    from tokenmask.modalities.audio import AudioClip as AudioClip
    from tokenmask.modalities.audio import AudioTokenizer as AudioTokenizer
    from tokenmask.modalities.eeg import EegRecording as EegRecording
    from tokenmask.modalities.eeg import EegTokenizer as EegTokenizer
    from tokenmask.modalities.image import Image as Image
    from tokenmask.modalities.image import ImageTokenizer as ImageTokenizer
    from tokenmask.modalities.motion import MotionClip as MotionClip
    from tokenmask.modalities.motion import MotionTokenizer as MotionTokenizer
    from tokenmask.modalities.symbols import Symbols as Symbols
    from tokenmask.modalities.symbols import SymbolTokenizer as SymbolTokenizer
    from tokenmask.modalities.text import Text as Text
    from tokenmask.modalities.text import TextTokenizer as TextTokenizer
    from tokenmask.modalities.video import VideoClip as VideoClip
    from tokenmask.modalities.video import VideoTokenizer as VideoTokenizer
    from tokenmask.models import Transformer as Transformer
    from tokenmask.recipes import Recipe as Recipe
    from tokenmask.report import show as show
    from tokenmask.run import Run as Run
    from tokenmask.run import convert as convert
    from tokenmask.run import load as load
    from tokenmask.run import load_tokenizer as load_tokenizer
    from tokenmask.run import wrap as wrap
    from tokenmask.sampling import Sampler as Sampler
    from tokenmask.sharing import Card as Card
    from tokenmask.sharing import pull as pull
    from tokenmask.streams import StreamSpec as StreamSpec
    from tokenmask.streams import TokenStream as TokenStream
    from tokenmask.tokenizer import open_tokenizer as tokenizer
    from tokenmask.tokenizer import register_tokenizer as register_tokenizer
    from tokenmask.training import Trainer as Trainer

from tokenmask.deprecation import moved_modules

__version__ = "0.2.0"

MOVED = {  # old names of modules still import, with a warning
    "tokenmask.editing": "tokenmask.generation.regions",
    "tokenmask.masking.scores": "tokenmask.scores",
    "tokenmask.models.reuse": "tokenmask.sampling.reuse",
    "tokenmask.sampling.order": "tokenmask.scores.predicted",
    "tokenmask.sampling.progress": "tokenmask.scores.progress",
}
moved_modules(MOVED, since="0.2")

# Loaded on first use (PEP 562), so that `import tokenmask` stays quick and torch waits until it is needed.
_HOMES = {
    "load": "run",
    "Run": "run",
    "load_tokenizer": "run",
    "wrap": "run",
    "convert": "run",
    "show": "report",
    "Card": "sharing",
    "pull": "sharing",
    "register_tokenizer": "tokenizer",
    "TokenStream": "streams",
    "StreamSpec": "streams",
    "Layout": "layout",
    "Corpus": "corpus",
    "Recipe": "recipes",
    "Sampler": "sampling",
    "Trainer": "training",
    "Transformer": "models",
    "Masker": "masking",
    "AudioClip": "modalities.audio",
    "EegRecording": "modalities.eeg",
    "Image": "modalities.image",
    "MotionClip": "modalities.motion",
    "Text": "modalities.text",
    "VideoClip": "modalities.video",
    "Symbols": "modalities.symbols",
    "TextTokenizer": "modalities.text",
    "ImageTokenizer": "modalities.image",
    "AudioTokenizer": "modalities.audio",
    "MotionTokenizer": "modalities.motion",
    "EegTokenizer": "modalities.eeg",
    "VideoTokenizer": "modalities.video",
    "SymbolTokenizer": "modalities.symbols",
}
__all__ = ["__version__", "tokenizer", *_HOMES]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"tokenmask.{_HOMES[name]}"), name)
    if name == "tokenizer":  # a module, which is called as its open_tokenizer
        return importlib.import_module("tokenmask.tokenizer")
    raise AttributeError(f"tokenmask has no {name!r}; it has {', '.join(__all__)}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

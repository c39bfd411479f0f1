"""Runs: a folder, the object that a person uses, how it is trained and how it changes.

What opens models of others is imported when it is asked for: every command opens a run, few of them such a model.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from tokenmask.run.completing import complete
from tokenmask.run.evolving import Evolved, evolve
from tokenmask.run.folder import SHIPPED, load_tokenizer
from tokenmask.run.run import Run, load
from tokenmask.run.training import prepare, train

if TYPE_CHECKING:
    from tokenmask.run.converting import convert
    from tokenmask.run.wrapping import wrap

__all__ = [
    "SHIPPED",
    "Evolved",
    "Run",
    "complete",
    "convert",
    "evolve",
    "load",
    "load_tokenizer",
    "prepare",
    "train",
    "wrap",
]

_LATER = {"convert": "converting", "wrap": "wrapping"}


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_LATER[name]}"), name)

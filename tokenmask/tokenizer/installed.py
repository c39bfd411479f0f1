"""Installed tokenizers: which there are, and under which names.

Arrow: name --**load_tokenizer_class**--> class. Does not know: folders, any modality.
"""

from __future__ import annotations

import difflib
import importlib
from typing import TypeVar, cast

from tokenmask.tokenizer.points import entry_points
from tokenmask.tokenizer.protocol import Tokenizer

Kind = TypeVar("Kind", bound=type)
ENTRY_POINT_GROUP = "tokenmask.tokenizers"

# What ships with tokenmask; other packages join by the entry-point group above.
TOKENIZERS = {
    "text": "tokenmask.modalities.text:TextTokenizer",
    "image": "tokenmask.modalities.image:ImageTokenizer",
    "audio": "tokenmask.modalities.audio:AudioTokenizer",
    "motion": "tokenmask.modalities.motion:MotionTokenizer",
    "eeg": "tokenmask.modalities.eeg:EegTokenizer",
    "video": "tokenmask.modalities.video:VideoTokenizer",
    "symbols": "tokenmask.modalities.symbols:SymbolTokenizer",
    "codec2": "tokenmask.modalities.audio.system_codecs:Codec2Tokenizer",
    "lpcnet": "tokenmask.modalities.audio.system_codecs:LpcnetTokenizer",
    "encodec": "tokenmask.modalities.published.encodec:EncodecTokenizer",
    "dac": "tokenmask.modalities.published.dac:DacTokenizer",
    "mimi": "tokenmask.modalities.published.mimi:MimiTokenizer",
    "xcodec": "tokenmask.modalities.published.xcodec:XcodecTokenizer",
    "vqmodel": "tokenmask.modalities.published.vqmodel:VqmodelTokenizer",
    "janus": "tokenmask.modalities.published.janus:JanusTokenizer",
    "emu3": "tokenmask.modalities.published.emu3:Emu3Tokenizer",
    "cosmos": "tokenmask.modalities.published.cosmos:CosmosTokenizer",
    "chameleon": "tokenmask.modalities.published.chameleon:ChameleonTokenizer",
    "snac": "tokenmask.modalities.published.snac:SnacTokenizer",
    "wavtokenizer": "tokenmask.modalities.published.wavtokenizer:WavTokenizer",
    "t2m": "tokenmask.modalities.published.t2m:T2mTokenizer",
    "labram": "tokenmask.modalities.published.labram:LabramTokenizer",
    "neurorvq": "tokenmask.modalities.published.neurorvq:NeurorvqTokenizer",
    "fast": "tokenmask.modalities.published.fast:FastTokenizer",
    "tiktoken": "tokenmask.modalities.published.openai:TiktokenTokenizer",
}
_REGISTERED: dict[str, type] = {}  # by register_tokenizer, in this process alone


def find_tokenizers() -> dict[str, str]:
    """Where each tokenizer is, by name: "module:class". Nothing of them is imported.

    Raises:
        ValueError: an installed package claims a name that is taken.
    """
    known = {name: f"{kind.__module__}:{kind.__qualname__}" for name, kind in _REGISTERED.items()}
    return known | installed_tokenizers()


def installed_tokenizers() -> dict[str, str]:
    """:func:`find_tokenizers` without what this process has registered: what any process finds."""
    found = dict(TOKENIZERS)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if found.setdefault(point.name, point.value) != point.value:
            raise ValueError(
                f"each tokenizer needs a name of its own, but {point.name!r} is both {found[point.name]} "
                f"and {point.value}; uninstall one of the packages"
            )
    return found


def register_tokenizer(kind: Kind, name: str | None = None) -> Kind:
    """Makes a tokenizer class known in this process, as an entry point would; also a decorator.

    A class of a notebook or a script then takes part in everything that stays in memory. A run with it is saved once
    the class stands in a module that others can import.

    Args:
        kind: follows :class:`Tokenizer`.
        name: what files and recipes call it; its own ``name`` if there is one.

    Returns:
        ``kind``.

    Raises:
        TypeError: no class with the methods of a tokenizer.
        ValueError: no name, or one that an installed tokenizer has.
    """
    missing = [
        one
        for one in ("media", "spec", "encode", "encode_many", "decode", "evaluate", "save", "load")
        if not hasattr(kind, one)
    ]
    if not isinstance(kind, type) or missing:
        raise TypeError(
            f"a tokenizer class has media, spec, encode, encode_many, decode, evaluate, save and load, but {kind!r} "
            f"lacks {', '.join(missing) or 'being a class'}; see tokenmask.tokenizer.Tokenizer"
        )
    name = name or getattr(kind, "name", None)
    if not isinstance(name, str) or not name:
        raise ValueError(f"a tokenizer is registered under a name, but {kind.__name__} has none; pass name=...")
    taken = installed_tokenizers()
    if name in taken:
        raise ValueError(f"{name!r} is the name of {taken[name]}; register {kind.__name__} under another")
    _REGISTERED[name] = kind
    return kind


def check_storable(tokenizer: Tokenizer) -> None:
    """ValueError in a sentence unless another process could find the class of a tokenizer, to open what is saved."""
    kind, name = type(tokenizer), tokenizer_name(tokenizer)
    if name in installed_tokenizers():
        return
    if kind.__module__ == "__main__" or "<locals>" in kind.__qualname__:
        raise ValueError(
            f"{kind.__name__} is registered from a notebook, a script or a function ({kind.__module__}), where nothing "
            "that opens what is saved could find it; move it to a module, best of a package with an entry point of the "
            f"group {ENTRY_POINT_GROUP} (in memory it works)"
        )


def load_tokenizer_class(name: str) -> type[Tokenizer]:
    """Imports the tokenizer of a name.

    Raises:
        ValueError: no tokenizer has that name, or its package cannot be imported.
    """
    found = find_tokenizers()
    if name not in found:
        near = difflib.get_close_matches(str(name).lower(), found, 1, 0.75)
        advice = f"write {near[0]!r}, or " if near else ""
        raise ValueError(
            f"a tokenizer must be one of {', '.join(sorted(found))}, got {name!r}; {advice}install what brings it, or "
            "register its class with register_tokenizer"
        )
    if name in _REGISTERED and name not in installed_tokenizers():
        return _REGISTERED[name]
    module, _, attribute = found[name].partition(":")
    try:
        return cast(type[Tokenizer], getattr(importlib.import_module(module), attribute))
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"tokenizer {name!r} must be importable as {found[name]}, but is not ({error}); mend or uninstall what "
            "brings it"
        ) from error


def tokenizer_name(tokenizer: Tokenizer) -> str:
    """The name under which the class of a tokenizer is installed.

    Raises:
        ValueError: it is not installed under any.
    """
    kind, modality = type(tokenizer), tokenizer.spec.modality
    for name in sorted(find_tokenizers(), key=lambda name: (name != modality, name)):  # most are named so
        if load_tokenizer_class(name) is kind:
            return name
    raise ValueError(
        f"{kind.__name__} must be installed under a name of the entry-point group {ENTRY_POINT_GROUP}, but it is not; "
        "declare it in its package, or pass a folder"
    )

"""Installed tokenizers: which there are, and under which names.

Arrow: name --**load_tokenizer_class**--> class. Does not know: folders, any modality.
"""

from __future__ import annotations

import importlib
from importlib.metadata import entry_points
from typing import cast

from tokenmask.tokenizer.protocol import Tokenizer

ENTRY_POINT_GROUP = "tokenmask.tokenizers"

# What ships with tokenmask; other packages join by the entry-point group above.
TOKENIZERS = {
    "text": "tokenmask.modalities.text:TextTokenizer",
    "image": "tokenmask.modalities.image:ImageTokenizer",
    "audio": "tokenmask.modalities.audio:AudioTokenizer",
    "motion": "tokenmask.modalities.motion:MotionTokenizer",
    "eeg": "tokenmask.modalities.eeg:EegTokenizer",
    "video": "tokenmask.modalities.video:VideoTokenizer",
    "codec2": "tokenmask.modalities.audio.system_codecs:Codec2Tokenizer",
    "lpcnet": "tokenmask.modalities.audio.system_codecs:LpcnetTokenizer",
}


def find_tokenizers() -> dict[str, str]:
    """Where each tokenizer is, by name: "module:class". Nothing of them is imported.

    Raises:
        ValueError: an installed package claims a name that is taken.
    """
    found = dict(TOKENIZERS)
    for point in entry_points(group=ENTRY_POINT_GROUP):
        if found.setdefault(point.name, point.value) != point.value:
            raise ValueError(
                f"each tokenizer needs a name of its own, but {point.name!r} is both {found[point.name]} "
                f"and {point.value}; uninstall one of the packages"
            )
    return found


def load_tokenizer_class(name: str) -> type[Tokenizer]:
    """Imports the tokenizer of a name.

    Raises:
        ValueError: no tokenizer has that name, or its package cannot be imported.
    """
    found = find_tokenizers()
    if name not in found:
        raise ValueError(f"a tokenizer must be one of {', '.join(sorted(found))}, got {name!r}; install what brings it")
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

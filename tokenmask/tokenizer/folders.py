"""Tokenizer folders: their description, and what loads any of them.

Arrow: folder --**load_tokenizer**--> Tokenizer. Does not know: any modality, what else lies in a folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenmask.arguments import path_of
from tokenmask.tokenizer.installed import load_tokenizer_class
from tokenmask.tokenizer.protocol import Tokenizer

FORMAT = 1
DESCRIPTION_FILE = "tokenizer.json"


def describe(name: str, config: Mapping[str, Any], fingerprint: str, decoder: str | None = None) -> str:
    """The text of ``tokenizer.json``: which class, its configuration, and the fingerprint that must come out again.

    With a decoder that was fitted later, to codes that stay, also the fingerprint of that.
    """
    values = {"format": FORMAT, "tokenizer": name, "config": dict(config), "fingerprint": fingerprint}
    if decoder is not None:
        values["decoder"] = decoder
    return json.dumps(values, indent=2, sort_keys=True) + "\n"


def read_description(folder: str | Path, name: str | None = None) -> dict[str, Any]:
    """Reads ``tokenizer.json`` of a folder.

    Args:
        folder: a tokenizer folder.
        name: the tokenizer it must be for, or None for any.

    Raises:
        ValueError: no tokenizer folder, a damaged one, a newer format, or one of another tokenizer. TypeError: no path.
    """
    path = path_of("folder of a tokenizer", folder) / DESCRIPTION_FILE
    if not path.is_file():
        raise ValueError(f"a tokenizer folder holds {DESCRIPTION_FILE}, but {folder} does not; check the path")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        kinds = {"format": int, "tokenizer": str, "config": dict, "fingerprint": str}
        if not isinstance(values, dict) or any(not isinstance(values[key], kind) for key, kind in kinds.items()):
            raise ValueError("a field has the wrong type")
    except (KeyError, ValueError) as error:
        raise ValueError(f"{path} is damaged ({error}); copy or fit the tokenizer again") from error
    if values["format"] != FORMAT:
        raise ValueError(
            f"{path} has format {values['format']}, this tokenmask reads {FORMAT}; use the version that wrote it"
        )
    if name is not None and values["tokenizer"] != name:
        raise ValueError(
            f"{folder} must hold a tokenizer for {name}, got one for {values['tokenizer']}; see load_tokenizer"
        )
    return values


def check_free(folder: str | Path, fingerprint: str) -> None:
    """ValueError if the folder holds another tokenizer: streams made with that one would lose their decoder."""
    if (Path(folder) / DESCRIPTION_FILE).exists():
        held = read_description(folder)["fingerprint"]
        if held != fingerprint:
            raise ValueError(
                f"{folder} must be free for tokenizer {fingerprint[:16]}, but holds {held[:16]}; choose another folder"
            )


def check_decoder(folder: str | Path, stored: str | None, computed: str | None) -> None:
    """ValueError if the later decoder that was loaded, if any, is not the one that was saved."""
    if stored != computed:
        names = [f"decoder {one[:16]}" if isinstance(one, str) else "no later decoder" for one in (stored, computed)]
        raise ValueError(
            f"the tokenizer in {folder} must have {names[0]}, but its files give {names[1]}: "
            "they were changed or mixed up; copy it again"
        )


def check_fingerprint(folder: str | Path, stored: str, computed: str) -> None:
    """ValueError if what was loaded is not what was saved."""
    if stored != computed:
        raise ValueError(
            f"the tokenizer in {folder} must have fingerprint {stored[:16]}, but its files give {computed[:16]}: "
            "they were changed or mixed up; copy or fit it again"
        )


def load_tokenizer(folder: str | Path) -> Tokenizer:
    """Loads any tokenizer folder; its class is looked up by name among the installed ones, never imported by path.

    Raises:
        ValueError: no tokenizer folder, a damaged one, or one whose tokenizer is not installed. TypeError: no path.
    """
    values = read_description(folder)
    tokenizer = load_tokenizer_class(values["tokenizer"]).load(folder)
    check_fingerprint(folder, values["fingerprint"], tokenizer.spec.fingerprint)
    return tokenizer

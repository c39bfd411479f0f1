"""Opening: a tokenizer in one line, of a folder or of the files of others.

Arrow: name + source --**open_tokenizer**--> Tokenizer. Does not know: any modality, what the files hold.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, cast

from tokenmask.tokenizer.folders import load_tokenizer
from tokenmask.tokenizer.installed import load_tokenizer_class
from tokenmask.tokenizer.offers import Opens
from tokenmask.tokenizer.protocol import Tokenizer


def open_tokenizer(name: str, source: str | Path | None = None, **options: Any) -> Tokenizer:
    """A tokenizer in one line, ``tm.tokenizer("encodec", "folder-or-hub-id", levels=8)``.

    Args:
        name: of a tokenizer out of ``tokenmask info``; or all in one, as in commands, "encodec:FOLDER,levels=8".
        source: of one that :class:`Opens`, where its weights are; of others a tokenizer folder, as for
            :func:`load_tokenizer`.
        options: of its ``open``, with ``keep`` and ``download``.

    Raises:
        TypeError: no name, or a source that is no path.
        ValueError: no such tokenizer, nothing to open, or an option that it does not have.
        ImportError: a library that it needs is missing.
    """
    if not isinstance(name, str) or not isinstance(source, str | Path | None):
        raise TypeError(
            "a tokenizer is opened by its name and a folder or a name of the hub, tokenizer('encodec', 'FOLDER'), "
            f"got {name!r} and {source!r}"
        )
    if source is None and ":" in name:
        name, source, said = _parted(name)
        options = {**said, **options}
    kind = load_tokenizer_class(name)
    who = kind.__name__
    if source is None:
        raise ValueError(
            f"{who} is opened from somewhere, but no source was named; write tokenizer({name!r}, 'FOLDER')"
        )
    if not isinstance(kind, Opens):
        if options:
            raise ValueError(f"{who} is opened from its folder alone, got {', '.join(options)}; leave it out")
        return kind.load(source)
    try:
        return cast(Tokenizer, kind.open(source, **options))
    except TypeError as error:
        raise ValueError(f"{who} cannot be opened with these options ({error}); see its open") from error


def tokenizer_at(place: str | Path) -> Tokenizer:
    """The tokenizer of a folder, or of ``KIND:SOURCE`` with options behind commas: "encodec:FOLDER,levels=8".

    Raises:
        ValueError, ImportError: as of :func:`load_tokenizer` and :func:`open_tokenizer`.
    """
    name, colon, _ = str(place).partition(":")
    if not colon or not name.replace("-", "").replace("_", "").isalnum() or Path(place).exists():
        return load_tokenizer(place)
    name, source, options = _parted(str(place))
    return open_tokenizer(name, source, **options)


def _parted(place: str) -> tuple[str, str, dict[str, Any]]:
    """(name, source, options) of "encodec:FOLDER,levels=8"."""
    name, _, rest = place.partition(":")
    source, settings = cast(re.Match[str], re.fullmatch(r"(.*?)((?:,[a-z_]+=[^,]*)*)", rest, re.S)).groups()
    pairs = [setting.split("=", 1) for setting in settings.split(",")[1:]]
    return name, source, {key: _spoken(text) for key, text in pairs}


def _spoken(text: str) -> Any:
    """The value that words of a command line mean."""
    if text.lower() in ("true", "false"):
        return text.lower() == "true"
    if text.lstrip("-").isdecimal():
        return int(text)
    return float(text) if re.fullmatch(r"-?\d*\.\d+|-?\d+\.", text) else text

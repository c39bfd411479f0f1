"""Names: words NAME=VALUE, and files of codes, as several commands take them.

Does not know: what is named. Imports nothing outside the standard library, so that a command that needs no more of
them starts quickly.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SUFFIX = ".tokens"


def by_name(words: Sequence[str], what: str, form: str, *, empty: bool = False) -> dict[str, str]:
    """ "NAME=VALUE" words -> values by name, each once; ``form`` says so in the sentences."""
    found: dict[str, str] = {}
    for word in words:
        name, equals, value = word.partition("=")
        if not (name and equals and (value or empty)):
            raise ValueError(f"{what} has the form {form}, got {word!r}; write it so")
        if name in found:
            raise ValueError(f"{what} is named once, got two values for {name!r}; leave one out")
        found[name] = value
    return found


def check_new(path: Path, force: bool) -> None:
    """ValueError if the file exists and may not be overwritten."""
    if path.exists() and not force:
        raise ValueError(f"{path} exists; choose another name or add --force")

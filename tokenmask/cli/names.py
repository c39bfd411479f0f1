"""Names: words NAME=VALUE, and files of codes, as several commands take them.

Does not know: what is named. Imports nothing outside the standard library, so that a command that needs no more of
them starts quickly.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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


def check_set(words: Sequence[str], what: str, said: Mapping[str, str] | None = None) -> None:
    """ValueError for a word of --set that is no FIELD=VALUE, and for a field that is said twice.

    Args:
        words: of --set.
        what: whose fields they are.
        said: field -> option that was given and says it too.
    """
    fields: dict[str, str] = {}
    for word in words:
        name, equals, _ = word.partition("=")
        if not equals:
            raise ValueError(f"--set takes FIELD=VALUE of {what}, got {word!r}; write {word}=VALUE")
        if not name.strip():
            raise ValueError(
                f"--set takes FIELD=VALUE of {what}, got {word!r} without a field; write its name before ="
            )
        field = name.replace(".init_args", "")
        if field in fields:
            raise ValueError(f"--set says a field once, got {fields[field]} and {word}; leave one out")
        fields[field] = word
        option = next((own for one, own in (said or {}).items() if field == one or field.startswith(f"{one}.")), None)
        if option is not None:
            raise ValueError(f"{option} and --set {word} say the same; leave one out")


def check_new(path: Path, force: bool) -> None:
    """ValueError if the file exists and may not be overwritten."""
    if path.exists() and not force:
        raise ValueError(f"{path} exists; choose another name or add --force")

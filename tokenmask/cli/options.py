"""Options of a tokenizer's fit, as its own code says them.

Arrow: tokenizer class --**options_of**--> names, defaults and words. Does not know: any modality, how options are read.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import sys
import textwrap
import types
import typing
from collections.abc import Mapping
from typing import Any, NamedTuple

from tokenmask.docstrings import args_of
from tokenmask.recipes.learners import OWN


class Option(NamedTuple):
    """One option.

    Args:
        name: as ``--option NAME=VALUE`` has it.
        default: as Python writes it; "" where it follows from the others.
        about: a sentence of the docstring.
    """

    name: str
    default: str
    about: str


def options_of(kind: Any) -> list[Option]:
    """The options of ``kind.fit``, with the fields of its configuration in the place of that."""
    found: list[Option] = []
    hints, told = typing.get_type_hints(kind.fit), args_of(kind.fit.__doc__)
    behind = getattr(kind, "config_class", kind)  # whose fields may be options of `fit` themselves
    for name, one in inspect.signature(kind.fit).parameters.items():
        if name in OWN:
            continue
        config = _dataclass_of(hints.get(name))
        if config is None:
            default = "" if one.default in (one.empty, None) else repr(one.default)
            found.append(Option(name, default, _about(name, told, kind.fit.__globals__, behind)))
        else:
            found += _fields(config, name)
    return found


def _fields(config: Any, above: str) -> list[Option]:
    told, known = args_of(config.__doc__), vars(sys.modules[config.__module__])
    return [
        Option(
            f"{above}.{own.name}",
            "" if own.default in (dataclasses.MISSING, None) else repr(own.default),
            _about(own.name, told, known, config),
        )
        for own in dataclasses.fields(config)
        if own.init
    ]


def _about(name: str, told: Mapping[str, str], known: Mapping[str, Any], behind: Any) -> str:
    """What is said of an option; where that is "see CLASS", or nothing, what the class says."""
    words = told.get(name, "")
    if words and not words.startswith("see "):
        return words
    classes = [known[one] for one in re.findall(r"\w+", words) if isinstance(known.get(one), type)]
    found = (args_of(one.__doc__).get(name) for one in [*classes, behind])
    return next((one for one in found if one and not one.startswith("see ")), words)


def _dataclass_of(hint: Any) -> Any:
    """The dataclass of ``Config | None``; None for all else."""
    parts = typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,)
    return next((one for one in parts if isinstance(one, type) and dataclasses.is_dataclass(one)), None)


def as_help(options: list[Option]) -> str:
    """The options as help shows them."""
    lines = []
    for one in options:
        default = f" (default: {one.default})" if one.default else ""
        lines.append(f"  {one.name}")
        lines += textwrap.wrap(f"{one.about}{default}", 100, initial_indent=" " * 8, subsequent_indent=" " * 8)
    return "\n".join(lines)

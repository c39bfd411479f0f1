"""Wrong: what the parser of recipes says against a page, as a sentence.

Arrow: words of jsonargparse --**sentence**--> which field, what must hold, what was got, what to do. Does not know:
pages, recipes as a whole.
"""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Mapping
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from tokenmask.recipes.recipe import Recipe

_KEY = re.compile(r'Parser key "([^"]*)": ')
_CLASS = re.compile(r"Problem with given class_path '([^']*)': ")
# A part that may be left out: what is wrong with the part that is there, not that it is not nothing.
_OPTIONAL = re.compile(
    r"Does not validate against any of the Union subtypes.*?Errors: - (.*?) - Expected a <class 'None.*"
)
_KINDS = {"int": "a whole number", "float": "a number", "bool": "true or false", "str": "words"}
_KINDS |= {"tuple": "a list", "list": "a list", "collections.abc.Mapping": "a mapping", "dict": "a mapping"}
_MOST_SHOWN = 100  # letters of what was got


def sentence(error: BaseException) -> str:
    """One sentence for one error; what the parser says in a way that is not known here stays as it is."""
    text = _OPTIONAL.sub(r"\1", " ".join(str(error).split()))
    keys, classes = _KEY.findall(text), _CLASS.findall(text)
    rest = _CLASS.sub("", _KEY.sub("", text))
    place = ".".join(keys)
    if found := re.fullmatch(r"Expected an? (.*?)\. Got value: (.*)", rest):
        return f"{place} must be {_kind(found[1])}, got {_short(found[2])}; write one"
    if found := re.fullmatch(r"Not a valid subclass of (\w+)\. Got value: (.*?)( Subclass types expect .*)?", rest):
        named = f"{place}.class_path and what it takes under {place}.init_args"
        return f"{place} must be of the kind {found[1]}, got {_short(found[2])}; name its class with {named}"
    if found := re.fullmatch(r"Not a valid subclass of (\w+) Subclass types expect .*", rest):
        return f"{place} must be the fields of a {found[1]}; write {place}.FIELD: VALUE"
    if found := re.fullmatch(r"Expected a dot import path string: (.*)", rest):
        known, names = "the path of a class, package.Class", _known(place)
        if names:
            known = f"one of {', '.join(names)}, or {known}"
        return f"{place}.class_path must be {known}, got {_short(found[1])}; write one"
    if found := re.fullmatch(r"Import path (\S+) does not correspond to a subclass of (\w+)", rest):
        there = f"one of {', '.join(_known(place))}" if _known(place) else "one of that kind"
        return f"{place} must be of the kind {found[2]}, got {found[1]}; name {there} (see docs/plugs)"
    if found := re.fullmatch(r"(?:Group '([^']*)' does not accept option|Option) '([^']*)'(?: is not accepted)?", rest):
        there = found[1] or place
        named = f", a {classes[-1].rpartition('.')[2]}," if classes else ""
        return f"{there or 'a recipe'}{named} has {_fields(there, classes)}, got {found[2]!r}; name one of these"
    if found := re.search(r"argument after \*\* must be a mapping, not (\w+)", rest):
        return f"a part of a recipe must be a mapping of its fields, got {found[1]}; write FIELD: VALUE lines"
    return text


def place_of(error: BaseException) -> str:
    """The dotted field that the parser speaks of; "" where it speaks of none."""
    text = " ".join(str(error).split())
    group = re.search(r"Group '([^']*)' does not accept", text)
    return ".".join([*_KEY.findall(text), *([group[1]] if group else [])])


def _kind(text: str) -> str:
    if literal := re.fullmatch(r"typing\.Literal\[(.*)\]", text):
        return f"one of {literal[1]}"
    name = re.sub(r"<class '([^']*)'>", r"\1", text)
    return _KINDS.get(name, f"a {name}")


def _fields(place: str, classes: list[str]) -> str:
    """Names of the fields of a class, or of a part of a recipe."""
    kind: Any = Recipe
    if classes:
        module, _, name = classes[-1].rpartition(".")
        kind = getattr(importlib.import_module(module), name)
    elif place:
        kind = get_type_hints(Recipe).get(place, Recipe)
    names = list(inspect.signature(kind).parameters)
    return f"the fields {', '.join(names)}" if names else "no fields"


def _known(place: str) -> list[str]:
    """The classes of tokenmask that a field of a recipe may have, by their names; [] where it has no such kind."""
    kind: Any = Recipe
    for name in place.split("."):
        if get_origin(kind) in (Mapping, dict):  # whose keys the parser leaves out
            kind = get_args(kind)[1]
        try:
            kind = get_type_hints(kind).get(name)
        except (TypeError, NameError):
            return []
        kinds = [one for one in get_args(kind) if one is not type(None)] if isinstance(kind, UnionType) else [kind]
        if len(kinds) != 1:
            return []
        kind = kinds[0]
    if not isinstance(kind, type):
        return []
    home = importlib.import_module(kind.__module__.rpartition(".")[0])
    found = [one for one in vars(home).values() if isinstance(one, type) and issubclass(one, kind)]
    return sorted(one.__name__ for one in found if not inspect.isabstract(one))


def _short(value: str) -> str:
    return value if len(value) <= _MOST_SHOWN else f"{value[:_MOST_SHOWN]} ..."

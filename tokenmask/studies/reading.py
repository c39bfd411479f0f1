"""Reading a study: a page of YAML becomes a Study, and every key that is none is refused.

Arrow: YAML --**read_study**--> Study. Does not know: how anything is measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import yaml

from tokenmask.components import check_homes
from tokenmask.recipes.reading import PlainLoader
from tokenmask.scores.arguments import number, whole
from tokenmask.studies.study import Claim, Study, Variant, product_of

RENAMED = {"changes": "set", "name": "", "source": ""}  # field of a Study -> key of a page
SIGNS = ("lower", "higher", "alike")
_MOST_BYTES = 1 << 20
_MOST_SEEDS = 10_000


def read_study(path: str | Path) -> Study:
    """Reads a page.

    Args:
        path: of a YAML file with the fields of :class:`Study`, but for: ``set`` for what all variants share;
            ``variants`` (name -> changes), or ``axes`` (axis -> label -> changes), whose product they are; ``seeds``, a
            number of seeds or a list; and ``claims``, a list of ``{says, lower | higher | alike: variant, than: variant
            or number, figure, within}``. Changes are mappings of dotted fields ("pick.temperature") to values; those
            of a variant may say ``given``, ``asked``, ``search`` and ``metrics`` in the study's place.

    Raises:
        ValueError: no readable page, a key that is no option, a value of another kind, or a claim about no variant.
    """
    path = Path(path)
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        values = yaml.load(path.read_text(encoding="utf-8"), PlainLoader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else _one_line(error)
        raise ValueError(
            f"a study must be a readable YAML file, but {path} is not ({reason}); check the path, or begin one with "
            "`tokenmask study FILE --new RUN`"
        ) from error
    try:
        return replace(study_of(path.stem, values), source=str(path))
    except (TypeError, ValueError) as error:
        raise ValueError(f"study {path}: {_one_line(error)}") from error


def study_of(name: str, values: Any) -> Study:
    """The study that a page says; see :func:`read_study`."""
    known = [RENAMED.get(one.name, one.name) for one in fields(Study)]
    page = _mapping("a study", values, {*known, "axes"} - {""})
    check_homes(page, "a study")
    absent = [key for key in ("about", "kind", "metrics") if key not in page]
    if absent:
        raise ValueError(f"a study needs {', '.join(absent)}, got none; write the key")
    for key in ("about", "recipe", "kind", "run", "stream", "note"):
        _is(key, page.get(key, ""), str)
    if "tiny" in page:
        _is("tiny", page["tiny"], bool)
    keys = {one.name: RENAMED.get(one.name, one.name) for one in fields(Study)}
    given = {name: page[key] for name, key in keys.items() if key in page}
    seeds = page.get("seeds", 1)
    if _is_whole(seeds):
        seeds = list(range(whole("seeds", seeds, most=_MOST_SEEDS)))
    given["seeds"] = tuple(_list("seeds", seeds, int))
    given["metrics"] = tuple(_list("metrics", page["metrics"], (str, dict)))
    given["figures"] = tuple(_list("figures", page.get("figures", []), str))
    given["given"] = tuple(_list("given", page.get("given", []), str))
    given["claims"] = tuple(_claim(one) for one in _list("claims", page.get("claims", []), dict))
    given["changes"] = _changes("set", page.get("set"))
    given |= _variants(page)
    for key in ("world", "data", "asked", "search"):
        if key in page:
            _is(key, page[key], dict)
    return Study(name=name, **given)


def _variants(page: Mapping[str, Any]) -> dict[str, Any]:
    if ("variants" in page) == ("axes" in page):
        raise ValueError("a study has variants, or axes whose product they are, not both; write one of these keys")
    if "variants" in page:
        named = _mapping("variants", page["variants"])
        return {"variants": tuple(Variant(key, _changes(key, value)) for key, value in named.items()), "axes": ()}
    axes = {}
    for axis, entries in _mapping("axes", page["axes"]).items():
        labels = _mapping(f"axis {axis}", entries)
        axes[axis] = {label: _changes(f"{axis} {label}", value) for label, value in labels.items()}
    return {"variants": product_of(axes), "axes": tuple(axes)}


def _changes(name: str, values: Any) -> dict[str, Any]:
    """{"a.b": value}; nothing where there is nothing to change."""
    return {} if values is None else _mapping(f"what {name} changes", values)


def _claim(values: dict[str, Any]) -> Claim:
    page = _mapping("a claim", values, {"says", *SIGNS, "than", "figure", "within"})
    signs = [sign for sign in SIGNS if sign in page]
    if len(signs) != 1 or "says" not in page or "than" not in page:
        raise ValueError(f"a claim has says, one of {', '.join(SIGNS)}, and than, got {', '.join(page)}; write these")
    variant, than = page[signs[0]], page["than"]
    if not isinstance(than, (int, float, str)) or isinstance(than, bool):
        raise ValueError(f"than of a claim is a variant or a number, got {than!r}; write one of these")
    if not isinstance(than, str):
        number("than of a claim", than)
    within = page.get("within", 0.0)
    if (signs[0] == "alike") != ("within" in page):
        raise ValueError("within, the most difference, is of a claim with alike and of no other; write both or neither")
    figure = page.get("figure")
    within = number("within of a claim", within, least=0.0)
    return Claim(str(page["says"]), str(variant), signs[0], than, figure, within)


def _mapping(what: str, values: Any, known: set[str] | None = None) -> dict[str, Any]:
    """A mapping whose keys are words (numbers are taken as words), and options if ``known`` is given."""
    if not isinstance(values, dict):
        raise ValueError(f"{what} must be a mapping, got {values!r}; write KEY: VALUE lines")
    page = {key if isinstance(key, str) else f"{key}": value for key, value in values.items()}
    if len(page) < len(values):
        names = [str(key) for key in values]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{what} must have every key once, got {twice} twice, as a word and as a number; rename one")
    others = [] if known is None else [key for key in page if key not in known]
    if others:
        raise ValueError(f"{what} has the keys {', '.join(sorted(known or ()))}, got {', '.join(others)}; correct it")
    return page


def _list(what: str, values: Any, kind: Any) -> list[Any]:
    if not isinstance(values, list) or not all(isinstance(one, kind) and not isinstance(one, bool) for one in values):
        raise ValueError(f"{what} must be a list of its kind, got {values!r}; write it in brackets")
    return values


def _is(what: str, value: Any, kind: type) -> None:
    if not isinstance(value, kind):
        raise ValueError(f"{what} must be of type {kind.__name__}, got {value!r}; correct it")


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())

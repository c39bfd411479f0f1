"""Reading: YAML becomes a recipe, and a recipe YAML.

Arrow: YAML + command-line fields --**load_recipe**--> Recipe --**recipe_yaml**--> YAML. Does not know: how components
work.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

import yaml

from tokenmask.components import check_homes, component, names_of_its_day, plain, same
from tokenmask.recipes.earlier import classes_named, of_today
from tokenmask.recipes.merging import merge, nested, replaced, without
from tokenmask.recipes.recipe import OPEN, Recipe
from tokenmask.recipes.wrong import place_of, sentence
from tokenmask.telling import tell

FOLDER = Path(__file__).parent
_MOST_BYTES = 1 << 20  # of a YAML file


class PlainLoader(yaml.SafeLoader):  # type: ignore[misc] # yaml has no types
    """Plain values only, every key of a mapping once, and no aliases: a page of them unfolds to more than memory."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError(f"aliases such as *{self.peek_event().anchor} are not taken; write it out")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        """A mapping; of two equal keys yaml would take the second and say nothing."""
        values = super().construct_mapping(node, deep)
        if len(values) < len(node.value):
            keys = [self.construct_object(key, deep=True) for key, _ in node.value]
            twice = next((key for number, key in enumerate(keys) if key in keys[:number]), "a key")
            line = node.start_mark.line + 1
            raise yaml.YAMLError(f"a mapping that begins in line {line} has {twice} twice; leave one out")
        return values


def list_recipes() -> dict[str, Path]:
    """Name -> file of every recipe that ships."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}


def load_recipe(
    source: str | Path, *, overrides: Sequence[str] = (), tiny: bool = False, over: Path | None = None
) -> Recipe:
    """Reads a recipe.

    A recipe may name another as its ``base`` and then hold only what it changes, mapping by mapping; a component with
    a class path replaces the base's whole, and what the base's ``tiny`` says of the replaced one no longer counts.
    Over a base that has ``samplers`` a recipe that sets ``sampler`` says for each of their streams what holds there:
    null for ``sampler``, {} for the stream's own, or changes of that.

    Args:
        source: name of a recipe that ships, or path of a YAML file.
        overrides: "field.sub=value" each, for example "training.steps=500"; they change a recipe as one does its base.
        tiny: applies the recipe's ``tiny`` part first, with a warning for what of the base's no longer counts and
            the recipe's own is silent about.
        over: a further page that changes it, before the overrides do.

    Raises:
        ValueError: no such recipe, an unknown field, a value of the wrong kind, a foreign component, or a sampler
            that would be unused.
    """
    path = _find(source)
    values, lost = _page(path)
    small = values.pop("tiny", {})
    if tiny:
        if lost:
            tell(
                f"the tiny part of the base of {path} sets {', '.join(lost)} of components that {path} replaces, which "
                "is left out; say in its own tiny part what makes them small"
            )
        values = merge(values, small)
    if over is not None:
        values = merge(values, _values(over))
    before, asked = values, dict[str, Any]()
    for override in overrides:
        change = _change(override, values)
        values, asked = merge(values, change), merge(asked, change)
    _refuse_unused_sampler(before, asked, "a field that is set")
    named = str(source) if over is None else f"{source} with {over}"
    try:
        return _build(values, named)
    except ValueError as error:
        if not overrides or not _can_be_built(before, named):
            raise
        raise ValueError(f"{_blamed(overrides, error)} cannot be set: {_inner(error)}") from error


def recipe_as_written(path: Path) -> Recipe | None:
    """The recipe of a page that :func:`recipe_yaml` wrote and nobody changed since, in a tenth of the time.

    Nothing is parsed by declared types, so whoever calls this knows the page by its digest.

    Returns:
        what :func:`load_recipe` reads from it; None for a page that today's words would write otherwise. Fields that
        came later are as their classes have them.
    """
    values = _values(path)
    try:
        recipe = component(
            {"class_path": f"{Recipe.__module__}.Recipe", "init_args": values}, Recipe, Recipe.__module__
        )
        again = plain(recipe, Recipe)
    except (ValueError, TypeError, AttributeError):
        return None
    return recipe if _is_held(values, again) else None


def recipe_yaml(recipe: Recipe) -> str:
    """The resolved recipe: YAML with every field, which :func:`load_recipe` reads back to an equal recipe.

    Raises:
        ValueError: a component that no file could name, or one that would come back as another value.
    """
    values = plain(recipe, Recipe)
    text = str(yaml.safe_dump(values, sort_keys=False, width=120))
    again = _build(yaml.load(text, PlainLoader), "as it would be written")
    names = [name for name in values if not same(getattr(again, name), getattr(recipe, name))]
    if names:
        raise ValueError(
            f"a recipe must come back from its file as it was, but {', '.join(names)} would not; "
            "mend the class of what stands there"
        )
    return text


def same_recipe(one: Recipe, other: Recipe) -> bool:
    """Whether two recipes are equal: in all their values and in the classes of their components."""
    return same(one, other)


def _find(source: str | Path) -> Path:
    shipped = list_recipes()
    if str(source) in shipped:
        return shipped[str(source)]
    path = Path(source)
    if not path.is_file():
        raise ValueError(
            f"a recipe is one of {', '.join(shipped)} or the path of a YAML file, got {str(source)!r}; "
            "correct the name or the path"
        )
    return path


def _page(path: Path) -> tuple[dict[str, Any], list[str]]:
    """The fields of a file over those of its base, with the tiny parts of both, and what of the base's is lost."""
    values = _values(path)
    base, under, lost = values.pop("base", None), dict[str, Any](), list[str]()
    if base is not None:
        shipped = list_recipes()
        if base not in shipped or shipped[base] == path:
            raise ValueError(
                f"base of {path} must name another recipe that ships ({', '.join(shipped)}), got {base!r}; "
                "name one of these or leave base out"
            )
        under, lost = _page(shipped[base])
    small, own = under.pop("tiny", {}), values.pop("tiny", {})
    if not isinstance(own, dict):
        raise ValueError(f"tiny of a recipe must be a mapping of fields, got {own!r} in {path}; leave it out")
    values = of_today(values, under, str(path))
    _refuse_unused_sampler(under, values, str(path))
    for place in replaced(under, values):
        small, gone = without(small, place)
        lost += [] if without(own, place)[0] != own else gone
    values = merge(under, values)
    return {**values, "tiny": merge(small, of_today(own, values, f"the tiny part of {path}"))}, lost


def _values(path: Path) -> dict[str, Any]:
    """The mapping that a YAML file holds."""
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise ValueError(f"it has more than {_MOST_BYTES} bytes")
        values = yaml.load(path.read_text(encoding="utf-8"), PlainLoader)
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise ValueError(f"a recipe must be a readable YAML file, but {path} is not: {_one_line(error)}") from error
    if not isinstance(values, dict):
        raise ValueError(
            f"a recipe must be a YAML mapping of fields, got {type(values).__name__} in {path}; "
            "write FIELD: VALUE lines"
        )
    return values


def _is_held(values: Any, again: Any) -> bool:
    """Whether all that a page says stands in another as well; 2 is not 2.0."""
    if isinstance(values, dict) and isinstance(again, dict):
        return all(name in again and _is_held(value, again[name]) for name, value in values.items())
    if isinstance(values, list) and isinstance(again, list):
        return len(values) == len(again) and all(map(_is_held, values, again))
    return type(values) is type(again) and bool(values == again)


def _change(override: str, under: Mapping[str, Any]) -> dict[str, Any]:
    """What "field.sub=value" says, as a page would."""
    name, equals, text = override.partition("=")
    if not (name and equals):
        raise ValueError(f"a recipe field is set with field.sub=value, got {override!r}; write both sides of the sign")
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(
            f"the value of a recipe field must be YAML, got {override!r}; put quotes around words with special signs"
        ) from error
    return of_today(nested(name.split("."), value), under, f"the field {override}")


def _refuse_unused_sampler(under: Mapping[str, Any], changes: Mapping[str, Any], source: str) -> None:
    """ValueError if ``sampler`` is changed under streams that have samplers of their own and are not spoken of."""
    held, said = under.get("samplers") or {}, changes.get("samplers") or {}
    unused = [name for name in held if name not in said]
    if "sampler" in changes and unused:
        raise ValueError(
            f"sampler is what fills streams without a sampler of their own, but {source} changes it where "
            f"{', '.join(unused)} have one; add samplers.{unused[0]}=null to fill that stream by it too, or "
            f"samplers.{unused[0]}={{}} to leave the stream its own"
        )


def _build(values: dict[str, Any], source: str) -> Recipe:
    from jsonargparse import ArgumentParser, set_parsing_settings

    set_parsing_settings(subclasses_enabled=list(OPEN))
    check_homes(values, f"recipe {source!r}")
    values = classes_named(values)
    if isinstance(values.get("samplers"), Mapping):  # null: as if the stream had none
        values["samplers"] = {name: value for name, value in values["samplers"].items() if value is not None}
    parser = ArgumentParser(exit_on_error=False)
    parser.add_class_arguments(Recipe)
    try:
        # With defaults, arguments that a class leaves out would be those of the default's class.
        with names_of_its_day():
            recipe = Recipe(**vars(parser.instantiate(parser.parse_object(values, defaults=False))))
        _refuse_none(recipe)
    except Exception as error:  # jsonargparse raises many kinds; all mean that the text is no recipe
        raise ValueError(
            f"recipe {source!r} must hold only known fields of the right kind: {sentence(error)}"
        ) from error
    return recipe


def _can_be_built(values: dict[str, Any], source: str) -> bool:
    try:
        _build(values, source)
    except ValueError:
        return False
    return True


def _inner(error: ValueError) -> str:
    return str(error) if error.__cause__ is None else sentence(error.__cause__)


def _blamed(overrides: Sequence[str], error: ValueError) -> str:
    """Those of the fields that were set which an error of the parser speaks of; all where it names none of them."""
    place = "" if error.__cause__ is None else place_of(error.__cause__)
    within = place.split(".")
    found = [one for one in overrides if place and _speaks_of(one, within)] or list(overrides)
    return ", ".join(found)


def _speaks_of(override: str, within: Sequence[str]) -> bool:
    """Whether a place as the parser has it, without ``init_args`` and keys of mappings, lies in that of a field."""
    names = override.partition("=")[0].split(".")
    return set(within) <= set(names) or names == list(within[: len(names)])


def _refuse_none(value: Any) -> None:
    """TypeError for a part that is null where nothing may be; a parser takes null for any class."""
    hints = get_type_hints(type(value))
    for one in fields(value):
        held = getattr(value, one.name)
        if held is None and type(None) not in get_args(hints[one.name]):
            raise TypeError(f"{type(value).__name__}.{one.name} must not be null; leave it out, or name a class")
        if is_dataclass(held) and not isinstance(held, type):
            _refuse_none(held)


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())

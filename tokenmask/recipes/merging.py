"""Merging: what one page of a recipe changes of another, and what is left of the other's ``tiny`` part.

Arrow: fields, changes --**merge**--> fields. Does not know: files, what a field means.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Path = tuple[str, ...]  # names of fields, without the init_args between them


def merge(values: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """``changes`` over ``values``, mapping by mapping; another class path replaces the whole component.

    A stream that gets another tokenizer loses the ``fit`` options of the one that it had.
    """
    merged = dict(values)
    if "tokenizer" in merged and changes.get("tokenizer", merged["tokenizer"]) != merged["tokenizer"]:
        merged.pop("fit", None)
    for key, change in changes.items():
        old = merged.get(key)
        if not (isinstance(old, Mapping) and isinstance(change, Mapping)):
            merged[key] = change
        elif "class_path" not in old:
            merged[key] = change if "class_path" in change else merge(old, change)
        elif "class_path" not in change:  # fields of the component that stands there
            merged[key] = merge(old, change if "init_args" in change else {"init_args": change})
        else:
            merged[key] = merge(old, change) if change["class_path"] == old["class_path"] else change
    return merged


def nested(names: list[str], value: Any) -> dict[str, Any]:
    """``a.b`` and a value as the mapping {a: {b: value}}."""
    return {names[0]: nested(names[1:], value) if len(names) > 1 else value}


def replaced(values: Mapping[str, Any], changes: Mapping[str, Any]) -> Iterator[Path]:
    """Where :func:`merge` puts another component in the place of a whole one, or nothing."""
    for key, change in changes.items():
        old = values.get(key, {})
        if not isinstance(old, Mapping):
            continue
        if change is None or (isinstance(change, Mapping) and change.get("class_path", "") not in _class_of(old)):
            yield (key,)
        elif isinstance(change, Mapping):
            yield from ((key, *further) for further in replaced(fields_of(old), fields_of(change)))


def without(values: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], list[str]]:
    """``values`` without the field at a path, and the names of what stood there ("model.width")."""
    name, *further = path
    if name not in values:
        return dict(values), []
    inner = values[name]
    if not further or not isinstance(inner, Mapping):
        left = {key: item for key, item in values.items() if key != name}
        return left, [f"{name}.{key}" for key in fields_of(inner)] if isinstance(inner, Mapping) else [name]
    smaller, lost = without(fields_of(inner), tuple(further))
    whole = {**inner, "init_args": smaller} if "init_args" in inner else smaller
    return {**values, name: whole}, [f"{name}.{one}" for one in lost]


def fields_of(values: Mapping[str, Any]) -> Mapping[str, Any]:
    """The fields of a component, with its class path beside them or not."""
    inner = values.get("init_args", {}) if "class_path" in values or "init_args" in values else values
    return inner if isinstance(inner, Mapping) else {}


def _class_of(old: Mapping[str, Any]) -> tuple[str, ...]:
    """What a change may name and still be one of this component: its class, or none."""
    return ("", old["class_path"]) if "class_path" in old else ("",)

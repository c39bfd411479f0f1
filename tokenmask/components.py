"""Components: values that a file can name, ours and others', written and read in one way.

Arrow: value --**plain**--> mappings, lists and numbers, and back by **component**. Does not know: what it does.
A component is written as its class path and the arguments that make it again::

    {"class_path": "tokenmask.masking.FixedRate", "init_args": {"share": 0.3, "per": "sample"}}

Whether the class path stands there follows from the declared type of the field alone: it is left out where a field is
declared with the very class of its value. So what is written never depends on what else was imported.

A file may name classes of tokenmask and of installed packages that say so, since a class path runs an import::

    [project.entry-points."tokenmask.components"]
    mine = "my_package"
"""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from importlib.metadata import entry_points
from typing import Any, TypeVar

from tokenmask.tokenizer import find_tokenizers

COMPONENT_GROUP = "tokenmask.components"  # the value of an entry point is a module, or module:class
Component = TypeVar("Component")


def homes() -> set[str]:
    """The packages whose components a file may name: tokenmask, and those of the entry points."""
    paths = [*find_tokenizers().values(), *(point.value for point in entry_points(group=COMPONENT_GROUP))]
    return {"tokenmask"} | {_package(path) for path in paths}


def class_path(kind: type) -> str:
    """The path under which a file names a class: of the package that hands it on, else of its module.

    Raises:
        ValueError: no file could name it: it was made in a notebook, a script or a function, or in a package
            that is not installed with an entry point of the group ``tokenmask.components``.
    """
    module, name = kind.__module__, kind.__qualname__
    if not (_package(module) == "tokenmask" or _package(module) in homes()):
        raise ValueError(
            f"{name} must be of tokenmask or of an installed package with an entry point of the group "
            f"{COMPONENT_GROUP} to be named in a file, but it is of {module}; move it there (in memory it works)"
        )
    if getattr(importlib.import_module(module), name, None) is not kind:
        raise ValueError(
            f"{name} must stand in its module {module} under its own name to be named in a file, but it does not; "
            "move it to the top of the module"
        )
    above = module.rpartition(".")[0]
    public = above if above and getattr(importlib.import_module(above), name, None) is kind else module
    return f"{public}.{name}"


def plain(value: Any, declared: Any = Any) -> Any:
    """A value as mappings, lists, words and numbers.

    Args:
        value: a component, or what its fields hold.
        declared: the type of the field in which it stands.

    Raises:
        ValueError: a component that no file could name, or a value that no file could hold.
    """
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, Mapping):
        inner = _inside(declared, Mapping, 1)
        return {key: plain(item, inner) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        inner = _inside(declared, Sequence, 0)
        return [plain(item, inner) for item in value]
    kind = type(value)
    options = _alternatives(declared)
    fields = {name: plain(getattr(value, name), hint) for name, hint in _arguments(kind, value).items()}
    if kind in options and sum(dataclasses.is_dataclass(option) for option in options) == 1:
        return fields
    return {"class_path": class_path(kind), "init_args": fields}


def component(values: Any, base: type[Component], home: str) -> Component:
    """The component that :func:`plain` wrote; lists become tuples, as frozen components hold them.

    Args:
        values: {"class_path": ..., "init_args": {...}}, or as formats before this one had it, {"name": ..., ...} with
            a class of ``home`` and its arguments beside it.
        base: what it must be.
        home: module of the classes that are named without a path.

    Raises:
        ValueError: no such class, one of another kind, one of a package that files may not name, or wrong arguments.
    """
    if not isinstance(values, Mapping) or not ("class_path" in values or "name" in values):
        raise ValueError(f"a {base.__name__} is named by its class_path, got {values!r}")
    if "class_path" in values:
        path, arguments = values["class_path"], values.get("init_args", {})
    else:
        path, arguments = f"{home}.{values['name']}", {key: item for key, item in values.items() if key != "name"}
    check_homes({"class_path": path}, f"a {base.__name__}")
    module, _, name = path.rpartition(".")
    try:
        kind = getattr(importlib.import_module(module or home), name, None)
    except ImportError as error:
        raise ValueError(f"{path} can't be imported ({error}); install the package that brings it") from error
    if not (isinstance(kind, type) and issubclass(kind, base)):
        raise ValueError(f"{path} must be a {base.__name__}, but is not; install the version that has it")
    try:
        return kind(**{name: _read(item, home) for name, item in arguments.items()})
    except (TypeError, AttributeError) as error:
        raise ValueError(f"{path} must be made with its own arguments, got {arguments!r} ({error})") from error


def check_homes(values: Any, source: str) -> None:
    """ValueError if a class path anywhere in ``values`` is not of tokenmask or of a package that declares components.

    Args:
        values: mappings and lists.
        source: what holds them, for the sentence.
    """
    _refuse_outside(values, source, homes())


def _refuse_outside(values: Any, source: str, known: set[str]) -> None:
    if isinstance(values, Mapping):
        name = values.get("class_path")
        if name is not None and (not isinstance(name, str) or ("." in name and _package(name) not in known)):
            raise ValueError(
                f"{source} may name components of {', '.join(sorted(known))} only, got {name!r}; a package declares "
                f"its own with an entry point of the group {COMPONENT_GROUP}"
            )
        values = list(values.values())
    if isinstance(values, list):
        for value in values:
            _refuse_outside(value, source, known)


def _package(path: str) -> str:
    return path.partition(":")[0].partition(".")[0]


def _read(value: Any, home: str) -> Any:
    if isinstance(value, Mapping) and "class_path" in value:
        return component(value, object, home)
    if isinstance(value, list):
        return tuple(_read(item, home) for item in value)
    return value


def _arguments(kind: type, value: Any) -> dict[str, Any]:
    """The arguments that make a component again -> their declared types; each is an attribute of the same name."""
    made: Any = getattr(kind, "__init__")  # noqa: B009 (mypy takes it for that of an instance)
    try:
        hints = typing.get_type_hints(kind if dataclasses.is_dataclass(kind) else made)
    except NameError:  # a type that is known to type checkers alone
        hints = {}
    if dataclasses.is_dataclass(kind):
        names = [field.name for field in dataclasses.fields(kind) if field.init]
    else:
        wanted = inspect.signature(kind).parameters.values() if made is not object.__init__ else ()
        names = [each.name for each in wanted if each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
        lost = [name for name in names if not hasattr(value, name)]
        if lost or kind.__module__ in ("builtins", "torch", "numpy"):
            raise ValueError(
                f"{kind.__name__} must be a dataclass, or keep its arguments as attributes, to be written to a file, "
                f"but {', '.join(lost) or repr(value)[:60]} could not be read back"
            )
    return {name: hints.get(name, Any) for name in names}


def _alternatives(declared: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type, without what its brackets hold."""
    if typing.get_origin(declared) in (typing.Union, types.UnionType):
        return typing.get_args(declared)
    return (declared,)


def _inside(declared: Any, kind: type, place: int) -> Any:
    """The type of the items of a declared mapping or sequence."""
    for option in _alternatives(declared):
        origin = typing.get_origin(option)
        if isinstance(origin, type) and issubclass(origin, kind):
            return typing.get_args(option)[place]
    return Any

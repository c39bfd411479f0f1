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
import enum
import importlib
import inspect
import numbers
import types
import typing
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from tokenmask.tokenizer import installed_tokenizers
from tokenmask.tokenizer.points import entry_points

COMPONENT_GROUP = "tokenmask.components"  # the value of an entry point is a module, or module:class
Component = TypeVar("Component")


def homes() -> set[str]:
    """The packages whose components a file may name: tokenmask, and those of the entry points."""
    paths = [*installed_tokenizers().values(), *(point.value for point in entry_points(group=COMPONENT_GROUP))]
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
    if value is None or type(value) in (bool, int, float, str):
        return value
    kinds: tuple[tuple[Any, type], ...] = ((int, numbers.Integral), (float, numbers.Real), (str, str))
    for kind, base in kinds:  # numpy's among them
        if isinstance(value, base) and not isinstance(value, enum.Enum):
            return kind(value)
    if isinstance(value, Mapping):
        odd = next((key for key in value if not isinstance(key, str)), None)
        if odd is not None:  # JSON would make a word of it
            raise ValueError(f"a file holds mappings whose keys are words, got the key {odd!r}; write it as a word")
        inner = _inside(declared, Mapping, 1)
        return {key: plain(item, inner) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        inner = _inside(declared, Sequence, 0)
        return [plain(item, inner) for item in value]
    kind = type(value)
    if kind.__module__ in ("builtins", "torch", "numpy", "pathlib") or isinstance(value, enum.Enum):
        found = f"{kind.__name__} {value!r}"[:80]
        raise ValueError(f"a file holds words, numbers, lists, mappings and components, got {found}; write it as one")
    arguments = _arguments(kind)
    lost = [name for name in arguments if not hasattr(value, name)]
    if lost:
        raise ValueError(
            f"{kind.__name__} must be a dataclass, or keep its arguments as attributes, to be written to a file, "
            f"but {', '.join(lost)} could not be read back; "
            "keep each under its own name"
        )
    fields = {name: plain(getattr(value, name), hint) for name, hint in arguments.items()}
    if _only_dataclass(declared) is kind:
        return fields
    return {"class_path": class_path(kind), "init_args": fields}


def named(value: Any, base: type[Component], home: str) -> Any:
    """What :func:`plain` gives, once it is sure that :func:`component` makes an equal value of it.

    Raises:
        ValueError: a component that no file could name, or that would come back as another value.
    """
    values = plain(value)
    if not same(value, component(values, base, home)):
        raise ValueError(f"a component must come back from a file as it was, but {value!r} would not; mend its class")
    return values


def same(one: Any, other: Any) -> bool:
    """Whether two values are equal in all that a file could hold, classes included; lists and tuples count as one."""
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(same(item, other[key]) for key, item in one.items())
    if one is None or isinstance(one, (numbers.Number, str)):
        return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)
    return type(one) is type(other) and all(
        same(getattr(one, name), getattr(other, name)) for name in _arguments(type(one))
    )


def component(values: Any, base: type[Component], home: str) -> Component:
    """The component that :func:`plain` wrote; lists become tuples unless their field is declared as a list.

    Args:
        values: {"class_path": ..., "init_args": {...}}, or as formats before this one had it, {"name": ..., ...} with
            a class of ``home`` and its arguments beside it.
        base: what it must be.
        home: module of the classes that are named without a path.

    Raises:
        ValueError: no such class, one of another kind, one of a package that files may not name, or wrong arguments.
    """
    if not isinstance(values, Mapping) or not ("class_path" in values or "name" in values):
        raise ValueError(
            f"a {base.__name__} is named by its class_path, got {values!r}; "
            "write class_path: package.Class, and init_args with its arguments"
        )
    if "class_path" in values:
        path, arguments = values["class_path"], values.get("init_args", {})
        others = [str(key) for key in values if key not in ("class_path", "init_args")]
        if others:
            raise ValueError(
                f"beside class_path a {base.__name__} has init_args only, got {', '.join(others)}; move it there"
            )
    else:
        path, arguments = f"{home}.{values['name']}", {key: item for key, item in values.items() if key != "name"}
    check_homes({"class_path": path}, f"a {base.__name__}")
    module, _, name = path.rpartition(".")
    try:
        with names_of_its_day():
            place = importlib.import_module(module or home)
            kind = getattr(place, name, None)
    except ImportError as error:
        raise ValueError(f"{path} can't be imported ({error}); install the package that brings it") from error
    if not (isinstance(kind, type) and issubclass(kind, base) and _package(kind.__module__) in homes()):
        found = "no such name there" if kind is None else "another thing"
        there = [one for one, value in vars(place).items() if _is_made_of(value, base) and not one.startswith("_")]
        advice = f"take one of {', '.join(sorted(there))}" if there else "install the version that has it"
        raise ValueError(f"{path} must be a {base.__name__}, got {found}; {advice}")
    return _made(kind, arguments, home)


def _is_made_of(value: Any, base: type) -> bool:
    return isinstance(value, type) and issubclass(value, base) and not inspect.isabstract(value)


@contextmanager
def names_of_its_day() -> Iterator[None]:
    """Around the reading of a file: it may say things in the words of its day, without a warning."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


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
                f"{source} may name components of {', '.join(sorted(known))} only, got {name!r}; install the package "
                f"that brings it and declares it with an entry point of the group {COMPONENT_GROUP}"
            )
        values = list(values.values())
    if isinstance(values, list):
        for value in values:
            _refuse_outside(value, source, known)


def _package(path: str) -> str:
    return path.partition(":")[0].partition(".")[0]


def _made(kind: type[Component], arguments: Mapping[str, Any], home: str) -> Component:
    try:
        hints = _arguments(kind)
        return kind(**{name: _read(item, hints.get(name, Any), home) for name, item in arguments.items()})
    except (TypeError, AttributeError) as error:
        raise ValueError(
            f"{kind.__name__} must be made with its own arguments, got {arguments!r} ({error}); "
            "correct their names or kinds"
        ) from error


def _read(value: Any, declared: Any, home: str) -> Any:
    """The value that stands in a field of a declared type."""
    if isinstance(value, Mapping):
        if "class_path" in value:
            return component(value, object, home)
        if only := _only_dataclass(declared):
            return _made(only, value, home)
        inner = _inside(declared, Mapping, 1)
        return {key: _read(item, inner, home) for key, item in value.items()}
    if isinstance(value, list):
        inner = _inside(declared, Sequence, 0)
        items = [_read(item, inner, home) for item in value]
        wanted = any(option is list or typing.get_origin(option) is list for option in _alternatives(declared))
        return items if wanted else tuple(items)
    return value


def _arguments(kind: type) -> dict[str, Any]:
    """The arguments that make a component -> their declared types; each is an attribute of the same name."""
    owner = next(base for base in kind.__mro__ if "__init__" in vars(base))  # of whom the constructor is
    made: Any = vars(owner)["__init__"]
    own = vars(owner).get("__dataclass_params__")
    try:
        hints = typing.get_type_hints(owner if own and own.init else made)
    except (NameError, TypeError, AttributeError):  # a type that is known to type checkers alone; a slot of C
        hints = {}
    if own and own.init:
        names = [field.name for field in dataclasses.fields(owner) if field.init]
        once = [name for name in list(inspect.signature(made).parameters)[1:] if name not in names]
        if once:
            raise ValueError(f"{kind.__name__} must keep {', '.join(once)} to be written to a file; make it a field")
    else:
        wanted = list(inspect.signature(made).parameters.values())[1:] if owner is not object else []
        loose = [str(each) for each in wanted if each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
        if loose:
            raise ValueError(
                f"{kind.__name__} must name each of its arguments to be written to a file, but it takes "
                f"{', '.join(loose)}; give each a name, or write it as a dataclass"
            )
        names = [each.name for each in wanted]
    return {name: hints.get(name, Any) for name in names}


def _only_dataclass(declared: Any) -> type | None:
    """The dataclass that a field is declared with, if it is one and no other: its class path need not be written."""
    found = [option for option in _alternatives(declared) if dataclasses.is_dataclass(option)]
    return found[0] if len(found) == 1 and isinstance(found[0], type) else None


def _alternatives(declared: Any) -> tuple[Any, ...]:
    """The types of a union, or the one type, without what its brackets hold."""
    if typing.get_origin(declared) in (typing.Union, types.UnionType):
        return typing.get_args(declared)
    return (declared,)


def _inside(declared: Any, kind: type, place: int) -> Any:
    """The type of the items of a declared mapping or sequence."""
    for option in _alternatives(declared):
        origin = typing.get_origin(option)
        inner = typing.get_args(option)
        if isinstance(origin, type) and issubclass(origin, kind) and len(inner) > place:
            return inner[place]
    return Any

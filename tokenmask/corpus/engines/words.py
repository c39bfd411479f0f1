"""Words: media, and what loads them, as words and bytes for another process, in place of a pickle.

Arrow: value --**to_bytes**--> bytes --**from_bytes**--> an equal value elsewhere. Does not know: items, engines,
media. Values are JSON, and bytes of tensors behind it. Classes and functions are said by name and must be found under
it on both sides; reading imports their modules and makes dataclasses by their own arguments, and calls nothing else.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import importlib
import json
import types
from pathlib import Path
from typing import Any

import numpy as np
import torch

_SIZE = 8  # bytes of the length of the JSON, in front of it


def to_bytes(value: Any) -> bytes:
    """A value as bytes.

    Args:
        value: words, numbers, bytes, paths, tensors, arrays of numbers; lists, tuples, dicts, enums and dataclasses of
            these; classes and functions that are found by name, methods of any of these, and ``functools.partial``.

    Raises:
        ValueError: anything else.
    """
    blobs: list[bytes] = []
    said = json.dumps({"value": _said(value, blobs), "sizes": [len(blob) for blob in blobs]}).encode()
    return b"".join([len(said).to_bytes(_SIZE, "little"), said, *blobs])


def from_bytes(data: bytes) -> Any:
    """What :func:`to_bytes` was given, with memory of its own.

    Raises:
        ValueError: a name that is not found here, or other bytes.
    """
    end = _SIZE + int.from_bytes(data[:_SIZE], "little")
    about, blobs = json.loads(data[_SIZE:end]), []
    for size in about["sizes"]:
        blobs.append(data[end : end + size])
        end += size
    return _read(about["value"], blobs)


def _said(value: Any, blobs: list[bytes]) -> Any:
    """JSON for a value; one of a kind that JSON lacks is [kind, ...]."""
    if value is None or type(value) in (bool, int, float, str):
        return value

    def inner(one: Any) -> Any:
        return _said(one, blobs)

    def blob(data: bytes) -> int:
        blobs.append(data)
        return len(blobs) - 1

    if type(value) is bytes:
        return ["bytes", blob(value)]
    if isinstance(value, Path):
        return ["path", str(value)]
    if type(value) in (list, tuple):
        return [type(value).__name__, *map(inner, value)]
    if isinstance(value, dict):
        return ["dict", *([inner(key), inner(item)] for key, item in value.items())]
    if isinstance(value, torch.Tensor) and value.layout == torch.strided and not value.is_quantized:
        flat = value.detach().cpu().contiguous().view(-1).view(torch.uint8) if value.numel() else value.new_empty(0)
        return ["tensor", str(value.dtype).removeprefix("torch."), list(value.shape), blob(flat.numpy().tobytes())]
    if isinstance(value, np.ndarray | np.generic) and value.dtype.kind in "biufc":
        kind = "array" if isinstance(value, np.ndarray) else "number"
        return [kind, value.dtype.str, list(value.shape), blob(np.ascontiguousarray(value).tobytes())]
    if isinstance(value, enum.Enum):
        return ["enum", _name(type(value)), value.name]
    if isinstance(value, functools.partial):
        return ["partial", inner(value.func), inner(value.args), inner(value.keywords)]
    if isinstance(value, types.MethodType):
        return ["method", inner(value.__self__), value.__name__]
    if isinstance(value, type | types.FunctionType | types.BuiltinFunctionType):
        return ["name", _name(value)]
    if dataclasses.is_dataclass(value) or hasattr(value, "_fields"):
        parts = [[[name, inner(getattr(value, name))] for name in names] for names in _parts(type(value))]
        return ["made", _name(type(value)), *parts]
    raise _refused(f"{type(value).__name__} {value!r}"[:80])


def _read(said: Any, blobs: list[bytes]) -> Any:
    if not isinstance(said, list):
        return said
    kind, *rest = said
    if kind in ("list", "tuple"):
        items = [_read(one, blobs) for one in rest]
        return items if kind == "list" else tuple(items)
    if kind == "dict":
        return {_read(key, blobs): _read(item, blobs) for key, item in rest}
    if kind == "bytes":
        return blobs[rest[0]]
    if kind == "path":
        return Path(rest[0])
    if kind == "tensor":
        name, shape, place = rest
        held = torch.frombuffer(bytearray(blobs[place]), dtype=torch.uint8) if blobs[place] else torch.empty(0)
        dtype = getattr(torch, name)
        return held.view(dtype).view(shape) if held.numel() else torch.empty(shape, dtype=dtype)
    if kind in ("array", "number"):
        name, shape, place = rest
        array = np.frombuffer(blobs[place], np.dtype(name)).reshape(shape).copy()
        return array if kind == "array" else array[()]
    if kind == "enum":
        return _found(rest[0])[rest[1]]
    if kind == "partial":
        function, arguments, keywords = (_read(one, blobs) for one in rest)
        return functools.partial(function, *arguments, **keywords)
    if kind == "method":
        return getattr(_read(rest[0], blobs), rest[1])
    if kind == "name":
        return _found(rest[0])
    if kind == "made":
        arguments, others = ({name: _read(item, blobs) for name, item in part} for part in rest[1:])
        made = _found(rest[0])(**arguments)
        for name, value in others.items():
            object.__setattr__(made, name, value)
        return made
    raise ValueError(f"bytes of another process must be said as tokenmask does, got {kind!r}; install the same version")


def _parts(kind: type) -> tuple[list[str], list[str]]:
    """The arguments that make a dataclass or a named tuple anew, and fields that are set besides."""
    if not dataclasses.is_dataclass(kind):
        return list(kind._fields), []  # type: ignore[attr-defined]
    fields = dataclasses.fields(kind)
    return [one.name for one in fields if one.init], [one.name for one in fields if not one.init]


def _name(value: Any) -> str:
    """module:name of a class or a function, under which it is found."""
    module, name = getattr(value, "__module__", None), getattr(value, "__qualname__", "")
    path = f"{module}:{name}"
    try:
        found = None if module is None else _found(path)
    except ValueError:
        found = None
    if found is not value:
        raise _refused(f"{name or repr(value)}, which is not found as {path}")
    return path


def _found(path: str) -> Any:
    module, _, name = path.partition(":")
    try:
        return functools.reduce(getattr, name.split("."), importlib.import_module(module))
    except (ImportError, AttributeError) as error:
        raise ValueError(
            f"a worker must find {name} in {module}, but does not ({error}); install the same packages everywhere"
        ) from error


def _refused(what: str) -> ValueError:
    return ValueError(
        "media for several workers must be said in words: media objects, or functions that are found by name, of "
        f"numbers, words, paths and tensors, but got {what}; use such, or 1 worker"
    )

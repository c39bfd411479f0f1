"""Arguments: what a user gives, refused in one sentence that names it.

Arrow: name and value --> the value, or TypeError for another type, ValueError for a value that is none of those asked
for. Does not know: what is done with them.
"""

from __future__ import annotations

import math
import os
from numbers import Integral, Real
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

MOST = (1 << 63) - 1
_LONGEST = 80  # letters of a value in a sentence


def whole(name: str, value: Any, least: int = 1, most: int = MOST) -> int:
    """A whole number in ``least..most``.

    Raises:
        TypeError: another type; a truth value too.
        ValueError: outside.
    """
    if isinstance(value, bool) or not isinstance(value, Integral):
        raise TypeError(f"{name} must be a whole number, got {value!r}; write an int")
    if not least <= int(value) <= most:
        bounds = f"at least {least}" if most == MOST and int(value) < least else f"in {least}..{most}"
        raise ValueError(f"{name} must be {bounds}, got {value}; choose another number")
    return int(value)


def number(name: str, value: Any, least: float = -math.inf, most: float = math.inf) -> float:
    """A finite number in ``least..most``.

    Raises:
        TypeError: another type; a truth value too.
        ValueError: outside, infinite or NaN.
    """
    _check_real(name, value)
    if not (math.isfinite(value) and least <= float(value) <= most):
        bounds = "finite"
        if least > -math.inf:
            bounds = f"finite and at least {least:g}" if most == math.inf else f"in {least:g}..{most:g}"
        raise ValueError(f"{name} must be {bounds}, got {value}; choose another number")
    return float(value)


def moment(name: str, value: Any) -> float:
    """A place in time: any number but NaN; infinity is before or behind everything.

    Raises:
        TypeError: another type; a truth value too.
        ValueError: NaN.
    """
    _check_real(name, value)
    if math.isnan(value):
        raise ValueError(f"{name} must be a number, got nan; choose another one")
    return float(value)


def above_zero(name: str, value: Any) -> float:
    """A finite number above 0: a rate, a scale.

    Raises:
        TypeError: another type; a truth value too.
        ValueError: 0 or below, infinite or NaN.
    """
    _check_real(name, value)
    if not 0 < value < math.inf:
        raise ValueError(f"{name} must be positive, got {value}; write a finite number above 0")
    return float(value)


def _check_real(name: str, value: Any) -> None:
    if isinstance(value, Integral) and abs(int(value)) > MOST:
        raise ValueError(f"{name} must fit into 64 bits, got {_short(value)}; choose another number")
    if type(value) is not float and (isinstance(value, bool) or not isinstance(value, Real)):
        raise TypeError(f"{name} must be a number, got {value!r}; write a float")


def string(name: str, value: Any) -> str:
    """A string.

    Raises:
        TypeError: anything else.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a string, got {_short(value)}; write one in quotes")
    return value


def names(name: str, value: Any) -> tuple[str, ...]:
    """Strings of a list, tuple or the like; a string alone is none of them, though it has letters.

    Raises:
        TypeError: no list, or an entry that is no string.
    """
    if isinstance(value, str):
        raise TypeError(f"{name} must be a list of names, got {value!r}; write [{value!r}]")
    try:
        if isinstance(value, bytes):
            raise TypeError
        found = tuple(value)
    except TypeError:  # a tensor of no axes says that it can be iterated
        said = f"got {_short(value)}; write each in quotes between [ and ]"
        raise TypeError(f"{name} must be a list of names, {said}") from None
    for one in found:
        if not isinstance(one, str):
            raise TypeError(f"each of {name} must be a name, got {_short(one)}; write it in quotes")
    return found


def path_of(name: str, value: Any) -> Path:
    """The path that a string or an ``os.PathLike`` says.

    Raises:
        TypeError: anything else; bytes too.
    """
    if isinstance(value, str | os.PathLike):
        return Path(value)
    raise TypeError(f"{name} must be a string or a Path, got {_short(value)}; write its name in quotes")


def tensor_of(name: str, value: Any) -> Tensor:
    """A tensor as it is, of a NumPy array a copy of the same dtype.

    Raises:
        TypeError: a list or anything else, or an array of a dtype that torch does not have.
    """
    if isinstance(value, Tensor):
        return value
    if not isinstance(value, np.ndarray):
        got = "None" if value is None else f"a {type(value).__name__}"
        raise TypeError(f"{name} must be a tensor or an array, got {got}; make one with numpy.array")
    try:
        return torch.from_numpy(value.astype(value.dtype.newbyteorder("="), order="C"))
    except TypeError:
        raise TypeError(f"{name} must be an array of numbers, got one of {value.dtype}; convert it") from None


def what(value: Any) -> str:
    """A value in a sentence: its type, of an array also the dtype and the shape."""
    kind = type(value).__name__
    if isinstance(value, np.ndarray | Tensor):
        return f"{kind} {str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
    return kind


def one_of(name: str, value: Any, words: tuple[str, ...]) -> None:
    """ValueError unless it is one of some words."""
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"{name} must be one of {', '.join(words)}, got {value!r}; choose one of these")


def is_a(name: str, value: Any, kind: type, such_as: str = "") -> None:
    """TypeError unless it is of a class: a class in the place of its value, say.

    Args:
        name, value: of the argument.
        kind: the class.
        such_as: what a person can write who wants none of it.
    """
    if isinstance(value, kind):
        return
    got = f"{_short(value)}; {f'write {such_as} for none' if value is None and such_as else 'give one'}"
    if isinstance(value, type):
        got = f"the class {value.__name__}; write {value.__name__}()"
    article = "an" if kind.__name__[0] in "AEIOU" else "a"
    raise TypeError(f"{name} must be {article} {kind.__name__}, got {got}")


def _short(value: Any) -> str:
    said = repr(value)
    return said if len(said) <= _LONGEST else f"{said[:_LONGEST]}..."

"""Arguments: numbers that a user gives, refused in one sentence that names them.

Arrow: name and value --> the value, or TypeError for what is no number, ValueError for a number that is none of those
asked for. Does not know: what is done with them.
"""

from __future__ import annotations

import math
from numbers import Integral, Real
from typing import Any

MOST = (1 << 63) - 1


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
    if isinstance(value, bool) or not isinstance(value, Real):
        raise TypeError(f"{name} must be a number, got {value!r}; write a float")
    if not (math.isfinite(value) and least <= float(value) <= most):
        bounds = "finite"
        if least > -math.inf:
            bounds = f"finite and at least {least:g}" if most == math.inf else f"in {least:g}..{most:g}"
        raise ValueError(f"{name} must be {bounds}, got {value}; choose another number")
    return float(value)


def one_of(name: str, value: Any, words: tuple[str, ...]) -> None:
    """ValueError unless it is one of some words."""
    if not isinstance(value, str) or value not in words:
        raise ValueError(f"{name} must be one of {', '.join(words)}, got {value!r}; choose one of these")


def is_a(name: str, value: Any, kind: type) -> None:
    """TypeError unless it is of a class: a class in the place of its value, say."""
    if isinstance(value, kind):
        return
    got = f"{value!r}; give one"
    if isinstance(value, type):
        got = f"the class {value.__name__}; write {value.__name__}()"
    raise TypeError(f"{name} must be a {kind.__name__}, got {got}")

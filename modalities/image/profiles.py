"""Colour profiles of pictures that name their primaries and their curve, without a profile of their own.

Arrow: chromaticities, exponent --**profile**--> ICC profile. Does not know: files, pixels.
Source: ICC.1:2022, 7 to 10 (a display profile of three colorants and curves); Bradford adaptation, annex E.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

import numpy as np

_D50 = np.array([0.9642, 1.0, 0.8249])  # the white of profiles
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)  # g, a, b, c, d of function type 3
_NOTHING = 1e-3  # a determinant from which on primaries lie on a line


class Primaries(NamedTuple):
    """Chromaticities (x, y)."""

    white: tuple[float, float]
    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]


D65 = (0.3127, 0.329)
SRGB = Primaries(D65, (0.64, 0.33), (0.30, 0.60), (0.15, 0.06))


def profile(primaries: Primaries, exponent: float | None) -> bytes | None:
    """An ICC profile of version 4.

    Args:
        primaries: of the picture.
        exponent: light is a value to the power of it; None for the curve of sRGB.

    Returns:
        None for primaries that span no colours.
    """
    if any(y <= 0 for _, y in primaries):
        return None
    white, *columns = (np.array([x / y, 1.0, (1 - x - y) / y]) for x, y in primaries)
    colours = np.stack(columns, 1)
    if abs(np.linalg.det(np.array([[x, y, 1 - x - y] for x, y in primaries[1:]]))) < _NOTHING:
        return None
    scaled = colours * np.linalg.solve(colours, white)
    adapted = np.linalg.inv(_BRADFORD) @ np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white)) @ _BRADFORD @ scaled
    if not np.isfinite(adapted).all() or np.abs(adapted).max() > 4:
        return None
    curve = b"para" + bytes(4) + struct.pack(">HH", 0 if exponent else 3, 0)
    curve += b"".join(_fixed(number) for number in ((exponent,) if exponent else _SRGB_CURVE))
    name = b"mluc" + bytes(4) + struct.pack(">II2s2sII", 1, 12, b"en", b"US", 8, 28) + "told".encode("utf-16-be")
    tags = {b"desc": name, b"cprt": name, b"wtpt": _point(_D50)}
    tags |= {letter + b"XYZ": _point(adapted[:, at]) for at, letter in enumerate((b"r", b"g", b"b"))}
    tags |= {letter + b"TRC": curve for letter in (b"r", b"g", b"b")}
    return _written(tags)


def _fixed(number: float) -> bytes:
    return struct.pack(">i", round(number * 65536))


def _point(values: np.ndarray) -> bytes:
    return b"XYZ " + bytes(4) + b"".join(_fixed(float(value)) for value in values)


def _written(tags: dict[bytes, bytes]) -> bytes:
    table, data, start = struct.pack(">I", len(tags)), b"", 128 + 4 + 12 * len(tags)
    for name, content in tags.items():
        padded = content + bytes(-len(content) % 4)
        table += name + struct.pack(">II", start + len(data), len(content))
        data += padded
    size = start + len(data)
    head = struct.pack(">I4sI4s4s4s", size, bytes(4), 0x04400000, b"mntr", b"RGB ", b"XYZ ") + bytes(12) + b"acsp"
    head += bytes(28) + b"".join(_fixed(float(value)) for value in _D50)
    return head.ljust(128, b"\0") + table + data

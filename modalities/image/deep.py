"""Pixels of more than eight bits, which Pillow cuts or does not know.

Arrow: picture of Pillow, opened --**load_deep**--> the same, loaded, each value of 16 bits as the nearest of 8.
Does not know: colours, profiles, networks.

A value v of 16 bits is the share v / 65535 of full light, so that 255 v / 65535 = v / 257 is rounded (PNG, third
edition, 13.12). Pillow keeps the upper byte of each colour, up to one step beside it.
"""

from __future__ import annotations

import contextlib
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from tokenmask.modalities.image.chunks import read_wide_planes

_SWAPPED = {";16L": ";16B", ";16B": ";16L", ";16N": ";16B" if sys.byteorder == "little" else ";16L"}
_WHOLE = ("RGB", "RGBA", "RGBX", "CMYK")  # whose bands are samples as they are; others are multiplied
_NATIVE_FLOATS = {"F;32F": "F;32NF", "F;32BF": "F;32NF", "F;64F": "F;64NF", "F;64BF": "F;64NF"}
_BITS, _SAMPLES, _FORMAT = 258, 277, 339
_FORMS = {1: "integers", 2: "integers with a sign", 3: "floats"}


def nearest(values: Any, white: int = 65535) -> Any:
    """Integers from 0 to ``white`` as the nearest of 0 to 255."""
    return (values * 255 + white // 2) // white


@contextlib.contextmanager
def double_floats() -> Iterator[None]:
    """While open, Pillow reads grey TIFF files of floats of 64 bits, as it does those of 32: it can, but its table of
    kinds lacks them."""
    from PIL import TiffImagePlugin

    table: dict[Any, Any] = TiffImagePlugin.OPEN_INFO
    orders = ((TiffImagePlugin.II, "F;64F"), (TiffImagePlugin.MM, "F;64BF"))
    more = {(order, zero, (3,), 1, (64,), ()): ("F", raw) for order, raw in orders for zero in (0, 1)}
    added = {key: kind for key, kind in more.items() if key not in table}
    table.update(added)
    try:
        yield
    finally:
        for key in added:
            table.pop(key, None)


def load_deep(picture: Any, path: str | Path) -> None:
    """Loads an opened picture; colours of 16 bits, in PNG and TIFF files, are rounded with their lower bytes.

    Those are had by reading the file again in the other order of bytes.
    """
    from PIL import Image as pillow

    read_wide_planes(picture)
    if picture.format == "TIFF" and picture.mode == "F":
        picture.tile = [_renamed(tile, _NATIVE_FLOATS) if tile[0] == "libtiff" else tile for tile in picture.tile]
    grey = picture.format == "PNG" and any(_raw(tile) == "LA;16B" for tile in picture.tile)
    wide = picture.format in ("PNG", "TIFF") and all(_is_wide(tile, picture.mode) for tile in picture.tile)
    if not picture.tile or not (grey or wide):
        picture.load()
        return
    with pillow.open(path) as again:
        read_wide_planes(again)
        if grey:  # four bytes a pixel: both of grey, both of its transparency
            again._mode = "RGBA"
            again.tile = [_renamed(tile, {"LA;16B": "RGBA"}) for tile in again.tile]
        else:
            again.tile = [_renamed(tile, _SWAPPED) for tile in again.tile]
        low = np.asarray(again)
    picture.load()
    high = np.asarray(picture)
    if grey:
        low = low[:, :, [1, 1, 1, 3]]
    clear = picture.info.get("transparency") if picture.mode == "RGB" else None
    rounded = high + (low.astype(np.int16) - high >= 129) - (high.astype(np.int16) - low > 128)
    picture.paste(pillow.frombytes(picture.mode, picture.size, rounded.astype(np.uint8).tobytes()))
    if isinstance(clear, tuple):  # of 16 bits, which Pillow compares with 8
        del picture.info["transparency"]
        same = (high == np.array(clear) // 256).all(2) & (low == np.array(clear) % 256).all(2)
        picture.putalpha(pillow.fromarray(np.where(same, 0, 255).astype(np.uint8)))


def _raw(tile: Any) -> str:
    """How the bytes of a tile lie, in Pillow's words."""
    args = tile[3]
    return str(args if isinstance(args, str) else args[0] if args else "")


def _is_wide(tile: Any, mode: str) -> bool:
    name, _, form = _raw(tile).partition(";")
    return mode in _WHOLE and f";{form}" in _SWAPPED and (name in _WHOLE or len(name) == 1)


def _renamed(tile: Any, names: dict[str, str]) -> Any:
    raw = _raw(tile)
    found = next((raw.removesuffix(old) + new for old, new in names.items() if raw.endswith(old)), raw)
    return tile._replace(args=found if isinstance(tile[3], str) else (found, *tile[3][1:]))


def white_of(picture: Any) -> int:
    """The largest grey of a picture of up to 16 bits: 65535, but for TIFF files that say that they have 12."""
    bits = picture.tag_v2.get(_BITS, (16,)) if picture.format == "TIFF" else (16,)
    return 4095 if bits == (12,) else 65535


def kind_of_tiff(path: str | Path) -> str:
    """What is wrong with a TIFF file that Pillow does not know, as a clause; "" where that is not understood."""
    from PIL import TiffImagePlugin

    try:
        with Path(path).open("rb") as file:
            head = file.read(8)
            if head[:4] not in (b"II*\0", b"MM\0*"):
                return ""
            tags = TiffImagePlugin.ImageFileDirectory_v2(head)
            if tags.next >= Path(path).stat().st_size:
                return "it is cut short: its tags would stand behind its end"
            file.seek(tags.next)
            tags.load(file)
        bits, form = tags[_BITS][0], _FORMS.get(tags.get(_FORMAT, (1,))[0], "complex numbers or of an unknown kind")
        if 256 not in tags or bits not in (1, 2, 4, 8, 12, 16, 24, 32, 64, 128):
            return ""
    except (OSError, SyntaxError, ValueError, TypeError, IndexError, KeyError, struct.error):
        return ""
    return (
        f"its pixels, {tags.get(_SAMPLES, 1)} band(s) of {bits} bits that are {form}, are of no kind that is known "
        "here, as integers of 8 or 16 bits are, and grey of floats of 32 or 64 bits"
    )

"""Pictures in other colours, with captions that say so: what teaches a model that a colour word is a colour.

Arrow: emoji --> items whose pictures are recoloured. Does not know: tokens, models.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
import torch
from PIL import Image as PilImage

from tokenmask import data
from tokenmask.corpus import TRAIN, Item
from tokenmask.demo import items
from tokenmask.modalities.image import Image
from tokenmask.modalities.text import Text

HUES = {"red": 0, "orange": 28, "yellow": 50, "green": 115, "blue": 212, "purple": 275, "pink": 335}  # degrees
BROWN, BLACK = "brown", "black"
COLOURS = (*HUES, BROWN, BLACK)
_BROWN_HUE, _BROWN_VALUE = 24, 0.6
_BLACK_VALUE = 0.3
_SATURATED = 0.3  # pixels below have no colour of their own and keep what they have
_LEAST_COLOURED = 0.5  # of the pixels that are not white: below it a picture has no colour that could be another
_MOST_HUES = 40.0  # degrees, the mean distance from the mean hue: above it a picture has several colours
_MOST_WORDS = 2  # of a name that a colour is put before


def recoloured(pixels: np.ndarray, colour: str) -> np.ndarray | None:
    """A picture on white in another colour; None if it has none or several.

    All hues are turned by the same angle, so that the mean one is the colour's; for brown it is darkened besides, for
    black saturation goes.

    Args:
        pixels: uint8 [rows, columns, 3].
        colour: one of ``COLOURS``.
    """
    hsv = np.asarray(PilImage.fromarray(pixels).convert("HSV")).astype(np.float64)
    degrees, saturation, value = hsv[..., 0] * 360 / 255, hsv[..., 1] / 255, hsv[..., 2] / 255
    inside = (255 - pixels.astype(int)).max(2) >= 60
    coloured = inside & (saturation >= _SATURATED) & (value >= 0.2)
    if coloured.sum() < _LEAST_COLOURED * max(int(inside.sum()), 1):
        return None
    turns = np.exp(1j * np.radians(degrees[coloured]))
    mean = np.degrees(np.angle(turns.mean()))
    if np.abs((degrees[coloured] - mean + 180) % 360 - 180).mean() > _MOST_HUES:
        return None
    if colour == BLACK:
        saturation = np.where(coloured, 0.0, saturation)
        value = np.where(coloured, value * _BLACK_VALUE, value)
    else:
        degrees = np.where(coloured, (degrees + HUES.get(colour, _BROWN_HUE) - mean) % 360, degrees)
        value = np.where(coloured & (colour == BROWN), value * _BROWN_VALUE, value)
    turned = np.stack([degrees * 255 / 360, saturation * 255, value * 255], axis=2).round().astype(np.uint8)
    return np.array(PilImage.fromarray(turned, mode="HSV").convert("RGB"))


def recoloured_emoji(leave_out: Collection[str] = (), validation: bool = False) -> list[Item]:
    """Training pictures of one colour in all others, captioned "blue apple".

    The object is the name without its colour, where that has at most two words, or the first keyword of one word. No
    caption is a name of a picture.

    Args:
        leave_out: captions of a colour and an object, say "blue apple": no picture with that object in its name or
            keywords comes in that colour, so that these combinations stay unseen.
        validation: only of pictures that train when settings are chosen, see :func:`items.corpora`.
    """
    names = {entry.name for entry in data.emoji()}
    found = []
    for entry, split in items.split_emoji(validation):
        if split != TRAIN:
            continue
        words = {word for caption in (entry.name, *entry.keywords) for word in _words(caption)}
        thing = _object(entry)
        if thing is None:
            continue
        for colour in COLOURS:
            caption = f"{colour} {thing}"
            unseen = any(f"{colour} {word}" in leave_out for word in words)
            pixels = None if unseen or caption in names else recoloured(entry.pixels, colour)
            if pixels is not None:
                pair = {"text": Text(caption), "image": Image(torch.from_numpy(pixels))}
                found.append(Item(f"{entry.name} ({colour})", pair, TRAIN, {"category": entry.category}))
    return found


def _object(entry: data.Emoji) -> str | None:
    bare = [word for word in entry.name.split() if word not in COLOURS]
    if 0 < len(bare) <= _MOST_WORDS:
        return " ".join(bare)
    single = (keyword for keyword in entry.keywords if len(_words(keyword)) == 1 and keyword not in COLOURS)
    return next(single, None)


def _words(caption: str) -> list[str]:
    return caption.replace("-", " ").split()

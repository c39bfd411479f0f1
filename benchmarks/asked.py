"""What the shared model is asked for when it is judged, written down before it was trained; rules that judge pictures.

Arrow: data that ships --> lists; pixels --> a colour, a shape. Does not know: models, runs.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import cache

import numpy as np

from tokenmask import data
from tokenmask.analysis.recogniser import WORDS
from tokenmask.demo import items
from tokenmask.demo.recolouring import HUES

TRAIN = "train"
SEED = 0
SIDE = 32  # pixels of the pictures that the rules are for; larger ones are reduced before
UNSEEN = (
    *("red heart", "red book", "yellow book", "purple book", "black book", "brown book", "pink book"),
    *("blue apple", "yellow apple", "purple apple", "orange apple", "black apple"),
    *("blue bird", "green bird", "red bird", "black car", "green car", "yellow car"),
    *("blue mushroom", "blue flower"),
)  # no caption of any picture; their words are words of captions
_PAPER = 60  # a pixel belongs to the object if any channel is this far from white
_COLOURED = 0.3  # saturation from which a pixel has a colour
_DARK = 0.35  # value below which an object without colour is black
_BROWN = 0.75  # value below which orange is brown


def emoji(split: str = TRAIN) -> list[data.Emoji]:
    """In the order of the sheet."""
    return [one for one in data.emoji() if one.split == split]


def pictures() -> list[data.Emoji]:
    """60 training pictures, every 15th."""
    return emoji()[::15][:60]


def settings_pictures() -> list[data.Emoji]:
    """60 other training pictures, to choose how to sample by."""
    return emoji()[7::15][:60]


def unseen_names() -> list[str]:
    """The names of 60 pictures that are held out."""
    return [one.name for one in emoji("held-out")][:60]


def phrases() -> list[data.Utterance]:
    """40 training prompts of one speaker that hold no digit, evenly spread."""
    short = [one for one in data.speech() if one.seconds <= items.LONGEST_PROMPT and one.group == "prompts"]
    kept = [one for one in short if one.split == TRAIN]
    return [kept[at * len(kept) // 40] for at in range(40)]


def single_words() -> list[str]:
    """Training prompts of one word that is no digit."""
    short = [one for one in data.speech() if one.seconds <= items.LONGEST_PROMPT and one.split == TRAIN]
    words = dict.fromkeys(items.words_of(one) for one in short if one.group != "librivox")
    return [word for word in words if re.fullmatch("[a-z]+", word) and word not in WORDS["digits"].split()]


def motion_names() -> list[str]:
    """18 names of motions."""
    return list(dict.fromkeys(one.name for one in items.motions()))


def colour(pixels: np.ndarray) -> str:
    """The colour of a picture on white: the nearest hue of the mean coloured pixel, or black, brown, white.

    Args:
        pixels: uint8 [rows, columns, 3].
    """
    rgb = pixels.reshape(-1, 3).astype(np.float64) / 255
    inside = rgb[(255 - pixels.reshape(-1, 3).astype(int)).max(1) >= _PAPER]
    if not len(inside):
        return "white"
    value, low = inside.max(1), inside.min(1)
    saturated = (value - low) / np.maximum(value, 1e-6) >= _COLOURED
    saturated &= value >= 0.2
    if saturated.mean() < 1 / 3:
        return "black" if np.median(value) < _DARK else "white"
    mean = inside[saturated].mean(0)
    degrees = _hue(mean)
    apart = {name: abs((degrees - hue + 180) % 360 - 180) for name, hue in HUES.items()}
    nearest = min(apart, key=lambda name: apart[name])
    return "brown" if nearest in ("orange", "red") and mean.max() < _BROWN and degrees >= 8 else nearest


def _hue(rgb: np.ndarray) -> float:
    red, green, blue = rgb
    return float(np.degrees(np.arctan2(np.sqrt(3) * (green - blue), 2 * red - green - blue)) % 360)


def has_shape(pixels: np.ndarray, word: str, leave_out: Sequence[str] = ()) -> bool:
    """Whether the training picture with the most similar outline has ``word`` in its name or keywords.

    Outlines are compared by the share of their common pixels in their joint ones.

    Args:
        pixels: uint8 [32, 32, 3].
        word: for example "heart".
        leave_out: names that are not compared.
    """
    own = _outline(pixels[None])[0]
    entries, outlines = _outlines()
    shares = (outlines & own).sum(1) / np.maximum((outlines | own).sum(1), 1)
    shares[[at for at, entry in enumerate(entries) if entry.name in leave_out]] = -1
    best = entries[int(shares.argmax())]
    return any(word in caption.replace("-", " ").split() for caption in (best.name, *best.keywords))


@cache
def _outlines() -> tuple[list[data.Emoji], np.ndarray]:
    entries = emoji()
    return entries, _outline(np.stack([one.pixels for one in entries]))


def _outline(pixels: np.ndarray) -> np.ndarray:
    """Bool [N, pixels], True inside."""
    flat = pixels.reshape(len(pixels), -1, 3).astype(int)
    return np.asarray((255 - flat).max(2) >= _PAPER)

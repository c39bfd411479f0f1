"""Regions of a text as places of its codes.

Arrow: (Text, characters of each code, region) --**character_places**--> bool [index]. Does not know: tokenizers, codes.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor

from tokenmask.modalities.text.media import Text
from tokenmask.telling import tell


def character_places(media: Text, begins: Tensor, ends: Tensor, region: Sequence[float], exact: bool = False) -> Tensor:
    """bool [index], codes of which a character of ``media.text[start:end]`` is a part.

    A code that holds characters on both sides of a border counts, which is said unless ``exact``: codes whose bytes are
    known can be filled so that nothing else changes. Where they are, a region may also be a place between two
    characters, which the codes of the character behind it touch, or of the last one.

    Args:
        media: the text.
        begins, ends: int64 [index], the characters of each code.
        region: (start, end) in characters.

    Raises:
        ValueError: no (start, end), or one that begins outside of the text. One that ends after it is told.
    """
    size = len(media.text)
    whole = len(region) == 2 and all(math.isfinite(at) and at == int(at) for at in region)
    if exact and whole and 0 <= region[0] == region[1] <= size:
        at = min(int(region[0]), size - 1)
        return (begins <= at) & (ends > at)
    if not whole or not 0 <= region[0] < region[1] or region[0] >= size:
        raise ValueError(
            f"a region of a text must be (start, end) that begins within its {size} characters and ends later, got "
            f"{tuple(region)}; count from 0, in whole numbers"
        )
    start, stop = int(region[0]), min(int(region[1]), size)
    if region[1] > size:
        tell(
            f"the region {tuple(region)} of the text ends after its {size} characters; what lies inside is filled anew"
        )
    inside = (begins < stop) & (ends > start)
    if not exact and bool(inside.any()):
        first, last = int(begins[inside].min()), min(int(ends[inside].max()), size)
        if first < start or last > stop:
            tell(
                f"the region ({start}, {stop}) of the text {media.text[start:stop]!r} begins or ends inside of a code, "
                f"and codes are filled whole: {media.text[first:last]!r}, ({first}, {last}), is what is filled anew"
            )
    return inside

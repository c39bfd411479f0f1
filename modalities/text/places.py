"""Regions of a text as places of its codes.

Arrow: (Text, characters of each code, region) --**character_places**--> bool [index]. Does not know: tokenizers, codes.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from tokenmask.modalities.text.media import Text
from tokenmask.telling import tell


def character_places(media: Text, begins: Tensor, ends: Tensor, region: Sequence[float]) -> Tensor:
    """bool [index], codes of which a character of ``media.text[start:end]`` is a part.

    A code that holds characters on both sides of a border counts, which is said.

    Args:
        media: the text.
        begins, ends: int64 [index], the characters of each code.
        region: (start, end) in characters.

    Raises:
        ValueError: no (start, end), or one outside of the text.
    """
    size = len(media.text)
    if len(region) != 2 or not 0 <= region[0] < region[1] <= size or any(at != int(at) for at in region):
        raise ValueError(
            f"a region of a text must be (start, end) within its {size} characters, got {tuple(region)}; count from 0, "
            "in whole numbers"
        )
    start, stop = int(region[0]), int(region[1])
    inside = (begins < stop) & (ends > start)
    if bool(inside.any()):
        first, last = int(begins[inside].min()), min(int(ends[inside].max()), size)
        if first < start or last > stop:
            tell(
                f"the region ({start}, {stop}) of the text {media.text[start:stop]!r} begins or ends inside of a code, "
                f"and codes are filled whole: {media.text[first:last]!r}, ({first}, {last}), is what is filled anew"
            )
    return inside

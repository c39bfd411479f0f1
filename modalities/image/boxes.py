"""Boxes of pixels as places of a grid of codes.

Arrow: (Image, grid, box) --**box_places**--> bool [row, column]. Does not know: tokenizers, streams.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from tokenmask.modalities.image.media import Image
from tokenmask.telling import tell


def box_places(media: Image, grid: Sequence[int], region: Sequence[float]) -> Tensor:
    """bool [row, column], places whose pixels a box (left, top, right, bottom) in pixels of ``media`` touches.

    Codes are filled whole, so a box that begins or ends inside of one grows to its edges, which is told.

    Raises:
        ValueError: no box, or one outside of the image.
    """
    height, width = media.pixels.shape[:2]
    if len(region) != 4:
        raise ValueError(
            f"a region of an image is (left, top, right, bottom) in pixels, got {tuple(region)}; write four numbers"
        )
    left, top, right, bottom = map(float, region)  # a whole number of any size is compared with
    if not (0 <= left < right and 0 <= top < bottom and left < width and top < height):
        raise ValueError(
            f"a box must begin inside of {width} x {height} pixels and end after that, got {tuple(region)}; it is "
            "(left, top, right, bottom)"
        )
    if right > width or bottom > height:
        tell(f"the box {tuple(region)} ends outside of {width} x {height} pixels; what lies inside is filled anew")
    rows, columns = (torch.arange(size) for size in grid)
    in_rows = ((rows + 1) * height / len(rows) > top) & (rows * height / len(rows) < bottom)
    in_columns = ((columns + 1) * width / len(columns) > left) & (columns * width / len(columns) < right)
    filled = (*_pixels(in_columns, width), *_pixels(in_rows, height))
    box = (filled[0], filled[2], filled[1], filled[3])
    asked = (left, top, min(right, width), min(bottom, height))
    if any(abs(one - other) > 1e-6 * max(width, height) for one, other in zip(box, asked, strict=True)):
        tell(
            f"the box ({', '.join(f'{at:g}' for at in region)}) begins or ends inside of a code, and codes are filled "
            f"whole: ({', '.join(f'{at:.6g}' for at in box)}) is what is filled anew"
        )
    return in_rows[:, None] & in_columns


def _pixels(inside: Tensor, pixels: int) -> tuple[float, float]:
    """Where the places of bool [N] that are True begin and end, in pixels."""
    places = inside.nonzero()[:, 0]
    return int(places[0]) * pixels / len(inside), (int(places[-1]) + 1) * pixels / len(inside)

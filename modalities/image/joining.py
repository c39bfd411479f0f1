"""Pixels that are made in place of parts of a picture, which keeps its size.

Does not know: codes, networks.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tokenmask.modalities.image.media import Image
from tokenmask.modalities.keeping import check_keep, places_of


def joined(made: Image, given: Image, keep: Tensor) -> Image:
    """What is kept of a picture, pixel by pixel, and what is made elsewhere.

    Args:
        made: with its stream; brought to the size of ``given``.
        given: a picture of any size.
        keep: bool [row, column], places of the stream, or bool [height, width], pixels of ``given``.

    Returns:
        of the size of ``given``, with the stream of ``made``, and transparent where ``given`` is and is kept.

    Raises:
        ValueError: a keep of another shape.
    """
    assert made.stream is not None  # it was decoded
    size, grid = tuple(given.pixels.shape[:2]), made.stream.grid
    check_keep(keep, size, grid)
    if tuple(keep.shape) != size:
        keep = at_pixels(keep, size)
    kept, anew, rgba = keep[..., None], made.resize(*size).pixels, given.rgba
    if rgba is not None:
        rgba = torch.where(kept, rgba, torch.cat([anew, torch.full_like(anew[..., :1], 255)], 2))
    return Image(torch.where(kept, given.pixels, anew), made.stream, rgba=rgba)


def at_pixels(places: Tensor, size: tuple[int, ...]) -> Tensor:
    """bool [..., row, column] of places -> bool [..., height, width], for each pixel that of the place it lies in."""
    rows, columns = (places_of(many, many, few, few) for many, few in zip(size, places.shape[-2:], strict=True))
    return places[..., rows, :][..., columns]

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
        of the size of ``given``, with the stream of ``made``.

    Raises:
        ValueError: a keep of another shape.
    """
    assert made.stream is not None  # it was decoded
    size, grid = tuple(given.pixels.shape[:2]), made.stream.grid
    check_keep(keep, size, grid)
    if tuple(keep.shape) != size:
        keep = at_pixels(keep, size)
    return Image(torch.where(keep[..., None], given.pixels, made.resize(*size).pixels), made.stream)


def at_pixels(places: Tensor, size: tuple[int, ...]) -> Tensor:
    """bool [..., row, column] of places -> bool [..., height, width], for each pixel that of the place it lies in."""
    rows, columns = (places_of(many, many, few, few) for many, few in zip(size, places.shape[-2:], strict=True))
    return places[..., rows, :][..., columns]

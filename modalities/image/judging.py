"""How well pictures are coded: figures of copies, and a classical coder with the same bits.

Arrow: originals, copies --**likeness**--> figures; pictures --**pca_coders**--> coders. Does not know: networks, codes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from tokenmask.modalities.codebook_report import PcaCoder, psnr_db
from tokenmask.modalities.image.fit import at_size
from tokenmask.modalities.image.kept_pixels import KeptPixels
from tokenmask.modalities.image.likeness import edge_error, ssim
from tokenmask.modalities.image.media import Image

_BASELINE_NUMBERS = 1 << 22  # of the images for the baseline together, up to which they are held as floats
_TILE = 32  # pixels of a side of tiles whose principal components can be found for any number of images

Coder = Callable[[Tensor], Tensor]
"""uint8 [N, size, size, 3] -> the same, coded and decoded, float64."""


def likeness(originals: Tensor, copies: Tensor) -> dict[str, float]:
    """Means over images uint8 [N, H, W, 3]: psnr_db, ssim, and edges_l1 of differences between neighbours, 0 to 255."""
    one, other = (pixels.movedim(3, 1).double() for pixels in (originals, copies))
    return {
        "psnr_db": psnr_db(originals, copies),
        "ssim": float(ssim(one, other, 255.0).mean()),
        "edges_l1": float(edge_error(other, one)),
    }


def enlarged(image: Image, size: int) -> Tensor:
    """uint8 [size, size, 3] by Lanczos' filter, which keeps more of what is drawn than :meth:`Image.resize`."""
    from PIL import Image as pillow

    return torch.from_numpy(np.array(image.to_pillow().resize((size, size), pillow.Resampling.LANCZOS)))


def pca_coders(images: Sequence[Image], size: int, patch: int, bits: float, resize: bool) -> list[Coder]:
    """Coders by quantised principal components: of whole images, of patches, and of tiles between both where there are
    too many images for components of all their sizes.

    Args:
        images: to learn from; any size, if ``resize`` is set.
        size: height and width that they are brought to.
        patch: pixels of a side of the smallest parts that are coded.
        bits: of an image.
        resize: False refuses images of other sizes.
    """
    train = KeptPixels(len(images), size)
    for number, item in enumerate(images):
        train.put(number, at_size(item, size, resize).pixels)
    few = math.prod(train.shape) <= _BASELINE_NUMBERS
    sides = [side for side in range(patch, size + 1, patch) if not size % side]
    middle = max(side for side in sides if side <= max(_TILE, patch))
    coders: list[Coder] = []
    for side in sorted({patch, size} if few else {patch, middle, size}):
        own = bits / (size // side) ** 2
        if few:
            coder = PcaCoder.fit(_patches(train.of(range(len(train))), side), own)
        else:
            coder = PcaCoder.fit_parts(partial(_patches_of, train, side), own)
        coders.append(partial(_coded, coder, side))
    return coders


def _coded(coder: PcaCoder, side: int, pixels: Tensor) -> Tensor:
    """Pixels [N, size, size, 3] whose patches a coder codes and decodes, float64."""
    many = pixels.shape[1] // side
    coded = coder.coded(_patches(pixels, side)).view(-1, many, many, side, side, 3)
    return coded.transpose(2, 3).reshape(pixels.shape)


def _patches_of(images: KeptPixels, side: int) -> Iterator[Tensor]:
    return (_patches(part, side) for part in images.parts())


def _patches(images: Tensor, stride: int) -> Tensor:
    """uint8 [N, size, size, 3] -> uint8 [N * places, stride * stride * 3]."""
    side = images.shape[1] // stride
    return images.view(len(images), side, stride, side, stride, 3).transpose(2, 3).reshape(-1, stride * stride * 3)

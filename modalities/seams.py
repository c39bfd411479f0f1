"""Seams: what is made joins what is kept without a jump.

Does not know: any modality; signals are sampled evenly, and a mask says what is kept.
"""

from __future__ import annotations

import torch
from torch import Tensor


def nearness(keep: Tensor, reach: int) -> Tensor:
    """How close each sample is to one that is kept.

    Args:
        keep: bool [..., T].
        reach: samples over which it falls.

    Returns:
        float64 [..., T]: 1 where kept, falling along half a cosine to 0 at ``reach`` samples from the nearest kept one.
    """
    size = keep.shape[-1]
    places = torch.arange(size).expand(keep.shape)
    before = torch.where(keep, places, -(size + reach)).cummax(-1).values
    after = torch.where(keep, places, 2 * size + reach).flip(-1).cummin(-1).values.flip(-1)
    distance = torch.minimum(places - before, after - places).double()
    return (1 + torch.cos(torch.pi * (distance / max(reach, 1)).clamp(max=1.0))) / 2


def crossfaded(made: Tensor, source: Tensor, keep: Tensor, reach: int) -> Tensor:
    """``source`` where it is kept, else ``made``, with a fade of ``reach`` samples inside of what is made.

    Args:
        made, source: float32 [..., T].
        keep: bool [..., T].
        reach: samples of the fade.

    Returns:
        float32 [..., T]; kept samples are those of the source, bit for bit.
    """
    share = nearness(keep, reach).to(made.dtype)
    return torch.where(keep, source, made + share * (source - made))

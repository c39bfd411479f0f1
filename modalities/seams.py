"""Seams: what is made joins what is kept without a jump, and what one code makes what the next one makes.

Does not know: any modality; signals are sampled evenly, and a mask says what is kept.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

_FAR = 40  # times the steps over which a spline forgets its ends: exp(-40 / sqrt(2)) of a difference is left


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
    open_places = (~keep).flatten(0, -2).any(0).nonzero() if keep.dim() > 1 else (~keep).nonzero()
    if not len(open_places):
        return source.clone()
    # With a kept sample on either side, all that a fade depends on is there: of a night only its hole is looked at.
    first, stop = max(int(open_places[0]) - 1, 0), int(open_places[-1]) + 2
    result, some = source.clone(), keep[..., first:stop]
    result[..., first:stop] = mixed(made[..., first:stop], source[..., first:stop], some, nearness(some, reach))
    return result


def reflected(values: Tensor, size: int, reach: int) -> Tensor:
    """What goes on behind the end of values, so that what is made there has something to set out from.

    Args:
        values: float [..., T].
        size: steps of the result.
        reach: steps behind the end that are values backwards; zeros follow.

    Returns:
        of the same dtype, [..., size].
    """
    time = values.shape[-1]
    if size <= time:
        return values[..., :size]
    whole, count = values.new_zeros(*values.shape[:-1], size), min(reach, size - time, time)
    whole[..., :time] = values
    whole[..., time : time + count] = values[..., time - count :].flip(-1)
    return whole


def mixed(made: Tensor, source: Tensor, keep: Tensor, share: Tensor) -> Tensor:
    """The same, with :func:`nearness` given: of a piece it depends on what is kept beside the piece, too."""
    return torch.where(keep, source, made + share.to(made.dtype) * (source - made))


def smoothed(values: Tensor, deviation: float) -> Tensor:
    """A Gaussian mean over time; the first and the last value are repeated beyond the ends.

    Args:
        values: float [T, ...].
        deviation: of the Gaussian, in steps; it reaches three of them.

    Returns:
        of the same shape and dtype.
    """
    reach = smoothing_reach(deviation)
    offsets = torch.arange(-reach, reach + 1)
    weights = torch.exp(-0.5 * (offsets / deviation) ** 2)
    places = torch.arange(len(values))
    total = torch.zeros_like(values)
    for offset, weight in zip(offsets.tolist(), (weights / weights.sum()).tolist(), strict=True):
        total += weight * values[(places + offset).clamp(0, len(values) - 1)]
    return total


def smoothing_reach(deviation: float) -> int:
    """Steps on either side that :func:`smoothed` looks at."""
    return round(3 * deviation)


def bridged(made: Tensor, before: Tensor, after: Tensor, frames: float) -> Tensor:
    """What is made, bent so that it sets out from what is kept before it and arrives at what is kept after it.

    The x that minimises |second differences of (before, x, after)|^2 + frames^-4 |x - made|^2, summed over time: a
    smoothing spline (Whittaker 1923) that forgets its ends over about ``frames`` steps.

    Of many steps those that are ``_FAR`` times ``frames`` away or more are left out of the sum for each.

    Args:
        made: float64 [n, F].
        before, after: float64 [0 to 2, F], the nearest kept values; two fix a velocity, none leaves an end free.
        frames: see above.

    Returns:
        float64 [n, F].
    """
    count, reach = len(made), math.ceil(_FAR * frames)
    if count <= 4 * reach:
        return _bridged(made, before, after, frames)
    parts = []
    for start in range(0, count, 2 * reach):
        stop = min(start + 2 * reach, count)
        first, last = max(start - reach, 0), min(stop + reach, count)
        ends = (before if first == 0 else before[:0]), (after if last == count else after[:0])
        parts.append(_bridged(made[first:last], *ends, frames)[start - first : stop - first])
    return torch.cat(parts)


def _bridged(made: Tensor, before: Tensor, after: Tensor, frames: float) -> Tensor:
    """The same in one system of n equations."""
    count, start = len(made), len(before)
    known = torch.cat([before, made, after])
    size = len(known)
    second = torch.zeros(max(size - 2, 0), size, dtype=made.dtype)
    for row in range(len(second)):
        second[row, row : row + 3] = second.new_tensor([1.0, -2.0, 1.0])
    inner = second[:, start : start + count]
    fixed = known.clone()
    fixed[start : start + count] = 0
    pull = frames**-4
    left = inner.T @ inner + pull * torch.eye(count, dtype=made.dtype)
    bent: Tensor = torch.linalg.solve(left, pull * made - inner.T @ (second @ fixed))
    return bent

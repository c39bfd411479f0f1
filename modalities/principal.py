"""Principal axes of more vectors than memory holds, in some passes over them.

Arrow: vectors, part after part --**axes_of**--> mean, orthonormal directions. Does not know: what vectors are of.
Source: Halko, Martinsson, Tropp, arXiv:0909.4061, algorithms 4.4 and 5.3 (a random start, powers of the covariance).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

Parts = Callable[[], Iterator[Tensor]]
"""All vectors from the first on, each time that it is called, in parts [n, width] of any number type."""

_SQUARE = 1024  # width up to which all of the covariance is held, 8 MB
_MOST, _NUMBERS = 1024, 1 << 23  # directions, and numbers of all of them, that are looked for: 32 MB
_MORE, _POWERS = 32, 2  # directions beside those that are wanted, and how often the covariance is applied to all
_NOTHING = 1e-12  # of the largest variance, up to which there is none


def axes_of(parts: Parts, number: int) -> tuple[Tensor, Tensor, int]:
    """Mean, and the directions of most variance about it.

    Holds 2^23 numbers a few times, beside one part.

    Args:
        parts: one vector at least.
        number: of directions; fewer come where the vectors span no more, and more than 1024, or of more than 2^23
            numbers together, are not looked for.

    Returns:
        mean float64 [width], directions float64 [width, up to number], and how many vectors there are.
    """
    count, total = 0, torch.zeros((), dtype=torch.float64)
    for part in parts():
        count, total = count + len(part), total + part.sum(0, dtype=torch.float64)
    mean = total / count
    width = len(mean)
    number = max(1, min(number, count, width, _MOST, _NUMBERS // width))
    if width <= max(_SQUARE, number + _MORE):
        covariance = torch.zeros(width, width, dtype=torch.float64)
        for part in parts():
            centred = part.double() - mean
            covariance += centred.T @ centred
        return mean, _largest(torch.eye(width, dtype=torch.float64), covariance, number), count
    draw = torch.Generator().manual_seed(0)
    made = torch.randn(width, min(number + _MORE, width), generator=draw)
    for _ in range(_POWERS):
        basis = torch.linalg.qr(made)[0]
        made.zero_()
        for part in parts():
            centred = (part.double() - mean).float()
            made.addmm_(centred.T, centred @ basis)
    return mean, _largest(basis, (basis.T @ made).double(), number), count


def _largest(basis: Tensor, covariance: Tensor, number: int) -> Tensor:
    """The directions of most variance in a basis [width, d] from the covariance there, [d, d]."""
    values, vectors = torch.linalg.eigh((covariance + covariance.T) / 2)
    kept = values.flip(0)[:number] > values[-1] * _NOTHING
    axes: Tensor = basis @ vectors.flip(1)[:, :number][:, kept].to(basis.dtype)
    return axes.double()

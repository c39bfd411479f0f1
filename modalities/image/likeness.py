"""How alike pictures are, besides their squared error.

Arrow: pixels, pixels --ssim, edge_error--> figures. Does not know: networks, codes.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WINDOW = 11  # pixels of a side
_SIGMA = 1.5
_SMALL = (0.01, 0.03)  # K1 and K2


def ssim(one: Tensor, other: Tensor, span: float) -> Tensor:
    """Structural similarity of pictures, the mean over the places of a window.

    Args:
        one, other: float [B, C, H, W], at least 11 pixels a side.
        span: from black to white.

    Returns:
        float [B], 1 for equal pictures.

    Source: Wang et al., 10.1109/TIP.2003.819861: Gaussian windows of 11 x 11 pixels, sigma 1.5, K1 0.01, K2 0.03. Each
    colour is a picture of its own.
    """
    offsets = torch.arange(WINDOW, dtype=one.dtype, device=one.device) - (WINDOW - 1) / 2
    shares = (-0.5 * (offsets / _SIGMA).square()).exp()
    shares = shares / shares.sum()

    def mean(values: Tensor) -> Tensor:
        flat = values.flatten(0, 1)[:, None]
        down = nn.functional.conv2d(flat, shares.view(1, 1, -1, 1))
        return nn.functional.conv2d(down, shares.view(1, 1, 1, -1)).view(
            *values.shape[:2], *(n - WINDOW + 1 for n in values.shape[2:])
        )

    first, second = ((share * span) ** 2 for share in _SMALL)
    a, b = mean(one), mean(other)
    spread = mean(one.square()) - a.square() + mean(other.square()) - b.square()
    together = mean(one * other) - a * b
    alike = (2 * a * b + first) * (2 * together + second) / ((a.square() + b.square() + first) * (spread + second))
    return alike.mean((1, 2, 3))


def edge_error(made: Tensor, wanted: Tensor) -> Tensor:
    """L1 distance of the differences between neighbours, down and across, of float [B, C, H, W]; a scalar."""
    off = made - wanted
    return (off.diff(dim=2).abs().mean() + off.diff(dim=3).abs().mean()) / 2

"""What a position is asked for, where that is not its own slot.

Arrow: inside Transformer. Does not know: why a position is asked for another place; group-causal decoding does so.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from tokenmask.layout import Layout
from tokenmask.models.embedding import CoordinateFeatures
from tokenmask.models.layout_rows import LayoutRows


class AskedFeatures(nn.Module):
    """Features of the way from a position to the place asked for, and a row for the range asked for; zero at first.

    In M2T, arXiv:2304.07313, section 4.2, one learned position stands for both places, since its order never changes.

    Args:
        layout: gives the ranges.
        width: D.
    """

    def __init__(self, layout: Layout, width: int) -> None:
        super().__init__()
        self.way = CoordinateFeatures(width)
        self.table = nn.Parameter(torch.empty(len(layout.ranges), width))

    def initialise(self, generator: torch.Generator) -> None:
        """Zero."""
        self.table.zero_()

    def layout_rows(self) -> LayoutRows:
        """The table."""
        return LayoutRows(ranges=("table",))

    def forward(self, way: Tensor, heads: Tensor) -> Tensor:
        """Args:
            way: int32 [B, L, 3], coordinates asked for minus own.
            heads: int64 [B, L], the range asked for; -1 where nothing is, which adds nothing.

        Returns:
            float [B, L, D].
        """
        told = self.way(way) + nn.functional.embedding(heads.clamp(min=0), self.table)
        return told * (heads >= 0)[..., None]  # type: ignore[no-any-return]


def asked_of(coordinates: Tensor, heads: Tensor, positions: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
    """Place and range that each position is asked for.

    Args:
        coordinates, heads: int32 [M, 3] and int64 [M], of each query.
        positions: int64 [M], index of each query's position in the flattened [B * L], ascending.
        own: int32 [B, L, 3].

    Returns:
        int32 [B, L, 3], the own place where nothing is asked; int64 [B, L], -1 there.

    Raises:
        ValueError: a position is asked twice.
    """
    if bool((positions.diff() == 0).any()):
        raise ValueError(
            "a position can be asked for one slot elsewhere, got two queries at one position; "
            "ask the second one in another call"
        )
    place, head = own.flatten(0, 1).clone(), torch.full(own.shape[:2], -1, device=own.device).flatten()
    place[positions], head[positions] = coordinates, heads
    return place.view_as(own), head.view(own.shape[:2])

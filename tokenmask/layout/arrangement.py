"""Arrangements: how the K levels of a stream share positions.

Arrow: codes [G, K] of G grid places --**Arrangement.place**--> codes [L, K] of L positions, and back by ``restore``.
Does not know: shared ids, streams.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


class Arrangement(ABC):
    """Base: how the K levels of a stream share positions."""

    @abstractmethod
    def positions(self, places: int, num_levels: int) -> int:
        """Positions that ``places`` grid places take."""

    @abstractmethod
    def place(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        """Codes [G, K] of G grid places -> (codes [L, K] with -1 where absent, grid place int64 [L])."""

    @abstractmethod
    def restore(self, placed: Tensor, num_levels: int) -> Tensor:
        """The inverse of :meth:`place`: codes [G, K]."""


@dataclass(frozen=True)
class Parallel(Arrangement):
    """K codes at each position; ``fuse`` says how an embedding joins them.

    Source: MAGNeT, arXiv:2401.04577, section 2 (sum); the others follow MusicGen, arXiv:2306.05284, section 2.2.
    """

    fuse: Literal["sum", "concat", "concat_mlp"] = "sum"

    def positions(self, places: int, num_levels: int) -> int:
        return places

    def place(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        return codes, torch.arange(codes.shape[0])

    def restore(self, placed: Tensor, num_levels: int) -> Tensor:
        return placed


@dataclass(frozen=True)
class Flatten(Arrangement):
    """One code at each position, levels in turn: K times as many positions. Source: arXiv:2306.05284, section 2.2."""

    def positions(self, places: int, num_levels: int) -> int:
        return places * num_levels

    def place(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        places, levels = codes.shape
        level = torch.arange(levels).repeat(places)
        place = torch.arange(places).repeat_interleave(levels)
        placed = torch.full((places * levels, levels), -1, dtype=codes.dtype)
        placed[torch.arange(places * levels), level] = codes.flatten()
        return placed, place

    def restore(self, placed: Tensor, num_levels: int) -> Tensor:
        level = torch.arange(placed.shape[0]) % num_levels
        return placed[torch.arange(placed.shape[0]), level].view(-1, num_levels)


@dataclass(frozen=True)
class Delay(Arrangement):
    """Level k is shifted by k positions: G + K - 1 positions. Source: MusicGen, arXiv:2306.05284, section 2.2."""

    def positions(self, places: int, num_levels: int) -> int:
        return places + num_levels - 1 if places else 0

    def place(self, codes: Tensor) -> tuple[Tensor, Tensor]:
        places, levels = codes.shape
        if places == 0:
            return codes, torch.arange(0)
        placed = torch.full((places + levels - 1, levels), -1, dtype=codes.dtype)
        for level in range(levels):
            placed[level : level + places, level] = codes[:, level]
        return placed, torch.arange(places + levels - 1)

    def restore(self, placed: Tensor, num_levels: int) -> Tensor:
        places = max(placed.shape[0] - num_levels + 1, 0)
        if places == 0:
            return placed
        return torch.stack([placed[level : level + places, level] for level in range(num_levels)], dim=1)

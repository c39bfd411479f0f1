"""Enumerated: a world whose possible codes can all be listed.

Arrow: list of codes and weights --**Enumerated**--> draws and conditionals. Does not know: where the list comes from.
Weights are whole numbers, so that sums of them are exact in any order: batches and threads change no bit.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from functools import lru_cache

import torch
from torch import Tensor

from tokenmask.worlds.world import World

_WHOLE = 1 << 40  # what the probabilities of a world are multiples of, about: float64 holds sums up to 2^53
_MOST = 1 << 24  # comparisons of a known row with an entry of the list at a time


class Enumerated(World):
    """Base of worlds that say what is possible and how probable."""

    @abstractmethod
    def possible(self) -> tuple[Tensor, Tensor]:
        """int64 [S, N], codes that are possible; float64 [S], their probabilities up to a factor; equals add up."""

    @property
    def support(self) -> tuple[Tensor, Tensor]:
        """int64 [S, N], what is possible, each once; float64 [S], weights that are whole numbers, below 2^53 in all."""
        return _support(self)

    @property
    def probabilities(self) -> Tensor:
        """float64 [S], of the entries of the support."""
        weights = self.support[1]
        return weights / weights.sum()

    def draw(self, count: int, seed: int = 0) -> Tensor:
        entries, weights = self.support
        draws = torch.rand(count, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        return entries[torch.searchsorted(weights.cumsum(0), draws * weights.sum(), right=True)]

    def numbers(self, codes: Tensor) -> Tensor:
        """int64 [B], which entry of the support codes int64 [B, N] are; -1 where they are none."""
        entries, _ = self.support
        _, number = torch.unique(torch.cat([entries, codes]), dim=0, return_inverse=True)
        found = torch.full((len(number),), -1)
        found[number[: len(entries)]] = torch.arange(len(entries))
        return found[number[len(entries) :]]

    def log_prob(self, codes: Tensor) -> Tensor:
        number = self.numbers(codes)
        return torch.where(number >= 0, self.probabilities[number].log(), -math.inf)

    def conditionals(self, codes: Tensor) -> Tensor:
        entries, weights = self.support
        most = max(1, _MOST // len(entries))
        return torch.cat([self._part(part, entries, weights) for part in torch.split(codes, most)])

    def _part(self, codes: Tensor, entries: Tensor, weights: Tensor) -> Tensor:
        known = codes >= 0
        differ = torch.zeros(len(codes), len(entries), dtype=torch.int16)
        for slot in range(codes.shape[1]):
            differ += known[:, slot, None] & (codes[:, slot, None] != entries[:, slot])
        nearest = differ.amin(1, keepdim=True)
        left = torch.where(differ == nearest, weights, 0.0)
        found = left @ _hot(self)
        found = found.view(*codes.shape, -1) / left.sum(1)[:, None, None]
        own = torch.nn.functional.one_hot(codes.clamp(min=0), found.shape[-1]).to(found)
        return torch.where(known[:, :, None], own, found)


@lru_cache(maxsize=32)
def _support(world: Enumerated) -> tuple[Tensor, Tensor]:
    with torch.inference_mode(False):
        codes, shares = world.possible()
        entries, number = torch.unique(codes, dim=0, return_inverse=True)
        weights = torch.zeros(len(entries), dtype=torch.float64).index_add(0, number, shares)
        weights = (weights / weights.sum() * _WHOLE).round()
        if not bool(weights.isfinite().all()):
            raise ValueError(f"probabilities must be finite, but those of {world} are not; change its numbers")
        return entries[weights > 0], weights[weights > 0]


@lru_cache(maxsize=32)
def _hot(world: Enumerated) -> Tensor:
    """float64 [S, N * V], which code each entry has in each slot."""
    with torch.inference_mode(False):
        return torch.nn.functional.one_hot(world.support[0], max(world.sizes)).double().flatten(1)

"""Markov: chains of any length, by sums forward and backward."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.worlds.world import Part, World

_ERR = 1e-30  # of the channel through which codes are known, see World.conditionals


@dataclass(frozen=True)
class Markov(World):
    """A stationary chain: each code follows from the one before it. One stream, "chain".

    Args:
        length: number of codes.
        transitions: row i holds the probabilities of what follows code i; each adds up to 1.
        letters: what each code stands for, of any length, so that texts may fall into codes in several ways; a, b, c
            and so on if empty.
    """

    length: int = 6
    transitions: tuple[tuple[float, ...], ...] = ((0.7, 0.2, 0.1), (0.3, 0.5, 0.2), (0.1, 0.3, 0.6))
    letters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        size = len(self.transitions)
        rows = all(len(row) == size and abs(sum(row) - 1) < 1e-9 and min(row) >= 0 for row in self.transitions)
        if not (1 <= size <= 26 and self.length >= 1 and rows):
            raise ValueError(
                f"a Markov chain needs a length of 1 or more and up to 26 rows of as many probabilities that add up to "
                f"1, got {self.length} and {self.transitions}"
            )
        if self.letters and (len(set(self.letters)) != size or len(self.letters) != size or "" in self.letters):
            raise ValueError(f"a Markov chain needs a word of its own for each of {size} codes, got {self.letters}")

    @property
    def parts(self) -> Mapping[str, Part]:
        own = self.letters or tuple(string.ascii_lowercase[: len(self.transitions)])
        return {"chain": Part(own, (self.length,), " " if max(map(len, own)) > 1 else "")}

    @property
    def matrix(self) -> Tensor:
        """float64 [V, V], the transitions."""
        return torch.tensor(self.transitions, dtype=torch.float64)

    @property
    def start(self) -> Tensor:
        """float64 [V], the law of the first code, which is that of every code."""
        size = len(self.transitions)
        flow = torch.cat([self.matrix.T - torch.eye(size), torch.ones(1, size)])
        wanted = torch.zeros(size + 1, 1, dtype=torch.float64)
        wanted[-1] = 1
        solved: Tensor = torch.linalg.lstsq(flow, wanted).solution
        return solved[:, 0].clamp(min=0)

    def draw(self, count: int, seed: int = 0) -> Tensor:
        shape = (count, self.length)
        uniform = torch.rand(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
        laws, codes = self.matrix.cumsum(1), list[Tensor]()
        for draw in uniform.unbind(1):
            law = laws[codes[-1]] if codes else self.start.cumsum(0).expand(count, -1)
            codes.append((draw[:, None] >= law[:, :-1]).sum(1))
        return torch.stack(codes, 1)

    def log_prob(self, codes: Tensor) -> Tensor:
        return self.start.log()[codes[:, 0]] + self.matrix.log()[codes[:, :-1], codes[:, 1:]].sum(1)

    def conditionals(self, codes: Tensor) -> Tensor:
        size, matrix = len(self.transitions), self.matrix
        own = torch.nn.functional.one_hot(codes.clamp(min=0), size).double()
        known = (codes >= 0)[:, :, None]
        likely = torch.where(known, own + (1 - own) * _ERR, 1.0)  # [B, N, V]
        ahead, behind = [self.start.expand(len(codes), -1)], [torch.ones(len(codes), size, dtype=torch.float64)]
        for place in range(self.length - 1):
            ahead.append(_shares(((ahead[-1] * likely[:, place])[:, :, None] * matrix).sum(1)))
            behind.append(_shares(((behind[-1] * likely[:, -1 - place])[:, None] * matrix).sum(2)))
        found = _shares(torch.stack(ahead, 1) * torch.stack(behind[::-1], 1))
        return torch.where(known, own, found)


def _shares(weights: Tensor) -> Tensor:
    return weights / weights.sum(-1, keepdim=True)

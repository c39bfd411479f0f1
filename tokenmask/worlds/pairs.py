"""Pairs: codes that hang together two by two, across two streams."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.worlds.enumerated import Enumerated
from tokenmask.worlds.world import Part


@dataclass(frozen=True)
class Pairs(Enumerated):
    """A code of the stream "left" and one of "right", with any joint law: a class and its picture, at their smallest.

    Args:
        table: row i, column j: the probability of code i on the left and j on the right; all add up to 1.
    """

    table: tuple[tuple[float, ...], ...] = ((0.35, 0.05, 0.1), (0.05, 0.3, 0.15))

    def __post_init__(self) -> None:
        flat = [one for row in self.table for one in row]
        if not flat or len(flat) != len(self.table) * len(self.table[0]) or min(flat) < 0 or abs(sum(flat) - 1) > 1e-9:
            raise ValueError(f"the table of Pairs must be rows of equal length that add up to 1, got {self.table}")

    @property
    def parts(self) -> Mapping[str, Part]:
        left, right = len(self.table), len(self.table[0])
        return {
            "left": Part(tuple(string.ascii_uppercase[:left]), (1,)),
            "right": Part(tuple(string.ascii_lowercase[:right]), (1,)),
        }

    def possible(self) -> tuple[Tensor, Tensor]:
        law = torch.tensor(self.table, dtype=torch.float64)
        return torch.ones_like(law).nonzero(), law.flatten()

"""Sudoku4: the 288 puzzles of four rows, solved."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.worlds.enumerated import Enumerated
from tokenmask.worlds.world import Part


@dataclass(frozen=True)
class Sudoku4(Enumerated):
    """Each of 1 to 4 stands once in every row, column and quarter of a 4 x 4 grid; all are equally likely.

    One stream, "grid".
    """

    @property
    def parts(self) -> Mapping[str, Part]:
        return {"grid": Part(("1", "2", "3", "4"), (4, 4))}

    def possible(self) -> tuple[Tensor, Tensor]:
        rows = torch.tensor(list(itertools.permutations(range(4))))
        halves = torch.cartesian_prod(torch.arange(24), torch.arange(24))
        top = rows[halves]  # [576, 2, 4]
        fits = torch.stack([top[:, :, :2].flatten(1), top[:, :, 2:].flatten(1)], 1).sort(-1).values
        halves = top[(fits == torch.arange(4)).all((1, 2))]
        both = torch.cartesian_prod(torch.arange(len(halves)), torch.arange(len(halves)))
        grids = halves[both].flatten(1, 2)
        found = grids[(grids.sort(1).values == torch.arange(4)[:, None]).all((1, 2))].flatten(1)
        return found, torch.ones(len(found), dtype=torch.float64)

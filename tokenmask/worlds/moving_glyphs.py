"""MovingGlyphs: short films of a small figure that moves on evenly."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.worlds.enumerated import Enumerated
from tokenmask.worlds.world import Part

_GLYPHS = {"square": ((1, 1), (1, 1)), "hook": ((1, 1), (1, 0)), "slash": ((0, 1), (1, 0))}


@dataclass(frozen=True)
class MovingGlyphs(Enumerated):
    """A figure of 2 x 2 pixels, named in the stream "name", that goes on by -1, 0 or 1 row and column a frame.

    What leaves the stream "film" on one side comes back on the other. All figures, places and ways are equally likely.

    Args:
        side: rows and columns of a frame.
        frames: of a film.
        glyphs: how many figures there are, 1 to 3.
    """

    side: int = 4
    frames: int = 3
    glyphs: int = 2

    def __post_init__(self) -> None:
        if not (3 <= self.side <= 16 and 1 <= self.frames <= 16 and 1 <= self.glyphs <= 3):
            raise ValueError(f"MovingGlyphs have 3 to 16 rows, 1 to 16 frames and 1 to 3 figures, got {self}")

    @property
    def parts(self) -> Mapping[str, Part]:
        names = tuple(_GLYPHS)[: self.glyphs]
        return {"name": Part(names, (1,)), "film": Part((".", "#"), (self.frames, self.side, self.side))}

    def possible(self) -> tuple[Tensor, Tensor]:
        codes, still = [], torch.zeros(self.glyphs, self.side, self.side, dtype=torch.int64)
        still[:, :2, :2] = torch.tensor(list(_GLYPHS.values())[: self.glyphs])
        steps, places = (-1, 0, 1), range(self.side)
        for glyph, row, column, down, right in itertools.product(range(self.glyphs), places, places, steps, steps):
            film = [
                still[glyph].roll((row + time * down, column + time * right), (0, 1)) for time in range(self.frames)
            ]
            codes.append(torch.cat([torch.tensor([glyph]), torch.stack(film).flatten()]))
        return torch.stack(codes), torch.ones(len(codes), dtype=torch.float64)

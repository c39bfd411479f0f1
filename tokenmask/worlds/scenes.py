"""Scenes: two coloured shapes in words and as a picture, small enough to list."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.worlds.enumerated import Enumerated
from tokenmask.worlds.world import Part

_SHAPES = {"box": ("###", "###", "###"), "ring": ("###", "#.#", "###"), "cross": (".#.", "###", ".#.")}
_COLOURS = ("red", "green", "blue")


@dataclass(frozen=True)
class Scenes(Enumerated):
    """ "red box blue ring" in the stream "words", and both, one beside the other, in the stream "picture", 3 x 6.

    Colours and shapes are independent and equally likely. The words say nothing of where the shapes are: what is named
    first is on the left with probability ``left``.

    Args:
        colours, shapes: how many there are, 2 or 3.
        left: a probability.
    """

    colours: int = 2
    shapes: int = 2
    left: float = 0.7

    def __post_init__(self) -> None:
        if not (2 <= self.colours <= 3 and 2 <= self.shapes <= 3 and 0 < self.left < 1):
            raise ValueError(f"Scenes have 2 or 3 colours and shapes and left between 0 and 1, got {self}")

    @property
    def parts(self) -> Mapping[str, Part]:
        words = (*_COLOURS[: self.colours], *tuple(_SHAPES)[: self.shapes])
        pixels = (".", *(colour[0] for colour in _COLOURS[: self.colours]))
        return {"words": Part(words, (4,), " "), "picture": Part(pixels, (3, 6))}

    def possible(self) -> tuple[Tensor, Tensor]:
        words, objects = self.parts["words"].alphabet, list(itertools.product(range(self.colours), range(self.shapes)))
        codes, shares = [], []
        for first, second in itertools.product(objects, repeat=2):
            named = [first[0], self.colours + first[1], second[0], self.colours + second[1]]
            for pair, share in (((first, second), self.left), ((second, first), 1 - self.left)):
                drawn = [(1 + colour, _SHAPES[words[self.colours + shape]]) for colour, shape in pair]
                pixels = [code * (at == "#") for row in range(3) for code, shape in drawn for at in shape[row]]
                codes.append(named + pixels)
                shares.append(share)
        return torch.tensor(codes), torch.tensor(shares, dtype=torch.float64)

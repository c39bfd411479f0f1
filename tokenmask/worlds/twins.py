"""TwinWords: a word twice, so that whatever is drawn of one must be drawn of the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.worlds.enumerated import Enumerated
from tokenmask.worlds.world import Part


@dataclass(frozen=True)
class TwinWords(Enumerated):
    """A word in the stream "word" and the same word in the stream "twin"; all words are equally likely.

    Args:
        words: of equal length, each once.
    """

    words: tuple[str, ...] = ("cat", "cot", "dot", "dog", "fog", "fig")

    def __post_init__(self) -> None:
        if len({len(word) for word in self.words}) != 1 or not self.words[0] or len(set(self.words)) < len(self.words):
            raise ValueError(f"TwinWords are different words of equal length, got {self.words}; leave the others out")

    @property
    def parts(self) -> Mapping[str, Part]:
        part = Part(tuple(sorted(set("".join(self.words)))), (len(self.words[0]),))
        return {"word": part, "twin": part}

    def possible(self) -> tuple[Tensor, Tensor]:
        letters = self.parts["word"].alphabet
        codes = torch.tensor([[letters.index(letter) for letter in word] for word in self.words])
        return torch.cat([codes, codes], 1), torch.ones(len(codes), dtype=torch.float64)

"""Contrast: an order by what places of a picture look at in a prompt.

Arrow: inside the Sampler loop, ScoreContext with attention taps --> float32 [B, L, K]. Does not know: codes, logits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.batch import FILL, Batch
from tokenmask.models import AttentionTap
from tokenmask.scores import Score, ScoreContext
from tokenmask.scores.arguments import number, whole


@dataclass(frozen=True)
class AttentionContrast(Score):
    """Places first that look at all words of one subject of the prompt, and at no word of another.

    The map of a word is the attention of each place to it, after softmax, averaged over heads and layers and blurred
    over the grid. For each subject: the least of its own maps less the greatest of all others' (nothing where there is
    one subject); of these the greatest. Two subjects of one word each leave the distance of their maps. A term of a
    :class:`tokenmask.scores.SumScore` beside logits and noise, in the paper with the weight 3 in the first 16 of 64
    steps (:class:`tokenmask.scores.UntilScore`). Under guidance the maps are those of the conditional pass.
    Source: UNCAGE, arXiv:2508.05399, section 4 (no code is published); whether it rescales maps before the blur is not
    said, here they stay probabilities.

    Args:
        subjects: of each, the places of its words (object and attributes) in the prompt, from 0.
        layers: blocks whose maps are averaged.
        stream: number of the prompt's stream in the layout.
        blur: standard deviation, in places of the grid; 0 leaves maps as they are.
    """

    subjects: tuple[tuple[int, ...], ...] = ((0,), (1,))
    layers: tuple[int, ...] = (0,)
    stream: int = 0
    blur: float = 2.0

    def __post_init__(self) -> None:
        for name in ("subjects", "layers"):
            if not getattr(self, name):
                raise ValueError(f"AttentionContrast.{name} must not be empty; name one")
        for subject in self.subjects:
            if not subject:
                raise ValueError(f"each of AttentionContrast.subjects must have a word, got {self.subjects}")
            for word in subject:
                whole("each word of AttentionContrast.subjects", word, least=0)
        for layer in self.layers:
            whole("each of AttentionContrast.layers", layer, least=0)
        number("AttentionContrast.blur", self.blur, least=0.0)

    @property
    def reads_predictions(self) -> bool:
        return True

    @property
    def reads_drawn_codes(self) -> bool:
        return False

    def taps(self, context: ScoreContext) -> Sequence[AttentionTap]:
        columns = self._columns(context.batch)
        return [AttentionTap(layer, columns, f"contrast.{layer}") for layer in self.layers]

    def __call__(self, context: ScoreContext) -> Tensor:
        maps = torch.stack([context.taps[f"contrast.{layer}"].mean(1) for layer in self.layers]).mean(0)
        if self.blur:
            maps = blurred(maps, context.batch, self.blur)
        return self.contrast(maps)[:, :, None].expand(context.is_open.shape).contiguous()

    def contrast(self, maps: Tensor) -> Tensor:
        """float32 [B, L], from the maps [B, L, C] of all words, one subject behind the other."""
        own = torch.split(maps, [len(words) for words in self.subjects], dim=-1)
        found = []
        for place, mine in enumerate(own):
            others = [words for other, words in enumerate(own) if other != place]
            rival = torch.cat(others, -1).amax(-1) if others else 0.0
            found.append(mine.amin(-1) - rival)
        return torch.stack(found).amax(0)

    def _columns(self, batch: Batch) -> Tensor:
        """int64 [B, C], positions of the words in each row; -1 where its prompt is shorter."""
        prompt = (batch.stream == self.stream) & batch.valid
        words = torch.tensor([word for subject in self.subjects for word in subject], device=prompt.device)
        found = (prompt.cumsum(1)[:, None] == words[:, None] + 1) & prompt[:, None]  # [B, C, L]
        return torch.where(found.any(-1), found.int().argmax(-1), -1)


def blurred(maps: Tensor, batch: Batch, deviation: float) -> Tensor:
    """Maps float32 [B, L, C] under a Gaussian over places of one stream that are to be filled; weights sum to 1.

    Args:
        maps: by position.
        batch: gives coordinates and streams.
        deviation: in places of the grid.
    """
    mine = (batch.role == FILL).any(-1) & batch.valid
    apart = (batch.coordinates[:, :, None] - batch.coordinates[:, None]).double().square().sum(-1)
    near = torch.exp(-apart / (2 * deviation**2)) * (batch.stream[:, :, None] == batch.stream[:, None])
    near = near * mine[:, None]
    return (near / near.sum(-1, keepdim=True).clamp(min=math.ulp(0.0)) @ maps.double()).float()

"""Contrastive attention: places that look at one subject of the prompt, with all its words, and at no other first.

Source: UNCAGE, arXiv:2508.05399, section 4 (no code is published), on the order of Meissonic.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.batch import FILL
from tokenmask.models import AttentionTap
from tokenmask.scores import Score, ScoreContext, slot_noise


@dataclass(frozen=True)
class ContrastiveAttention(Score):
    """Logit of the drawn code + Gumbel noise that fades + ``weight`` times the contrast of the maps, while they guide.

    The map of a word is the attention of each place to it, averaged over heads and layers, blurred over the grid. The
    contrast is the largest, over subjects, of the least map of its words less the greatest map of the others' words.
    How the paper rescales maps before the blur is not published: here they stay probabilities.

    Args:
        subjects: of each, the places of its words (object and attributes) in the prompt, from 0; others' words are
            those of all other subjects.
        layers: blocks whose maps are averaged; the paper takes those that see words and picture alike.
        stream: number of the prompt's stream in the layout.
        weight: of the contrast; 0 is the order without it.
        blur: standard deviation in places of the grid; 0 leaves maps as they are.
        until: first steps of the stage that are guided.
        noise, noise_end: scale of the Gumbel noise in the first and in the last step.
    """

    subjects: tuple[tuple[int, ...], ...]
    layers: tuple[int, ...] = (0,)
    stream: int = 0
    weight: float = 3.0
    blur: float = 2.0
    until: int = 16
    noise: float = 1.0
    noise_end: float = 0.01

    def __post_init__(self) -> None:
        if not (self.layers and self.subjects and all(self.subjects)):
            raise ValueError(f"needs layers and subjects with a word each, got {self.layers} and {self.subjects}")

    @property
    def reads_predictions(self) -> bool:
        return True

    def taps(self, context: ScoreContext) -> Sequence[AttentionTap]:
        if not self._guides(context):
            return []
        return [AttentionTap(layer, self._columns(context), f"uncage.{layer}") for layer in self.layers]

    def __call__(self, context: ScoreContext) -> Tensor:
        done = context.progress.on("ends")
        scale = self.noise + (self.noise_end - self.noise) * done
        uniform = slot_noise(context) + 2.0**-25  # within (0, 1), so that both logarithms are finite
        score = context.predictions["logit"] - scale * torch.log(-torch.log(uniform))
        if not self._guides(context):
            return score
        maps = torch.stack([context.taps[f"uncage.{layer}"].mean(1) for layer in self.layers]).mean(0)
        return score + self.weight * self.contrast(self._blurred(maps, context))[:, :, None]

    def contrast(self, maps: Tensor) -> Tensor:
        """float32 [B, L], from the maps [B, L, C] of all subjects' words, one subject behind the other."""
        own = torch.split(maps, [len(words) for words in self.subjects], dim=-1)
        found = []
        for number, mine in enumerate(own):
            others = [words for other, words in enumerate(own) if other != number]
            least = mine.amin(-1)
            found.append(least - torch.cat(others, -1).amax(-1) if others else least)
        return torch.stack(found).amax(0)

    def _guides(self, context: ScoreContext) -> bool:
        return self.weight != 0 and context.progress.index < self.until

    def _columns(self, context: ScoreContext) -> Tensor:
        """int64 [B, C], the positions of the subjects' words in each row; -1 where a row's prompt is shorter."""
        prompt = (context.batch.stream == self.stream) & context.batch.valid
        words = torch.tensor([word for subject in self.subjects for word in subject], device=prompt.device)
        found = (prompt.cumsum(1)[:, None] == words[:, None] + 1) & prompt[:, None]  # [B, C, L]
        return torch.where(found.any(-1), found.int().argmax(-1), -1)

    def _blurred(self, maps: Tensor, context: ScoreContext) -> Tensor:
        """A Gaussian over the places of the same stream that are to be filled, which sums to 1 for each of them."""
        if not self.blur:
            return maps
        batch = context.batch
        mine = (batch.role == FILL).any(-1) & batch.valid
        apart = (batch.coordinates[:, :, None] - batch.coordinates[:, None]).double().square().sum(-1)
        near = torch.exp(-apart / (2 * self.blur**2)) * (batch.stream[:, :, None] == batch.stream[:, None])
        near = near * mine[:, None]
        return (near / near.sum(-1, keepdim=True).clamp(min=math.ulp(0.0)) @ maps.double()).float()

"""Predicted scores: which open slots are revealed first, from what the model predicts of their codes.

Arrow: inside the Sampler loop, ScoreContext with predictions --> float32 [B, L, K]. Does not know: how many slots, how
codes are drawn, models.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.scores.arguments import number
from tokenmask.scores.noise import slot_noise
from tokenmask.scores.score import Score, ScoreContext


class _Predicted(Score):
    """Base of scores that need what the model predicts."""

    @property
    def reads_predictions(self) -> bool:
        return True


@dataclass(frozen=True)
class ConfidenceScore(_Predicted):
    """Log-probability of the drawn code plus Gumbel noise that fades out.

    The noise has scale ``noise * (1 - progress)``; 0 is the pure low-confidence order of LLaDA (arXiv:2502.09992).
    Source: MaskGIT, arXiv:2202.04200, section 3.2 and published code, where the scale is 4.5. Both rank by the
    probability before temperature, as ``plain`` does; without it ours is theirs at the temperatures 1 and 0 alone.

    Args:
        noise: scale of the Gumbel noise at the start.
        plain: takes the probability of the logits before temperature, instead of the one that the code was drawn with.
    """

    noise: float = 0.0
    plain: bool = False

    def __post_init__(self) -> None:
        number("ConfidenceScore.noise", self.noise, least=0.0)

    def __call__(self, context: ScoreContext) -> Tensor:
        score = context.predictions["plain_logprob" if self.plain else "logprob"]
        scale = self.noise * (1 - context.progress)
        if scale > 0:
            # Half a step centres the 24-bit uniforms in (0, 1); a float32 rounds the last one up to 1, so it is held.
            inside = (slot_noise(context) + 2.0**-25).clamp(max=1 - 2.0**-24)
            score = score - scale * torch.log(-torch.log(inside))
        return score


@dataclass(frozen=True)
class MarginScore(_Predicted):
    """Probability of the best code minus that of the second. Source: arXiv:2502.06768, section 4.1."""

    @property
    def reads_drawn_codes(self) -> bool:
        return False

    def __call__(self, context: ScoreContext) -> Tensor:
        return context.predictions["margin"]


@dataclass(frozen=True)
class EntropyScore(_Predicted):
    """Lowest entropy first.

    Source: EB-Sampler, arXiv:2505.24857, section 3: its ranking alone; there the count follows from a bound.
    """

    @property
    def reads_drawn_codes(self) -> bool:
        return False

    def __call__(self, context: ScoreContext) -> Tensor:
        return -context.predictions["entropy"]

"""Running confidence: every step fills all that is open and hides again what the model was least sure of.

Source: RCR of MDPO, arXiv:2508.13148, published code (mdlm_generation_utils.py, ``rcr=True``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from tokenmask.masking import Linear
from tokenmask.sampling import ProcessSchedule, Revoke, RevokeContext, Schedule
from tokenmask.scores import Score, ScoreContext, best

NAME = "running_confidence"


@dataclass(frozen=True)
class FillAll(Schedule):
    """Every step fills all that is open."""

    def plan(self, initial: int, steps: int) -> list[int]:
        return [0] * steps


@dataclass(frozen=True)
class RunningConfidence(Score):
    """An order that carries how sure the model was of each code when it was last filled.

    Args:
        by: probability of the drawn code, entropy (negative) or margin between the two best, all as drawn from.
    """

    by: Literal["probability", "entropy", "margin"] = "probability"

    @property
    def reads_predictions(self) -> bool:
        return True

    def __call__(self, context: ScoreContext) -> Tensor:
        seen = context.predictions
        if self.by == "entropy":
            return -seen["entropy"]
        return seen["margin"] if self.by == "margin" else seen["logprob"].exp()

    def observe(self, context: ScoreContext) -> Mapping[str, Tensor]:
        sure = self(context)
        before = context.carry.get(NAME, torch.zeros_like(sure))
        return {NAME: torch.where(context.is_open, sure, before)}


@dataclass(frozen=True)
class Remask(Revoke):
    """Hides again, over all slots that hold a code, as many as a schedule leaves open, those with the least running
    confidence first; what was filled early goes too once others are surer.

    Args:
        left: how many of the slots stay hidden after each step; the default leaves floor(n (1 - (i + 1) / S)) of n.
        by: "probability" of each code when it was drawn, or what the order RunningConfidence "carried".
    """

    left: Schedule = field(default_factory=lambda: ProcessSchedule(Linear()))
    by: Literal["probability", "carried"] = "probability"

    def __call__(self, context: RevokeContext) -> Tensor | None:
        state, filled, progress = context.state, context.committed, context.progress
        if self.by == "carried" and NAME not in state.carry:
            raise ValueError("Remask by 'carried' needs what the order RunningConfidence carries; name it as order")
        sure = state.carry[NAME] if self.by == "carried" else state.score
        counts = [self.left.plan(count, progress.steps)[progress.index] for count in filled.sum((1, 2)).tolist()]
        return best(-sure, filled, torch.tensor(counts, device=filled.device))

"""Revoke: which committed slots are opened again before the next step.

Arrow: inside the Sampler loop. Does not know: codes, models. The schedule states how many slots stay open after each
step, so what is revoked is filled again in time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

from torch import Tensor

from tokenmask.batch import FILL
from tokenmask.masking.scores import best
from tokenmask.sampling.state import SamplerState


class Revoke(ABC):
    """Base of all revocations."""

    @abstractmethod
    def __call__(self, state: SamplerState, stage: Tensor, progress: float) -> Tensor | None:
        """Args:
            state: after a step.
            stage: bool [B, L, K], slots of the running stage.
            progress: 0 .. 1; not called after the last step of a stage.

        Returns:
            bool [B, L, K], slots to open again, or None. Only FILL slots of the stage may be named.
        """


@dataclass(frozen=True)
class NeverRevoke(Revoke):
    """What is committed stays."""

    def __call__(self, state: SamplerState, stage: Tensor, progress: float) -> Tensor | None:
        return None


@dataclass(frozen=True)
class RevokeLeastLikely(Revoke):
    """Opens the committed slots whose codes had the lowest log-probability when they were drawn.

    Source: the confidence-based remasking of ReMDM, arXiv:2503.00307, section 4.

    Args:
        share: of the committed slots of the stage, at the first step; falls linearly to 0.
    """

    share: float = 0.1

    def __call__(self, state: SamplerState, stage: Tensor, progress: float) -> Tensor | None:
        committed = stage & (state.batch.role == FILL) & ~state.is_open
        count = (committed.sum((1, 2)).double() * (self.share * (1 - progress))).floor().long()
        return best(-state.score, committed, count)

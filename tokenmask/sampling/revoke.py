"""Revoke: which committed slots are opened again before the next step.

Arrow: inside the Sampler loop. Does not know: codes, models. The schedule states how many slots stay open after each
step, so what is revoked is filled again in time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tokenmask.batch import FILL
from tokenmask.masking.processes import Linear, MaskingProcess
from tokenmask.ops import Purpose, uniform
from tokenmask.sampling.progress import Progress
from tokenmask.sampling.state import SamplerState
from tokenmask.scores import best, slot_counters


class Revoke(ABC):
    """Base of all revocations."""

    @abstractmethod
    def __call__(
        self, state: SamplerState, stage: Tensor, progress: Progress, predictions: Mapping[str, Tensor]
    ) -> Tensor | None:
        """Args:
            state: after a step.
            stage: bool [B, L, K], slots of the running stage.
            progress: of that step; not called after the last step of a stage.
            predictions: what the step predicted, see :class:`ScoreContext`.

        Returns:
            bool [B, L, K], slots to open again, or None. Only FILL slots of the stage may be named.
        """


@dataclass(frozen=True)
class NeverRevoke(Revoke):
    """What is committed stays."""

    def __call__(
        self, state: SamplerState, stage: Tensor, progress: Progress, predictions: Mapping[str, Tensor]
    ) -> Tensor | None:
        return None


@dataclass(frozen=True)
class RevokeLeastLikely(Revoke):
    """Opens the committed slots whose codes had the lowest log-probability when they were drawn.

    Our own rule, without a draw; :class:`RevokeDrawn` is the published one.

    Args:
        share: of the committed slots of the stage, at the start; falls linearly to 0.
    """

    share: float = 0.1

    def __call__(
        self, state: SamplerState, stage: Tensor, progress: Progress, predictions: Mapping[str, Tensor]
    ) -> Tensor | None:
        committed = _committed(state, stage)
        count = committed.sum((1, 2)).double() * (self.share * (1 - progress.on("after")))
        return best(-state.score, committed, count.floor().long())


@dataclass(frozen=True)
class RevokeDrawn(Revoke):
    """Opens each committed slot with a probability of its own, larger where its code was less likely when drawn.

    With p the probability of a slot's code when it was drawn, the softmax of -p over the committed slots of a row,
    times min(cap, (1 - alpha_s) / alpha_t); t is the time of the step that follows, s that after it. Source: ReMDM,
    arXiv:2503.00307, section 4, its "conf" law with the bound of "cap", and its published code. There a slot that was
    opened waits for the next step; here the step that follows may fill it at once.

    Args:
        cap: upper bound of the factor; 1 leaves the published "conf" law.
        process: gives alpha; the schedule's own is right.
    """

    cap: float = 1.0
    process: MaskingProcess = field(default_factory=Linear)

    def __post_init__(self) -> None:
        if not 0 < self.cap <= 1:
            raise ValueError(f"RevokeDrawn.cap must lie in 0..1 and above 0, got {self.cap}")

    def probability(self, state: SamplerState, stage: Tensor, progress: Progress) -> Tensor:
        """float32 [B, L, K], how probably each slot is opened; 0 for slots that are not committed."""
        committed = _committed(state, stage)
        conf = torch.where(committed, -state.score.exp(), -torch.inf).flatten(1).softmax(1).nan_to_num(0.0)
        done, steps = progress.index + 1, progress.steps
        alpha_t, alpha_s = (1 - self.process.share(1 - min(one / steps, 1.0)) for one in (done, done + 1))
        return conf.view_as(state.score) * min(self.cap, (1 - alpha_s) / alpha_t if alpha_t > 0 else 1.0)

    def __call__(
        self, state: SamplerState, stage: Tensor, progress: Progress, predictions: Mapping[str, Tensor]
    ) -> Tensor | None:
        rows, length, levels = state.is_open.shape
        counters = slot_counters(state.keys, length, levels).flatten()
        seeds = state.seeds[:, None, None].expand(rows, length, levels).flatten()
        draws = uniform(seed=seeds, counters=counters, purpose=Purpose.mask).view_as(state.score)
        return draws < self.probability(state, stage, progress)


def _committed(state: SamplerState, stage: Tensor) -> Tensor:
    return stage & (state.batch.role == FILL) & state.batch.valid[:, :, None] & ~state.is_open

"""Guidance: which extra inputs are run beside the conditional ones, and how strongly they push.

Arrow: inside the Sampler loop. Does not know: codes, orders, models. One parametrisation everywhere: u + s (c - u).
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch

from tokenmask.batch import FILL, Batch


class Guidance(ABC):
    """Base of all guidance."""

    @abstractmethod
    def scale(self, progress: float) -> float:
        """The s of u + s (c - u) at this progress; 1 means that no unconditional pass is needed."""

    @abstractmethod
    def unconditional(self, batch: Batch) -> Batch:
        """The same rows without their conditions, equal in shape."""


@dataclass(frozen=True)
class NoGuidance(Guidance):
    """One pass over the conditional inputs."""

    def scale(self, progress: float) -> float:
        return 1.0

    def unconditional(self, batch: Batch) -> Batch:
        return batch


@dataclass(frozen=True)
class ClassifierFree(Guidance):
    """Runs every row a second time with its conditions dropped.

    A condition is any stream of the row that has no slot to fill. Source: arXiv:2207.12598, eq. 6; papers that write
    (1 + w) c - w u mean s = 1 + w.

    Args:
        start: s at the first step.
        end: s towards the last step; None keeps ``start``.
        law: how s moves from start to end: "linear" in progress or "cosine" (slow at first). MAGNeT, arXiv:2401.04577,
            falls from 10 to 1; MaskGIT's PyTorch port rises linearly.
    """

    start: float = 2.0
    end: float | None = None
    law: Literal["linear", "cosine"] = "linear"

    def scale(self, progress: float) -> float:
        end = self.start if self.end is None else self.end
        share = progress if self.law == "linear" else 1 - math.cos(math.pi * progress / 2)
        return self.start + (end - self.start) * share

    def unconditional(self, batch: Batch) -> Batch:
        count = max(int(batch.stream.max()) + 1, 1)
        number = torch.arange(count, device=batch.device)
        member = batch.stream[:, :, None] == number
        filled = (member & (batch.role == FILL).any(-1, keepdim=True)).any(1)
        return batch.drop(member.any(1) & ~filled)

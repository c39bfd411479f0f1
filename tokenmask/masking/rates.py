"""Rates: how many slots of each row to hide in this training step.

Arrow: inside Masker. Does not know: which slots, ids, models.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import Tensor

from tokenmask.masking.processes import Cosine, MaskingProcess
from tokenmask.ops import Purpose, uniform


@dataclass(frozen=True, eq=False)
class Amount:
    """What a rate returns: exactly one of ``count`` and ``probability`` is set.

    Args:
        t: float32 [B], masking time.
        count: int64 [B], hide exactly that many slots.
        probability: float32 [B], hide each slot on its own.
        process: the law by which t became one of them, if there is one.
    """

    t: Tensor
    count: Tensor | None = None
    probability: Tensor | None = None
    process: MaskingProcess | None = None


class Rate(ABC):
    """Base of all rates."""

    @property
    def draws_for_batch(self) -> bool:
        """Whether the rows of a batch share a draw; if not, a row's amount follows from its own slots and key."""
        return False

    @property
    def each_slot_alone(self) -> bool:
        """Whether its amounts are probabilities; a masker then refuses whatever would choose among the slots."""
        return False

    @abstractmethod
    def __call__(self, num_maskable: Tensor, *, step: int, total_steps: int, seed: int, sample_ids: Tensor) -> Amount:
        """Args:
            num_maskable: int64 [B], slots of each row that may be hidden.
            step: optimisation step, from 0.
            total_steps: steps of the whole run.
            seed: of the run.
            sample_ids: int64 [B], keys of each row's randomness.

        Returns:
            the amount to hide in each row.
        """


@dataclass(frozen=True)
class ProcessRate(Rate):
    """Draws t uniformly in [low, high) and hides the share that a masking process gives.

    Args:
        process: hidden share over time.
        low, high: bounds of t.
        per: a t for each "sample" or one for the whole "batch" (MAGNeT).
        rounding: how share * slots becomes a count, or "bernoulli" to hide each slot on its own (LLaDA, MDLM).
        minimum: hide at least that many (rows with fewer maskable slots hide them all); exact counts only.
    """

    process: MaskingProcess = field(default_factory=Cosine)
    low: float = 0.0
    high: float = 1.0
    per: Literal["sample", "batch"] = "sample"
    rounding: Literal["ceil", "floor", "round", "bernoulli"] = "ceil"
    minimum: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.low < self.high <= 1:
            raise ValueError(
                f"ProcessRate needs 0 <= low < high <= 1, got {self.low} and {self.high}; change one of them"
            )

    @property
    def draws_for_batch(self) -> bool:
        return self.per == "batch"

    @property
    def each_slot_alone(self) -> bool:
        return self.rounding == "bernoulli"

    def __call__(self, num_maskable: Tensor, *, step: int, total_steps: int, seed: int, sample_ids: Tensor) -> Amount:
        keys = sample_ids if self.per == "sample" else sample_ids[:1].expand_as(sample_ids)
        t = self.low + (self.high - self.low) * uniform(seed=seed, counters=keys.contiguous(), purpose=Purpose.rate)
        share = self.process.hidden(t)
        if self.rounding == "bernoulli":
            return Amount(t, probability=share, process=self.process)
        slots = share.double() * num_maskable  # in double, so that a count does not hang on a float's last bit
        count = {"ceil": torch.ceil, "floor": torch.floor, "round": torch.round}[self.rounding](slots).long()
        return Amount(t, count=torch.minimum(count.clamp(min=self.minimum), num_maskable), process=self.process)


@dataclass(frozen=True)
class FixedRate(Rate):
    """Hides the same share of every row: BERT's 15 per cent. Source: arXiv:1810.04805, section 3.1; arXiv:2202.08005.

    Args:
        share: hidden share in 0..1, rounded to a count of at least one.
    """

    share: float = 0.15

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"FixedRate.share must lie in 0..1, got {self.share}; write it as a share, 0.3 for 30 %")

    def __call__(self, num_maskable: Tensor, *, step: int, total_steps: int, seed: int, sample_ids: Tensor) -> Amount:
        count = torch.round(self.share * num_maskable.double()).long().clamp(min=1)
        t = torch.full(num_maskable.shape, self.share, dtype=torch.float32, device=num_maskable.device)
        return Amount(t, count=torch.minimum(count, num_maskable))

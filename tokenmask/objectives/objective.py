"""Objective: what a model is trained for.

Arrow: MaskedBatch + model --**Objective**--> Loss --> Trainer. Does not know: optimisers, modalities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

from tokenmask.masking.masked_batch import MaskedBatch
from tokenmask.models import MaskedModel


@dataclass(frozen=True, eq=False)
class Loss:
    """The result of an objective.

    Args:
        sum: float32 scalar with a gradient.
        weight: float32 scalar that it is divided by: a number of terms, rows or slots. Sums and weights of the parts of
            a batch add up to those of the batch.
        parts: detached scalars for logging, by name. "x/count" is a number of terms, any other "x/..." a mean over as
            many.
    """

    sum: Tensor
    weight: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)

    @property
    def total(self) -> Tensor:
        """sum / weight, float32 scalar with a gradient: what is minimised."""
        return self.sum / torch.where(self.weight > 0, self.weight, 1.0)


class Objective(Protocol):
    """A loss of a model on a masked batch."""

    def __call__(self, model: MaskedModel, masked: MaskedBatch, extra: Mapping[str, Any] | None = None) -> Loss:
        """``extra`` carries what a procedure adds: a teacher's output, a previous step, class weights."""
        ...

"""Objective: what a model is trained for.

Arrow: MaskedBatch + model --**Objective**--> Loss --> Trainer. Does not know: optimisers, modalities.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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


class Objective(ABC):
    """Base: a loss of a model on a masked batch; a frozen dataclass, named by recipes.

    What must hold: the sum is finite and has a gradient for the model;
    the weight is not negative, and without any term the loss is 0; both are those of the rows alone, so that over
    ``masked.rows(...)`` they add up to those of the whole batch, in whatever shares; nothing is drawn.
    """

    @abstractmethod
    def __call__(self, model: MaskedModel, masked: MaskedBatch, extra: Mapping[str, Any] | None = None) -> Loss:
        """Args:
            model: scores the queries of its choice.
            masked: the batch.
            extra: what a procedure adds: a teacher's output, a previous step, class weights.

        Returns:
            sum, weight and parts, see :class:`Loss`.
        """

"""Objective: what a model is trained for.

Arrow: MaskedBatch + model --**Objective**--> Loss --> Trainer. Does not know: optimisers, modalities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from torch import Tensor

from tokenmask.masking.masked_batch import MaskedBatch
from tokenmask.models import MaskedModel


@dataclass(frozen=True, eq=False)
class Loss:
    """The result of an objective.

    Args:
        total: float32 scalar with a gradient: what is minimised.
        parts: detached scalars for logging, by name.
    """

    total: Tensor
    parts: dict[str, Tensor] = field(default_factory=dict)


class Objective(Protocol):
    """A loss of a model on a masked batch."""

    def __call__(self, model: MaskedModel, masked: MaskedBatch, extra: Mapping[str, Any] | None = None) -> Loss:
        """``extra`` carries what a procedure adds: a teacher's output, a previous step, class weights."""
        ...

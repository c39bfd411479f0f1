"""Procedure: what a training step computes when there is more than one model or view.

Arrow: MaskedBatch + model + Objective --**Procedure**--> Loss --> Trainer. Does not know: optimisers, data, modalities.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor

from tokenmask.masking import MaskedBatch
from tokenmask.models import MaskedModel
from tokenmask.objectives import Loss, Objective


class Procedure(ABC):
    """Base: what a step computes, what it does after the weights have moved, and what it keeps from step to step.

    A procedure is a value (a frozen dataclass, named by recipes). What it keeps lives in the ``kept`` tensors alone,
    which the trainer saves in checkpoints and restores: so a resumed run goes on bit for bit.
    """

    def state(self, model: MaskedModel) -> dict[str, Tensor]:
        """The ``kept`` tensors before the first step, by name; none here.

        Args:
            model: with its first weights, on its device; shared out among processes where the training does that, so
                that a clone of a weight is shared out like it.
        """
        return {}

    @abstractmethod
    def loss(self, model: MaskedModel, masked: MaskedBatch, objective: Objective, kept: dict[str, Tensor]) -> Loss:
        """The loss of one process' rows of a batch.

        Args:
            model: has gradients. Called once, or torch's wrappers for several processes must be told of it.
            masked: the rows.
            objective: of the recipe; what the procedure adds goes in as its ``extra``.
            kept: read only.

        Returns:
            sums and weights that add up over the shares of a batch, as :class:`~tokenmask.objectives.Loss` says.
        """

    def after(self, model: MaskedModel, kept: dict[str, Tensor]) -> None:
        """Is called when the optimiser has moved the weights; may change the ``kept`` tensors in place."""
        return

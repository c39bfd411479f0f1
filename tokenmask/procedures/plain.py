"""Plain: one model, one view, one objective."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from tokenmask.layout import Layout
from tokenmask.masking import MaskedBatch
from tokenmask.models import MaskedModel
from tokenmask.objectives import Loss, Objective
from tokenmask.procedures.procedure import Procedure


@dataclass(frozen=True)
class Plain(Procedure):
    """The objective of the batch as it is.

    Args:
        class_weights: a weight for each code of a level, for an objective with weight "class"; levels are named by
            their stream where it has one ("text"), else with their number ("audio.2"). Levels not named count 1.
    """

    class_weights: Mapping[str, tuple[float, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, weights in self.class_weights.items():
            if not weights or min(weights) < 0 or max(weights) <= 0:
                raise ValueError(
                    f"class_weights of {name!r} must be numbers from 0 on and not all 0, got {weights}; "
                    "1 is the usual weight"
                )

    def loss(self, model: MaskedModel, masked: MaskedBatch, objective: Objective, kept: dict[str, Tensor]) -> Loss:
        """See :meth:`Procedure.loss`.

        Raises:
            ValueError: class weights of a level that the layout does not have, or of another number of codes.
        """
        return objective(model, masked, self._extra(model.layout))

    def _extra(self, layout: Layout) -> dict[str, Any]:
        weights = {}
        for name, values in self.class_weights.items():
            stream, _, level = name.partition(".")
            levels = layout.streams[stream].num_levels if stream in layout.streams else 0
            number = int(level) if level.isdigit() else 0 if levels == 1 and not level else levels
            if number >= levels:
                known = [f"{one}.{at}" for one, spec in layout.streams.items() for at in range(spec.num_levels)]
                raise ValueError(
                    f"class_weights may name the levels {', '.join(known)}, got {name!r}; name one of these"
                )
            head = layout.head(stream, number)
            if head in weights:
                raise ValueError(f"class_weights must name each level once, got {name!r} again; leave one out")
            size = layout.ranges[head].size
            if len(values) != size:
                raise ValueError(
                    f"class_weights of {name!r} must be {size}, one for each code, got {len(values)}; "
                    "list a weight for every code, the end code among them"
                )
            weights[head] = torch.tensor(values)
        return {"class_weights": weights} if weights else {}

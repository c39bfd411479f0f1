"""A running mean of a module's parameters."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class EMA:
    """Exponential moving average of parameters: mean <- decay * mean + (1 - decay) * parameter.

    Args:
        module: whose parameters are followed; buffers are not.
        decay: in 0..1.
        warm_up: use min(decay, (1 + n) / (10 + n)) at update n, so that early steps are forgotten.

    Source of the warm-up: TensorFlow's ExponentialMovingAverage, ``num_updates``.
    """

    def __init__(self, module: nn.Module, decay: float = 0.999, *, warm_up: bool = True) -> None:
        if not 0 <= decay <= 1:
            raise ValueError(f"an EMA decay lies in 0..1, got {decay}; 0.999 is usual")
        self.decay, self.warm_up, self.updates = decay, warm_up, 0
        self.means: dict[str, Tensor] = {name: value.detach().clone() for name, value in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Moves the means towards the parameters."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.warm_up else self.decay
        values = dict(module.named_parameters())
        torch._foreach_lerp_(list(self.means.values()), [values[name] for name in self.means], 1 - decay)
        self.updates += 1

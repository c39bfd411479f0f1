"""A running mean of a module's parameters."""

from __future__ import annotations

from collections.abc import Mapping

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
            raise ValueError(f"an EMA decay lies in 0..1, got {decay}")
        self.decay, self.warm_up, self.updates = decay, warm_up, 0
        self.means: dict[str, Tensor] = {name: value.detach().clone() for name, value in module.named_parameters()}

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Moves the means towards the parameters."""
        decay = min(self.decay, (1 + self.updates) / (10 + self.updates)) if self.warm_up else self.decay
        values = dict(module.named_parameters())
        torch._foreach_lerp_(list(self.means.values()), [values[name] for name in self.means], 1 - decay)
        self.updates += 1

    @torch.no_grad()
    def copy_to(self, module: nn.Module) -> None:
        """Writes the means into the parameters."""
        for name, value in module.named_parameters():
            value.copy_(self.means[name])

    def load(self, means: Mapping[str, Tensor], updates: int) -> None:
        """Takes saved means back.

        Raises:
            ValueError: other names than those of the module.
        """
        if set(means) != set(self.means):
            names = sorted(set(means) ^ set(self.means))
            raise ValueError(f"saved means must have the module's parameters, but {names[:3]} differ")
        for name, value in means.items():
            self.means[name].copy_(value)
        self.updates = updates

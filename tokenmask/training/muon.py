"""Muon: momentum whose matrix is replaced by the nearest orthogonal one.

Does not know: models. torch has it too (``torch.optim.Muon``), but iterates in bfloat16, which on a CPU that does not
multiply in bfloat16 takes several times as long as the rest of a step; this one iterates in the parameters' own
precision unless it is told otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from tokenmask.processes import part_of, whole

# Coefficients of the quintic iteration, from the published code of Muon.
_A, _B, _C, _STEPS = 3.4445, -4.7750, 2.0315, 5


class Muon(torch.optim.Optimizer):
    """For matrices inside a network; embeddings, heads and vectors want AdamW.

    The update is scaled by 0.2 sqrt(max(rows, columns)), which gives it the usual size of AdamW's, so one learning rate
    serves both. Source: K. Jordan et al., "Muon", 2024; scale and weight decay: arXiv:2502.16982, section 2.2.

    A matrix that several processes share (``fully_shard``) is gathered when its turn comes, and each of them iterates
    on all of it.

    Args:
        parameters: float [rows, columns] each.
        lr: learning rate.
        momentum: of the running mean of gradients; Nesterov.
        weight_decay: decoupled.
        iteration: dtype of the iteration, the parameters' own if None. K. Jordan's iterates in bfloat16.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float,
        momentum: float = 0.95,
        weight_decay: float = 0.0,
        iteration: torch.dtype | None = None,
    ) -> None:
        super().__init__(parameters, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        self.iteration = iteration
        for group in self.param_groups:
            if any(parameter.dim() != 2 for parameter in group["params"]):
                raise ValueError("Muon takes matrices only; give vectors and embeddings to AdamW")

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.grad is None:
                    continue
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                mean = state["momentum"].lerp_(parameter.grad, 1 - group["momentum"])
                nesterov = whole(parameter.grad.lerp(mean, group["momentum"]))
                update = part_of(orthogonal(nesterov, self.iteration), parameter)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.add_(update, alpha=-group["lr"] * 0.2 * math.sqrt(max(parameter.shape)))


def orthogonal(matrix: Tensor, iteration: torch.dtype | None = None) -> Tensor:
    """About the nearest (semi-)orthogonal matrix: singular values between 0.7 and 1.2, by Newton-Schulz iteration.

    Args:
        matrix: float [rows, columns].
        iteration: dtype of the iteration, that of the matrix if None; the norm before it is the matrix' own.

    Returns:
        a new tensor of that shape and dtype; zeros stay zeros.
    """
    x: Tensor = matrix.T if matrix.shape[0] > matrix.shape[1] else matrix
    x = (x / x.norm().clamp(min=1e-7)).to(iteration or matrix.dtype)
    for _ in range(_STEPS):
        square = x @ x.T
        x = _A * x + (_B * square + _C * square @ square) @ x
    x = x.to(matrix.dtype)
    return x.T if matrix.shape[0] > matrix.shape[1] else x

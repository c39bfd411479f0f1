"""AdamW: the usual optimiser, with Muon for the matrices inside a network where that is asked for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import nn

from tokenmask.nn import check_bfloat16_products
from tokenmask.training.muon import Muon
from tokenmask.training.optimiser import Optimiser


@dataclass(frozen=True)
class AdamW(Optimiser):
    """AdamW for everything, or for all but the matrices inside the network if Muon takes these.

    Args:
        weight_decay: of matrices; vectors (norms, biases) have none. Source: AdamW, arXiv:1711.05101.
        beta1, beta2: of AdamW.
        muon: the matrices of the blocks are updated by :class:`~tokenmask.training.muon.Muon`, with one learning rate.
        iteration: "bfloat16" lets Muon iterate in it, as K. Jordan (2024) does, with products twice as fast on a CPU
            that can; refused where the device does not multiply in bfloat16 by itself.
    """

    weight_decay: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.98
    muon: bool = False
    iteration: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self) -> None:
        if not (0 <= self.beta1 < 1 and 0 <= self.beta2 < 1 and 0 <= self.weight_decay < 1e6):
            raise ValueError(
                "beta1 and beta2 of AdamW must lie in 0..1 and weight_decay in 0..1e6, got "
                f"{self.beta1}, {self.beta2} and {self.weight_decay}; "
                "0.9, 0.98 and 0.05 are usual"
            )
        if self.iteration != "float32" and not self.muon:
            raise ValueError("iteration of AdamW is Muon's, got bfloat16 without muon; set muon true, or leave it out")

    def make(
        self, parameters: Mapping[str, nn.Parameter], inner: Collection[str], lr: float
    ) -> dict[str, torch.optim.Optimizer]:
        taken = set(inner) if self.muon else set()
        if self.muon and not taken:
            raise ValueError(
                "AdamW.muon needs matrices inside a network, but this one has none; set training.optimiser.muon=false"
            )
        outer = [own for name, own in parameters.items() if name not in taken]
        groups: list[dict[str, Any]] = [
            {"params": [own for own in outer if own.dim() >= 2]},
            {"params": [own for own in outer if own.dim() < 2], "weight_decay": 0.0},
        ]
        betas = (self.beta1, self.beta2)
        made: dict[str, torch.optim.Optimizer] = {
            "adamw": torch.optim.AdamW(groups, lr=lr, betas=betas, weight_decay=self.weight_decay, fused=True)
        }
        if taken:
            matrices = [own for name, own in parameters.items() if name in taken]
            reduced = self.iteration == "bfloat16"
            if reduced:
                check_bfloat16_products(matrices[0].device, "training.optimiser.iteration")
            made["muon"] = Muon(
                matrices, lr, weight_decay=self.weight_decay, iteration=torch.bfloat16 if reduced else None
            )
        return made

"""Optimiser: which rule moves which weights.

Arrow: parameters --**Optimiser**--> torch optimisers, which the Trainer steps, saves and restores. Does not know:
models, losses, the law of the learning rate.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Collection, Mapping

import torch
from torch import nn


class Optimiser(ABC):
    """Base: makes the optimisers of a training; a frozen dataclass, named by recipes.

    What must hold: every parameter is moved by exactly one of them, and does not move without a gradient or at a
    learning rate of 0; the trainer sets "lr" of every group in every step; nothing is drawn; what is kept of a
    parameter, in ``optimizer.state``, is tensors of its shape or of one number, so that a training that was stopped
    goes on bit for bit and weights that are shared out among processes share it out too.
    """

    @abstractmethod
    def make(
        self, parameters: Mapping[str, nn.Parameter], inner: Collection[str], lr: float
    ) -> dict[str, torch.optim.Optimizer]:
        """Args:
            parameters: by name, all of a model.
            inner: names of the matrices inside the network, neither embeddings nor heads.
            lr: the highest learning rate.

        Returns:
            optimisers by name; they step in this order, and checkpoints hold what they keep under these names.
        """


def optimisers_of(
    optimiser: Optimiser, parameters: Mapping[str, nn.Parameter], inner: Collection[str], lr: float
) -> dict[str, torch.optim.Optimizer]:
    """What :meth:`Optimiser.make` gives.

    Raises:
        ValueError: a parameter that none of them moves, or several do.
    """
    made = optimiser.make(parameters, inner, lr)
    names = {id(own): name for name, own in parameters.items()}
    held = Counter(id(own) for one in made.values() for group in one.param_groups for own in group["params"])
    wrong = [f"{name} {held[number]} times" for number, name in names.items() if held[number] != 1]
    wrong += ["one that is not the model's" for number in held if number not in names]
    if wrong:
        raise ValueError(
            f"{type(optimiser).__name__} must give every parameter of the model to one optimiser once, but gives "
            f"{', '.join(wrong[:3])}; mend its make"
        )
    return made

"""Networks of ours that hold tensors by the names under which others published them.

Does not know: files, what a network is for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch.nn.functional as F
from torch import Tensor, nn


class Named(nn.Module):
    """Tensors by name, in float32, and the layers that are made of a weight and a bias.

    Args:
        tensors: by their published names.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        super().__init__()
        held = {name.replace(".", "/"): nn.Parameter(own.float(), requires_grad=False) for name, own in tensors.items()}
        self.held = nn.ParameterDict(held)

    def tensor(self, name: str) -> Tensor:
        """A tensor by its published name; KeyError where there is none."""
        key = name.replace(".", "/")
        if key not in self.held:
            raise KeyError(name)
        found: Tensor = self.held[key]
        return found

    def has(self, name: str) -> bool:
        """Whether there is a tensor of that name."""
        return name.replace(".", "/") in self.held

    def linear(self, x: Tensor, name: str) -> Tensor:
        """Of ``name.weight`` and ``name.bias``."""
        return F.linear(x, self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias"))

    def layer_norm(self, x: Tensor, name: str, eps: float) -> Tensor:
        """Over the last axis, of ``name.weight`` and ``name.bias``."""
        return F.layer_norm(x, x.shape[-1:], self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias"), eps)

    def group_norm(self, x: Tensor, name: str, groups: int) -> Tensor:
        """Over groups of channels, of ``name.weight`` and ``name.bias``."""
        return F.group_norm(x, groups, self.tensor(f"{name}.weight"), self.tensor(f"{name}.bias"))

    def count(self, pattern: str) -> int:
        """How many numbers in a row, from 0 on, put into a pattern, name a tensor."""
        return counted(pattern, (name.replace("/", ".") for name in self.held))


def counted(pattern: str, names: Iterable[str], first: int = 0) -> int:
    """How many numbers in a row, from ``first`` on, put into a pattern, are among the names."""
    known, count = set(names), 0
    while pattern.format(first + count) in known:
        count += 1
    return count


def check_names(wanted: set[str], tensors: Mapping[str, Tensor], who: str, whose: str) -> None:
    """ValueError in a sentence unless the tensors are those that a network has."""
    for name in sorted(wanted ^ set(tensors)):
        what = "has no place for" if name in tensors else "needs"
        raise ValueError(f"{who} {what} the tensor {name}; take the weights of {whose}")

"""Potts: a small grid whose neighbours like to be alike."""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.worlds.enumerated import Enumerated
from tokenmask.worlds.world import Part


@dataclass(frozen=True)
class Potts(Enumerated):
    """exp(coupling x neighbours that are equal + field x codes that are 0), over one stream, "grid".

    Args:
        side: rows and columns.
        states: number of codes; states ** (side * side) of at most 2^16 are listed.
        coupling: in nats.
        field: likewise; other than 0, so that codes are not interchangeable.
    """

    side: int = 3
    states: int = 2
    coupling: float = 0.7
    field: float = 0.2

    def __post_init__(self) -> None:
        if self.side < 1 or not 1 <= self.states <= 26 or self.states ** (self.side**2) > 1 << 16:
            raise ValueError(f"Potts lists up to 65536 grids, got {self.states} states on {self.side} x {self.side}")

    @property
    def parts(self) -> Mapping[str, Part]:
        return {"grid": Part(tuple(string.ascii_lowercase[: self.states]), (self.side, self.side))}

    def possible(self) -> tuple[Tensor, Tensor]:
        codes = torch.cartesian_prod(*[torch.arange(self.states)] * self.side**2).view(-1, self.side, self.side)
        alike = (codes[:, 1:] == codes[:, :-1]).sum((1, 2)) + (codes[:, :, 1:] == codes[:, :, :-1]).sum((1, 2))
        energy = self.coupling * alike.double() + self.field * (codes == 0).sum((1, 2)).double()
        return codes.flatten(1), energy.exp()

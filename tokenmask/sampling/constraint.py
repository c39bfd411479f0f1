"""Constraints: which codes may be drawn.

Arrow: inside the Sampler loop. Does not know: slots, orders, models.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tokenmask.layout import Layout


class Constraint(ABC):
    """Base of all constraints."""

    @abstractmethod
    def allowed(self, layout: Layout, head: int) -> Tensor | None:
        """bool [size of the range ``head``], True for codes that may be drawn; None allows all."""


@dataclass(frozen=True)
class AllowAll(Constraint):
    """Every code of a slot's range may be drawn."""

    def allowed(self, layout: Layout, head: int) -> Tensor | None:
        return None


@dataclass(frozen=True)
class ForbidCodes(Constraint):
    """Some codes of level 0 of some streams are never drawn: a stream's end code, rare glyphs, a silent frame.

    Args:
        codes: stream name -> local codes of level 0.
    """

    codes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def allowed(self, layout: Layout, head: int) -> Tensor | None:
        owner = layout.ranges[head]
        forbidden = self.codes.get(owner.stream, ()) if owner.level == 0 else ()
        if not forbidden:
            return None
        if not all(0 <= code < owner.size for code in forbidden):
            raise ValueError(f"ForbidCodes for {owner.stream!r} must lie in 0..{owner.size - 1}, got {forbidden}")
        allowed = torch.ones(owner.size, dtype=torch.bool)
        allowed[list(forbidden)] = False
        return allowed


@dataclass(frozen=True)
class AllOf(Constraint):
    """A code may be drawn if each of some constraints allows it.

    Args:
        parts: the constraints.
    """

    parts: tuple[Constraint, ...] = ()

    def allowed(self, layout: Layout, head: int) -> Tensor | None:
        masks = [mask for part in self.parts if (mask := part.allowed(layout, head)) is not None]
        return torch.stack(masks).all(0) if masks else None

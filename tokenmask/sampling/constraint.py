"""Constraints: which codes may be drawn, and how much a row is worth beside what the model says of it.

Arrow: inside the Sampler loop, SlotContext --> bool [V] or [N, V]; StepContext --> float64 [B]. Does not know: orders,
models.
"""

from __future__ import annotations

import functools
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from tokenmask.sampling.context import SlotContext, StepContext, adapt_old


class Constraint(ABC):
    """Base of all constraints. A subclass with ``allowed(layout, head)``, as in tokenmask 0.1, is told to change."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        adapt_old(cls, "allowed", 3, "allowed(self, context)", lambda old, one, at: old(one, at.layout, at.head))

    @abstractmethod
    def allowed(self, context: SlotContext) -> Tensor | None:
        """Which codes of the range ``context.head`` may be drawn.

        Args:
            context: layout, state (what stands in the row so far), slots and step.

        Returns:
            True for codes that may be drawn, one at the least: bool [V] for all slots alike, bool [N, V] for each slot
            of ``context.slots``, or None, which allows all. A row's own must not depend on other rows.
        """

    def accepts(self, context: SlotContext, which: Tensor, codes: Tensor) -> Tensor:
        """Whether single codes may be drawn: what picks ask that test few of them (``Pick.tests``).

        Args:
            context: as for :meth:`allowed`.
            which: int64 [n], numbers of slots in ``context.slots``.
            codes: int64 [n], a code for each of them.

        Returns:
            bool [n]; what :meth:`allowed` says of them, unless a subclass knows it at less cost.
        """
        asked, held = which.unique(return_inverse=True)  # type: ignore[no-untyped-call]
        allowed = self.allowed(replace(context, slots=context.slots[asked]))  # of the slots that are asked, no others
        if allowed is None:
            return torch.ones(len(codes), dtype=torch.bool)
        return allowed[codes] if allowed.dim() == 1 else allowed[held, codes]

    def later(self) -> Constraint:
        """What holds in windows of a long stream behind the first: itself, unless it is about how a stream begins."""
        return self

    @property
    def reweighs(self) -> bool:
        """Whether :meth:`worth` says something, which particles then weigh."""
        return False

    def worth(self, context: StepContext) -> Tensor | None:
        """How much more probable each row is to be for what stands in it, for :class:`Particles` to weigh.

        Args:
            context: after a step; ``context.state`` holds what stands.

        Returns:
            float64 [B], logarithms, -inf for never; None is 0 for all. What counts is the worth of rows with nothing
            open; that of others is a guess which lets particles be dropped early. A row's own must not depend on other
            rows.
        """
        return None


class Predicate(Constraint):
    """Base of constraints that judge a whole stream, in Python, with one more code in it: a parser, a checker.

    Attributes:
        stream: name of the stream whose codes of level 0 are judged.
    """

    stream: str

    @abstractmethod
    def holds(self, codes: Sequence[int]) -> bool:
        """Whether a stream may still become good.

        Args:
            codes: of level 0, in packing order; -1 where nothing stands yet.
        """

    def allowed(self, context: SlotContext) -> Tensor | None:
        owner = context.layout.ranges[context.head]
        if (owner.stream, owner.level) != (self.stream, 0):
            return None
        which = torch.arange(len(context.slots)).repeat_interleave(owner.size)
        return self.accepts(context, which, torch.arange(owner.size).repeat(len(context.slots))).view(-1, owner.size)

    def accepts(self, context: SlotContext, which: Tensor, codes: Tensor) -> Tensor:
        owner = context.layout.ranges[context.head]
        if (owner.stream, owner.level) != (self.stream, 0):
            return torch.ones(len(codes), dtype=torch.bool)
        state, batch = context.state, context.state.batch
        _, length, levels = batch.shape
        at = torch.div(context.slots[which], levels, rounding_mode="floor")
        asked = torch.div(at, length, rounding_mode="floor")
        rows, held = asked.unique(return_inverse=True)  # type: ignore[no-untyped-call]
        stands = torch.where(state.is_open[rows], -1, context.layout.codes_of(batch.ids[rows]))[..., 0].tolist()
        inside = ((batch.stream[rows] == context.layout.index(self.stream)) & batch.valid[rows]).tolist()
        found = []
        for row, place, code in zip(held.tolist(), (at % length).tolist(), codes.tolist(), strict=True):
            mine = [*stands[row][:place], code, *stands[row][place + 1 :]]
            found.append(self.holds([one for one, own in zip(mine, inside[row], strict=True) if own]))
        return torch.tensor(found, dtype=torch.bool)


@dataclass(frozen=True)
class AllowAll(Constraint):
    """Every code of a slot's range may be drawn."""

    def allowed(self, context: SlotContext) -> Tensor | None:
        return None


@dataclass(frozen=True)
class ForbidCodes(Constraint):
    """Some codes of level 0 of some streams are never drawn: a stream's end code, rare glyphs, a silent frame.

    Args:
        codes: stream name -> local codes of level 0.
    """

    codes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def allowed(self, context: SlotContext) -> Tensor | None:
        owner = context.layout.ranges[context.head]
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

    def allowed(self, context: SlotContext) -> Tensor | None:
        device = context.slots.device
        masks = [mask.to(device) for part in self.parts if (mask := part.allowed(context)) is not None]
        return functools.reduce(torch.logical_and, masks) if masks else None

    def accepts(self, context: SlotContext, which: Tensor, codes: Tensor) -> Tensor:
        found = torch.ones(len(codes), dtype=torch.bool)
        for part in self.parts:
            asked = found.nonzero().squeeze(1)
            found[asked] = part.accepts(context, which[asked], codes[asked]).cpu()
        return found

    def later(self) -> Constraint:
        """Those of its parts."""
        return AllOf(tuple(part.later() for part in self.parts))

    @property
    def reweighs(self) -> bool:
        """Whether a part does."""
        return any(part.reweighs for part in self.parts)

    def worth(self, context: StepContext) -> Tensor | None:
        """The sum of theirs, so what they stand for is multiplied."""
        said = [own for part in self.parts if (own := part.worth(context)) is not None]
        return functools.reduce(torch.add, said) if said else None

"""Guidance: which extra inputs are run beside the conditional ones, and how strongly they push.

Arrow: inside the Sampler loop, StepContext --> batches. Does not know: orders, models. One parametrisation everywhere:
u + s (c - u) + sum_j w_j (c_j - u); c: what is given, u: nothing or a negative condition, c_j: further conditions.

All conditions of a row stand in one sequence. Those beside the given ones (*companions*) are invalid in its main pass;
the feature "companion" of a batch, int8 [B, L], numbers their positions, and each pass makes its own ones valid.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from tokenmask.batch import ABSENT, FILL, GIVEN, Batch
from tokenmask.ops import Purpose
from tokenmask.sampling.context import StepContext, adapt_old
from tokenmask.scores import Grid, Progress, best
from tokenmask.scores.arguments import number, one_of

COMPANION = "companion"  # name of the feature; its values: 0 is the main pass, then
NEGATIVE, FURTHER = 1, 2  # what is pushed away from; the first of the further conditions, which count up


class Guidance(ABC):
    """Base of all guidance.

    A subclass whose ``unconditional`` and ``further`` take the batch alone, as in tokenmask 0.1, is told to change.

    Attributes:
        grid: the progress that :meth:`scale` is told.
    """

    grid: Grid = "before"

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        for name in ("unconditional", "further"):
            adapt_old(cls, name, 2, f"{name}(self, batch, context)", lambda old, one, batch, _: old(one, batch))

    @abstractmethod
    def scale(self, progress: Progress) -> float:
        """The s of u + s (c - u) at this progress; 1 means that no unconditional pass is needed."""

    def at(self, strength: float) -> Guidance:
        """The same law, scaled so that its strongest s is ``strength``."""
        raise ValueError(f"guidance can be set for ClassifierFree and NoGuidance, got {self}; leave guidance out")

    def beside(self, weights: Sequence[float]) -> Guidance:
        """The same guidance with these weights of the further conditions, in place of any that it has.

        Args:
            weights: one for each further condition; the logits gain w (c - u).

        Raises:
            ValueError: it takes none.
        """
        raise ValueError(
            f"further conditions go with ClassifierFree and NoGuidance, got {self}; leave them out, or write the "
            "guidance's beside"
        )

    @property
    def pushes_away(self) -> bool:
        """Whether it ever pushes away from a negative condition of a row, if there is one."""
        return False

    def changes(self, conditions: bool, context: bool) -> bool:
        """Whether it may change what is drawn in a row.

        Args:
            conditions: the row has conditions, also negative or further ones.
            context: a part of the streams to fill is given.
        """
        return True

    @abstractmethod
    def unconditional(self, batch: Batch, context: StepContext) -> Batch:
        """The same rows without their conditions, with their negative ones or with a part of them hidden.

        Args:
            batch: the rows as they stand.
            context: what is open in them, their seeds and draws (``context.state.draws``), and the step.

        Returns:
            rows of equal shape in the same order, each a function of its own row alone.
        """

    def further(self, batch: Batch, context: StepContext) -> Sequence[tuple[Batch, float]]:
        """The same rows under each further condition, and its weight; as many in every step."""
        return ()

    def taps(self, context: StepContext) -> Sequence[Hashable]:
        """What it wants of the model besides logits, see ``Score.taps``; :meth:`observe` is given it."""
        return ()

    def observe(self, context: StepContext, seen: Mapping[str, Tensor]) -> Mapping[str, Tensor]:
        """What it wants to find in ``context.state.carry`` from the next step on, tensors [B, ...] by name.

        Args:
            context: as the other methods were given it.
            seen: taps of the conditional pass, by name.
        """
        return {}


@dataclass(frozen=True)
class NoGuidance(Guidance):
    """One pass over the conditional inputs."""

    def scale(self, progress: Progress) -> float:
        return 1.0

    def at(self, strength: float) -> Guidance:
        return ClassifierFree(strength)

    def beside(self, weights: Sequence[float]) -> Guidance:
        return ClassifierFree(1.0, weights=tuple(weights))

    def changes(self, conditions: bool, context: bool) -> bool:
        return False

    def unconditional(self, batch: Batch, context: StepContext) -> Batch:
        return batch


@dataclass(frozen=True)
class ClassifierFree(Guidance):
    """Runs every row a second time with its conditions dropped.

    A condition is any stream of the row that has no slot to fill. Source: arXiv:2207.12598, eq. 6; papers that write
    (1 + w) c - w u mean s = 1 + w.

    Args:
        start: s at progress 0.
        end: s at progress 1; None keeps ``start``.
        law: how s moves from start to end: "linear" in progress; "cosine", slow at first, which goes with the share
            that a cosine schedule leaves hidden; "power_cosine", slow at both ends, by the cosine of a power of
            progress. MaskGIT's PyTorch port rises linearly; MAGNeT, arXiv:2401.04577, published code, falls from 10 to
            1 by "cosine" on the grid "ends"; MDT, arXiv:2303.14389, published code, rises by "power_cosine".
        weights: of the further conditions of every row. Source: arXiv:2206.01714, eq. 9.
        grid: which progress, see :class:`Progress`; on "before" the last step is still one short of ``end``.
        power: of progress, in "power_cosine".
        conditions: what u sees of them: nothing where they are "dropped", MASK where they are "hidden". Where hidden,
            what is given of the streams to fill is hidden too. Source of the latter: LLaDA, arXiv:2502.09992, appendix
            A.3 and published code, where s = 1 + its scale.
    """

    start: float = 2.0
    end: float | None = None
    law: Literal["linear", "cosine", "power_cosine"] = "linear"
    weights: tuple[float, ...] = ()
    grid: Grid = "before"
    power: float = 1.0
    conditions: Literal["dropped", "hidden"] = "dropped"

    def __post_init__(self) -> None:
        number("ClassifierFree.start", self.start)
        if self.end is not None:
            number("ClassifierFree.end", self.end)
        one_of("ClassifierFree.law", self.law, ("linear", "cosine", "power_cosine"))
        one_of("ClassifierFree.conditions", self.conditions, ("dropped", "hidden"))
        number("ClassifierFree.power", self.power, least=0.0)
        for weight in self.weights:
            number("each of ClassifierFree.weights", weight)
        one_of("ClassifierFree.grid", self.grid, get_args(Grid))

    def scale(self, progress: Progress) -> float:
        end = self.start if self.end is None else self.end
        share = float(progress)
        if self.law == "cosine":
            share = 1 - math.cos(math.pi * progress / 2)
        elif self.law == "power_cosine":
            share = (1 - math.cos(math.pi * progress**self.power)) / 2
        return self.start + (end - self.start) * share

    def at(self, strength: float) -> Guidance:
        """Distances from 1, which is no guidance, keep their ratio: a fall from 10 to 1 at 5 goes from 5 to 1."""
        if self.end is None or self.start == self.end == 1:
            return replace(self, start=strength, end=None)
        strongest = max(self.start - 1, self.end - 1, key=abs)
        start, end = (1 + (one - 1) / strongest * (strength - 1) for one in (self.start, self.end))
        return replace(self, start=start, end=end)

    def beside(self, weights: Sequence[float]) -> Guidance:
        return replace(self, weights=tuple(weights))

    @property
    def pushes_away(self) -> bool:
        """Not where s is always 1 and nothing else pushes from u."""
        return bool(self.weights) or any(self.scale(Progress(number, 65, "ends")) != 1 for number in range(65))

    def changes(self, conditions: bool, context: bool) -> bool:
        return conditions or (context and self.conditions == "hidden")

    def unconditional(self, batch: Batch, context: StepContext | None = None) -> Batch:
        return _enable(self._without(batch, context), NEGATIVE)

    def further(self, batch: Batch, context: StepContext | None = None) -> Sequence[tuple[Batch, float]]:
        bare = self._without(batch, context) if self.weights else batch
        return [(_enable(bare, FURTHER + index), weight) for index, weight in enumerate(self.weights)]

    def _without(self, batch: Batch, context: StepContext | None) -> Batch:
        """The rows without their conditions."""
        if self.conditions == "dropped":
            return self._bare(batch)
        if context is None:
            raise ValueError("ClassifierFree with hidden conditions needs the context of the step; give it")
        given = (batch.role == GIVEN) & batch.valid[:, :, None]
        return replace(batch, ids=torch.where(given, context.layout.mask_of(batch.ids), batch.ids))

    @staticmethod
    def _bare(batch: Batch) -> Batch:
        count = max(int(batch.stream.max()) + 1, 1)
        number = torch.arange(count, device=batch.device)
        member = batch.stream[:, :, None] == number
        filled = (member & (batch.role == FILL).any(-1, keepdim=True)).any(1)
        return batch.drop(member.any(1) & ~filled)


@dataclass(frozen=True)
class ContextCorrupted(Guidance):
    """Pushes away from what the model says where a part of the context is hidden.

    The context of a row are its valid slots that hold codes, given ones and those of earlier steps; ``share`` of them,
    rounded down, show MASK in the second pass, drawn anew in every step. Source: GenMol, arXiv:2501.06158, section 3.3
    and published code, which draws one set for the whole batch.

    Args:
        share: of the context that is hidden; 0 leaves the second pass equal to the first.
        strength: s of u + s (c - u), there w.
    """

    share: float = 0.3
    strength: float = 2.0

    def __post_init__(self) -> None:
        number("ContextCorrupted.share", self.share, least=0.0, most=1.0)
        number("ContextCorrupted.strength", self.strength)

    def scale(self, progress: Progress) -> float:
        return self.strength if self.share > 0 else 1.0

    def at(self, strength: float) -> Guidance:
        return replace(self, strength=strength)

    def unconditional(self, batch: Batch, context: StepContext) -> Batch:
        known = (batch.role != ABSENT) & (batch.stream >= 0)[:, :, None] & batch.valid[:, :, None]
        known = known & ~context.state.is_open & (context.layout.mask_of(batch.ids) != batch.ids)
        count = (known.sum((1, 2)).double() * self.share).floor().long()
        hidden = best(context.state.draws(Purpose.dropout), known, count)
        return replace(batch, ids=torch.where(hidden, context.layout.mask_of(batch.ids), batch.ids))


def _enable(batch: Batch, number: int) -> Batch:
    """Makes the positions of a companion valid."""
    if COMPANION not in batch.features:
        return batch
    return replace(batch, valid=batch.valid | (batch.features[COMPANION] == number))

"""Reuse: which keys and values stay valid between the steps of a generation, and whether that is exact.

Arrow: inside the Sampler loop, SamplerState --**Reuse.score**--> logits of the slots that a step asks for. Does not
know: codes, orders, how many slots a step reveals. A policy owns the cache that the state carries for it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Protocol

from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.masking import Queries
from tokenmask.models import MaskedModel, Packed, RangeLogits
from tokenmask.scores import Progress, ScoreContext


class Cache(Protocol):
    """What a policy keeps between steps."""

    @property
    def num_rows(self) -> int:
        """Rows that it holds; a guided generation keeps each row twice."""
        ...

    def rows(self, index: Tensor) -> Cache:
        """The rows at int64 ``index`` [N], copied."""
        ...


@dataclass(frozen=True, eq=False)
class ReuseStep:
    """What a step of the sampler asks.

    Args:
        inputs: all rows as they stand; a guided step has each row twice.
        queries: slots whose codes are to be scored.
        t: float32 [B], the masking time.
        order: float32 [B, L, K], the score by which the asked slots were chosen; None unless the policy is
            ``order_first``.
        fresh: bool [B, L], the positions that a cheap step computes anew; None in a full step.
        keep: cheap steps follow this full one.
        group: int32 [B, L], what attention patterns know as the group; None means 0.
        taps: what is wanted of the model besides logits; only of policies that give taps.
    """

    inputs: Batch
    queries: Queries
    t: Tensor
    order: Tensor | None = None
    fresh: Tensor | None = None
    keep: bool = False
    group: Tensor | None = None
    taps: Sequence[Any] = ()

    def packed(self, chosen: Tensor, slots: Tensor) -> Packed:
        """The chosen positions, as :meth:`Packed.of`, with their groups."""
        new = Packed.of(self.inputs, chosen, slots)
        if self.group is None:
            return new
        return replace(new, meta=replace(new.meta, group=self.group[chosen]))


@dataclass(frozen=True, eq=False)
class Scored:
    """Logits of a step.

    Args:
        groups: as :meth:`MaskedModel.logits` gives them.
        cache: for the next step.
        computed: positions that went through the model, padding included where there was any.
        passes: times the model was run.
        taps: what was asked for besides, by name, a row for each of the inputs.
    """

    groups: tuple[RangeLogits, ...]
    cache: Any
    computed: int
    passes: int = 1
    taps: Mapping[str, Tensor] = field(default_factory=dict)


class Reuse(ABC):
    """Base of all policies.

    Class attributes:
        exact: logits equal those of the model without reuse (to rounding).
        keeps: something is kept from step to step, so that a generation of which any step is guided must be so in all.
        order_first: slots are chosen before their codes are scored, so that only these are asked; the order may then
            not read predictions.
        forgets: a full step reads nothing of the cache, so that rows may leave a stage and come back for the next one
            without what was kept of them.
        gives_taps: it hands taps of the model on. A step that runs a few positions has none for the others, so a
            policy that keeps something refuses the parts of a sampler that ask for taps.
    """

    exact: ClassVar[bool] = True
    keeps: ClassVar[bool] = True
    order_first: ClassVar[bool] = False
    forgets: ClassVar[bool] = False
    gives_taps: ClassVar[bool] = False

    def pace(self, progress: Progress) -> Progress:
        """What an order is told of the progress of a step."""
        return progress

    @property
    def reorders(self) -> bool:
        """Whether cheap steps reveal what was settled by their own predictions."""
        return False

    def inner(self, steps: int) -> list[int]:
        """The last step of the inner run that each step of a stage belongs to; the first one of a run is full."""
        return list(range(steps))

    def settles(self, context: ScoreContext) -> Tensor | None:
        """The score, float32 [B, L, K], by which a full step settles the slots that it and its cheap steps reveal.

        None: as the order ranks them once their codes are scored. The cheap steps find what was settled, see
        :func:`tokenmask.sampling.asked.asked_of`, which with the plan is all that asks a policy for choices.
        """
        return None

    def follows(self, ranks: Tensor) -> Tensor | None:
        """The score by which cheap steps reveal what was settled; None: by their own predictions."""
        return ranks

    def fresh(self, chosen: Tensor, is_open: Tensor, inputs: Batch) -> Tensor:
        """bool [B, L], the positions that cheap steps run.

        Args:
            chosen: bool [B, L, K], the settled slots.
            is_open: bool [B, L, K], all that were open in the full step.
            inputs: the rows as the first cheap step finds them.
        """
        return (chosen.any(-1) | (inputs.stream < 0)) & inputs.valid

    @abstractmethod
    def score(self, model: MaskedModel, step: ReuseStep, cache: Any) -> Scored:
        """Scores the queries of a step; ``cache`` is None at the start of a generation or of another model's stage."""


@dataclass(frozen=True)
class NoReuse(Reuse):
    """Every step runs every position."""

    keeps: ClassVar[bool] = False
    forgets: ClassVar[bool] = True
    gives_taps: ClassVar[bool] = True

    def score(self, model: MaskedModel, step: ReuseStep, cache: Any) -> Scored:
        computed = step.inputs.shape[0] * step.inputs.shape[1]
        if step.taps:
            seen = model(step.inputs, step.queries, t=step.t, group=step.group, taps=step.taps)
            return Scored(seen.groups, None, computed, taps=seen.taps)
        return Scored(tuple(model.logits(step.inputs, step.queries, t=step.t, group=step.group)), None, computed)

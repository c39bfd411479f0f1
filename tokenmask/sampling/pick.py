"""Pick: how a code is drawn from logits.

Arrow: inside the Sampler loop, a thin face on ``ops.sample_codes``. Does not know: slots, orders, models.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, get_args

from torch import Tensor

from tokenmask.deprecation import warn_deprecated
from tokenmask.layout import Layout
from tokenmask.masking import MaskingProcess
from tokenmask.ops import sample_codes
from tokenmask.sampling.context import StepContext
from tokenmask.sampling.state import SamplerState
from tokenmask.scores import Grid, Progress
from tokenmask.scores.arguments import number, one_of, whole


@dataclass(frozen=True, eq=False)
class PickContext:
    """What a pick may look at, for the N slots of one head.

    Args:
        seeds, counters: int64 [N], keys of the draws.
        guidance: the s of u + s (c - u).
        progress: of the step in its stage, on the pick's own grid.
        allowed: bool [V] or [N, V], the codes that may be drawn; None allows all.
        slots: int64 [N], indices into the flattened [B * L * K] slots of the state.
        state: before the step.
        head: the range of the codes, as in :class:`Layout`.
        taps: what the step saw of the model besides logits, by name, [B, ...] each.
        process: the masking process of the sampler, which is that of training; None if it has none.
        layout: of the state's ids.
        accepts: the constraint's test of single codes, (int64 [n] numbers of the N slots, int64 [n] codes) -> bool [n];
            for picks that test, whose ``allowed`` is None; else None.
    """

    seeds: Tensor
    counters: Tensor
    guidance: float
    progress: Progress
    allowed: Tensor | None
    slots: Tensor
    state: SamplerState
    head: int
    taps: Mapping[str, Tensor] = field(default_factory=dict)
    process: MaskingProcess | None = None
    layout: Layout | None = None
    accepts: Callable[[Tensor, Tensor], Tensor] | None = None

    @property
    def step(self) -> Progress:
        """The progress, which says the step."""
        warn_deprecated("PickContext.step", instead="progress", since="0.2")
        return self.progress

    @property
    def stands(self) -> Tensor:
        """int64 [N], the code that stands in each slot before the step; V, one past the last, where it is MASK."""
        if self.layout is None:
            raise ValueError("PickContext.stands needs the layout of the ids; make the context with layout=")
        return self.layout.codes_of(self.state.batch.ids.flatten()[self.slots])


class Pick(ABC):
    """Base of all picks.

    Attributes:
        grid: the progress that it is told.
        revises: whether it draws every slot of the stage that is to be filled anew in every step, those that hold codes
            too. It may then answer V, one past the last code, which hides the slot; in the last step it answers codes.
            The order has no say, and of the schedule only the number of steps counts.
        weighs: whether it answers a fifth tensor, float32 [N]: the log-weight of each code, -inf where it should not
            have been drawn. Those of what is revealed are added up in the carry, as "log_weight"; see ``Particles``.
        tests: whether it tests codes one by one (``context.accepts``) instead of being told all that is allowed. It is
            asked for the slots that a step reveals alone, so the order may then not read predictions.
        reshapes: whether it changes the logits by more than a temperature; what it says of its codes is then of the
            softmax that it drew from, which orders see as "logprob", "entropy" and "margin".
    """

    grid: Grid = "before"
    revises: ClassVar[bool] = False
    weighs: ClassVar[bool] = False
    tests: ClassVar[bool] = False
    reshapes: ClassVar[bool] = False

    @property
    def is_greedy(self) -> bool:
        """Whether it takes the best codes and draws nothing."""
        return False

    def at(self, temperature: float) -> Pick:
        """The same pick with another temperature at progress 0; what comes after keeps its ratio to it."""
        raise ValueError(f"temperature can be set for Categorical, got {self}; leave temperature out")

    def taps(self, context: StepContext) -> Sequence[Hashable]:
        """What it wants of the model besides logits, see ``Score.taps``; it finds them in its context."""
        return ()

    def observe(self, logits: Tensor, uncond: Tensor | None, context: PickContext) -> Mapping[str, Tensor]:
        """What it wants to find in ``context.state.carry`` from the next step on, tensors [B, ...] by name.

        It is asked once for each range of a step, after it drew, with the arguments of that call; names of two ranges
        must differ.
        """
        return {}

    @abstractmethod
    def __call__(self, logits: Tensor, uncond: Tensor | None, context: PickContext) -> tuple[Tensor, ...]:
        """Args:
            logits: float32 [N, V].
            uncond: float32 [N, V], logits without the conditions, or None.
            context: keys of the draws, and where they are made.

        Returns:
            codes int32 [N]; log-probability, entropy (nats) and margin float32 [N] as ``ops.sample_codes`` defines;
            from one that weighs, log-weights float32 [N] too.
        """


@dataclass(frozen=True)
class Categorical(Pick):
    """Draws from the softmax, tempered and cut off.

    Args:
        temperature: at progress 0; 0 takes the best code.
        temperature_end: at progress 1; None keeps it.
        top_k: keep that many codes; 0 keeps all.
        top_p: keep the smallest set of that mass. Source: arXiv:1904.09751, section 3.1.
        min_p: keep codes of at least that share of the best one's probability. Source: arXiv:2407.01082, section 3.
        grid: which progress, see :class:`Progress`. On "before" the last step is still one short of
            ``temperature_end``; MAGNeT, arXiv:2401.04577, published code, falls from 3 to 0 on "after".
        least: the temperature never falls below it; MAGNeT's is 0.01.
        law: how it gets from one to the other. "linear" in the progress; "sqrt", in its root, so fast at first (ReCAP,
            arXiv:2505.19089, published code, on "ends"); "inverse", so that 1 / T is linear (the published code of the
            Halton scheduler, arXiv:2503.17076, multiplies logits by a number that rises from 1, on "ends").
    """

    temperature: float = 1.0
    temperature_end: float | None = None
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    grid: Grid = "before"
    least: float = 0.0
    law: Literal["linear", "sqrt", "inverse"] = "linear"

    def __post_init__(self) -> None:
        number("Categorical.temperature", self.temperature, least=0.0)
        number("Categorical.least", self.least, least=0.0)
        if self.temperature_end is not None:
            number("Categorical.temperature_end", self.temperature_end, least=0.0)
        whole("Categorical.top_k", self.top_k, least=0)
        if number("Categorical.top_p", self.top_p, least=0.0, most=1.0) == 0:
            raise ValueError("Categorical.top_p must be above 0, got 0; use 1 to switch it off")
        number("Categorical.min_p", self.min_p, least=0.0, most=1.0)
        one_of("Categorical.grid", self.grid, get_args(Grid))
        one_of("Categorical.law", self.law, ("linear", "sqrt", "inverse"))
        if self.law == "inverse" and not (self.temperature and self.temperature_end != 0):
            raise ValueError(f"Categorical.law inverse needs temperatures above 0, got {self}; take linear")

    @property
    def is_greedy(self) -> bool:
        return self.temperature == 0 and not self.temperature_end and not self.least

    def at(self, temperature: float) -> Pick:
        """Where the recipe's first temperature is 0, which has no ratio, the last one stays; 0 is greedy throughout."""
        end, least = self.temperature_end, self.least
        if temperature == 0:
            end, least = None, 0.0
        elif end is not None and self.temperature:
            end *= temperature / self.temperature
        law = "linear" if temperature == 0 else self.law
        return replace(self, temperature=temperature, temperature_end=end, least=least, law=law)

    def temperature_at(self, progress: float) -> float:
        """The temperature at some progress on its grid."""
        start = self.temperature
        end = start if self.temperature_end is None else self.temperature_end
        if self.law == "inverse":
            return max(self.least, 1 / (1 / start + (1 / end - 1 / start) * progress))
        return max(self.least, start + (end - start) * (math.sqrt(progress) if self.law == "sqrt" else progress))

    def __call__(self, logits: Tensor, uncond: Tensor | None, context: PickContext) -> tuple[Tensor, ...]:
        return sample_codes(
            logits,
            seed=context.seeds,
            counters=context.counters,
            temperature=self.temperature_at(context.progress),
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            uncond=uncond,
            guidance=context.guidance,
            allowed=context.allowed,
        )

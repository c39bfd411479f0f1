"""Picks that change the logits before another pick draws from them.

Arrow: inside the Sampler loop, logits --> codes. Does not know: orders, models, which pick stands inside.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, get_args

import torch
from torch import Tensor

from tokenmask.ops import Purpose, uniform
from tokenmask.sampling.by_hand import guided
from tokenmask.sampling.inside import Inside
from tokenmask.sampling.pick import Categorical, Pick, PickContext
from tokenmask.scores import Grid
from tokenmask.scores.arguments import number, one_of
from tokenmask.scores.noise import centred

_APART = 0x9E3779B97F4A7C15  # keeps the draws of one code from those of the next


@dataclass(frozen=True)
class LogitNoise(Inside):
    """Adds normal noise to every logit, after guidance and before temperature.

    Its size at progress g of a stage is ``scale`` times |cos(pi g)| on the grid "ends": whole in the first and in the
    last step, nothing in the middle; "constant" keeps it. Source: arXiv:2411.10781, section 4.1 and published code,
    with a scale of 2.

    Args:
        pick: draws from the noisy logits.
        scale: size of the noise.
        law: how it moves.
    """

    pick: Pick = field(default_factory=Categorical)
    scale: float = 2.0
    law: Literal["abs_cos", "constant"] = "abs_cos"
    grid: ClassVar[Grid] = "ends"  # type: ignore[misc]

    def __post_init__(self) -> None:
        super().__post_init__()
        number("LogitNoise.scale", self.scale, least=0.0)
        one_of("LogitNoise.law", self.law, ("abs_cos", "constant"))

    def at(self, temperature: float) -> Pick:
        """At 0, which draws nothing, there is no noise either."""
        inner = self.pick.at(temperature)
        return inner if temperature == 0 else replace(self, pick=inner)

    def __call__(self, logits: Tensor, uncond: Tensor | None, context: PickContext) -> tuple[Tensor, ...]:
        own = guided(logits, uncond, context)
        size = self.scale * (abs(math.cos(math.pi * context.progress)) if self.law == "abs_cos" else 1.0)
        if size > 0 and own.numel():
            own = own + size * self._noise(own, context)
        return self._inner(own, context)

    @staticmethod
    def _noise(logits: Tensor, context: PickContext) -> Tensor:
        """Normal, float32 [N, V], of seed, counter and code alone."""
        codes = torch.arange(1, logits.shape[1] + 1, device=logits.device) * (_APART - (1 << 64))
        seeds = context.seeds[:, None] + codes  # wraps, as it should
        counters = context.counters[:, None].expand_as(seeds)
        draws = uniform(seed=seeds.flatten(), counters=counters.flatten(), purpose=Purpose.latent)
        noise: Tensor = torch.special.ndtri(centred(draws)).view_as(logits).to(logits)
        return noise


@dataclass(frozen=True)
class Differential(Inside):
    """Draws from what became more probable since the step before, where the prediction moved least.

    The slots of a row and range are ranked by the divergence of their distribution from the one that they had, least
    first; for the ranks in ``window`` p is replaced by max(p - p_before, floor), made whole again. Slots that were not
    asked before keep p, and there is no such slot in the first step. Source: arXiv:2411.10781, section 4.2 and
    published code, which ranks known slots too.

    Args:
        pick: draws.
        window: first and last share of the ranks; the published code takes the lower three quarters.
        floor: least probability of a code before it is made whole.
        store: what the next step compares with: "raw" p, or "modified", as the published code does in place.
    """

    pick: Pick = field(default_factory=Categorical)
    window: tuple[float, float] = (0.0, 0.75)
    floor: float = 1e-6
    store: Literal["raw", "modified"] = "raw"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.window) != 2 or not 0 <= self.window[0] <= self.window[1] <= 1:
            raise ValueError(f"Differential.window must be two rising shares in 0..1, got {self.window}; 0 and 0.75")
        if not 0 < number("Differential.floor", self.floor) < 1:
            raise ValueError(f"Differential.floor must lie between 0 and 1, got {self.floor}; 1e-6, say")
        one_of("Differential.store", self.store, get_args(Literal["raw", "modified"]))

    @property
    def is_greedy(self) -> bool:
        return self.pick.is_greedy

    def at(self, temperature: float) -> Pick:
        return replace(self, pick=self.pick.at(temperature))

    def __call__(self, logits: Tensor, uncond: Tensor | None, context: PickContext) -> tuple[Tensor, ...]:
        own = guided(logits, uncond, context)
        changed = self._gained(own, context)
        return self._inner(own if changed is None else changed, context)

    def observe(self, logits: Tensor, uncond: Tensor | None, context: PickContext) -> Mapping[str, Tensor]:
        own = guided(logits, uncond, context)
        changed = self._gained(own, context) if self.store == "modified" else None
        likely = (own if changed is None else changed).softmax(1)
        shape = context.state.is_open.shape
        before = self._before(context)
        kept = likely.new_zeros(shape.numel(), likely.shape[1]) if before is None else before.flatten(0, 1).clone()
        kept[context.slots] = likely
        return {**self.pick.observe(own, None, context), self._name(context): kept.view(shape[0], -1, likely.shape[1])}

    def _gained(self, logits: Tensor, context: PickContext) -> Tensor | None:
        """The logits with those of some slots replaced; None where there is nothing to compare with."""
        before = self._before(context)
        if before is None or self.window[0] == self.window[1]:
            return None
        old, likely = before.flatten(0, 1)[context.slots], logits.softmax(1)
        known = old.sum(1) > 0
        moved = (torch.special.xlogy(likely, likely) - torch.special.xlogy(likely, old)).sum(1)
        row = torch.div(context.slots, context.state.is_open[0].numel(), rounding_mode="floor")
        row = torch.where(known, row, context.state.is_open.shape[0])  # what was not asked is ranked apart
        best = moved.argsort(stable=True)
        best = best[row[best].argsort(stable=True)]
        sizes = torch.bincount(row, minlength=context.state.is_open.shape[0] + 1)
        rank = torch.empty_like(best)
        rank[best] = torch.arange(len(best), device=best.device)
        rank = rank - (sizes.cumsum(0) - sizes)[row]
        low, high = ((share * sizes[row]).floor() for share in self.window)
        chosen = known & (rank >= low) & (rank < high)
        gained = (likely - old).clamp(min=self.floor)
        return torch.where(chosen[:, None], (gained / gained.sum(1, keepdim=True)).log(), logits)

    @staticmethod
    def _name(context: PickContext) -> str:
        return f"differential.{context.head}"

    def _before(self, context: PickContext) -> Tensor | None:
        """float32 [B, L * K, V], the distributions of the step before; zeros where a slot was not asked."""
        return context.state.carry.get(self._name(context))

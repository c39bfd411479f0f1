"""Picks that say something else of their codes than how probably these were drawn.

Arrow: inside the Sampler loop, logits --> codes, and what orders read of them. Does not know: orders, models.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tokenmask.sampling.by_hand import guided, sureness
from tokenmask.sampling.inside import Inside
from tokenmask.sampling.pick import Categorical, Pick, PickContext
from tokenmask.scores import Grid
from tokenmask.scores.arguments import is_a


class _Said(Inside):
    """Base of the two, which draw as their pick does."""

    @property
    def grid(self) -> Grid:  # type: ignore[override]
        return self.pick.grid

    @property
    def is_greedy(self) -> bool:
        return self.pick.is_greedy

    def at(self, temperature: float) -> Pick:
        return replace(self, pick=self.pick.at(temperature))  # type: ignore[type-var]


@dataclass(frozen=True)
class Truncated(_Said):
    """Draws what its pick draws, and says of it what holds once the codes that are cut off are gone.

    Orders then rank by the probability after top-k, top-p and min-p, where they otherwise see it before. Source: Dream,
    arXiv:2508.15487, published code, and with top-k MAGNeT's, arXiv:2401.04577.

    Args:
        pick: a Categorical that cuts; at temperature 0 it cuts at temperature 1.
    """

    pick: Pick = field(default_factory=lambda: Categorical(top_p=0.95))

    def __post_init__(self) -> None:
        is_a("Truncated.pick", self.pick, Categorical)

    def __call__(self, logits: Tensor, uncond: Tensor | None, context: PickContext) -> tuple[Tensor, ...]:
        assert isinstance(self.pick, Categorical)
        codes = self.pick(logits, uncond, context)[0]
        heat = self.pick.temperature_at(context.progress) or 1.0
        own = guided(logits, uncond, context) / heat
        order = own.argsort(dim=1, descending=True, stable=True)
        likely = own.gather(1, order).softmax(1)
        if self.pick.top_k:
            likely[:, self.pick.top_k :] = 0.0
        before = likely.cumsum(1) - likely
        kept = before < self.pick.top_p * likely.sum(1, keepdim=True)
        kept &= (likely > 0) & (likely >= self.pick.min_p * likely[:, :1])
        # What was drawn is kept, however it was rounded.
        mask = torch.zeros_like(kept).scatter(1, order, kept).scatter(1, codes[:, None].long(), True)
        return codes, *sureness(own.masked_fill(~mask, -torch.inf), codes)


@dataclass(frozen=True)
class Suppressed(_Said):
    """Some codes of level 0 of some streams are drawn, but count as impossible in what is said of them.

    Their slots are revealed last, and the probability of every other code is that among the others, before temperature:
    an end of a text is not settled before what stands in front of it. Source: LLaDA, arXiv:2502.09992, appendix B.4,
    and published code (``confidence_eos_eot_inf``); above temperature 0 the first of its two codes escapes it there.
    With the constraint ``ForbidCodes`` what is said is of the codes that it leaves: ``logits_eos_inf`` there.

    Args:
        pick: draws.
        codes: stream name -> local codes of level 0.
    """

    pick: Pick = field(default_factory=Categorical)
    codes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def __call__(self, logits: Tensor, uncond: Tensor | None, context: PickContext) -> tuple[Tensor, ...]:
        own = guided(logits, uncond, context)
        codes = self._of(context, own.shape[1])
        less = own.clone()
        less[:, codes] = -torch.inf
        less = torch.where(less.isneginf().all(1, keepdim=True), own, less)  # where nothing else may be drawn
        drawn = self._inner(own, context)[0]
        logprob, *more = sureness(less, drawn)
        never = torch.isin(drawn, torch.tensor(codes, dtype=drawn.dtype, device=drawn.device))
        return drawn, logprob.masked_fill(never, torch.finfo(logprob.dtype).min), *more

    def _of(self, context: PickContext, size: int) -> list[int]:
        """The codes of the context's range."""
        if not self.codes:
            return []
        if context.layout is None:
            raise ValueError("Suppressed needs the layout of the ids; make the context with layout=")
        owner = context.layout.ranges[context.head]
        codes = self.codes.get(owner.stream, ()) if owner.level == 0 else ()
        if not all(0 <= code < size for code in codes) or len(set(codes)) == size:
            raise ValueError(
                f"Suppressed for {owner.stream!r} must lie in 0..{size - 1} and leave a code, got {codes}; drop some"
            )
        return list(codes)

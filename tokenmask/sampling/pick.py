"""Pick: how a code is drawn from logits.

Arrow: inside the Sampler loop, a thin face on ``ops.sample_codes``. Does not know: slots, orders, models.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from tokenmask.ops import sample_codes


@dataclass(frozen=True)
class Categorical:
    """Draws from the softmax, tempered and cut off.

    Args:
        temperature: at the first step; 0 takes the best code.
        temperature_end: after the last step, reached linearly; None keeps it. Source: MAGNeT, arXiv:2401.04577.
        top_k: keep that many codes; 0 keeps all.
        top_p: keep the smallest set of that mass. Source: arXiv:1904.09751, section 3.1.
        min_p: keep codes of at least that share of the best one's probability. Source: arXiv:2407.01082, section 3.
    """

    temperature: float = 1.0
    temperature_end: float | None = None
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0

    def __call__(
        self,
        logits: Tensor,
        uncond: Tensor | None,
        *,
        guidance: float,
        progress: float,
        seeds: Tensor,
        counters: Tensor,
        allowed: Tensor | None,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Args:
            logits: float32 [N, V].
            uncond: float32 [N, V], logits without the conditions, or None.
            guidance: the s of u + s (c - u).
            progress: 0 at the first step, below 1 at the last.
            seeds, counters: int64 [N], keys of the draws.
            allowed: bool [V] or [N, V], or None.

        Returns:
            codes int32 [N]; log-probability, entropy (nats) and margin float32 [N] as ``ops.sample_codes`` defines.
        """
        end = self.temperature if self.temperature_end is None else self.temperature_end
        return sample_codes(
            logits,
            seed=seeds,
            counters=counters,
            temperature=self.temperature + (end - self.temperature) * progress,
            top_k=self.top_k,
            top_p=self.top_p,
            min_p=self.min_p,
            uncond=uncond,
            guidance=guidance,
            allowed=allowed,
        )

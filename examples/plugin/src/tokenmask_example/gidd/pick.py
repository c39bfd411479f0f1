"""A step back in GIDD's time: every slot is drawn anew, so that a code that stands there can be revised."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tokenmask.ops import sample_codes
from tokenmask.sampling import Pick, PickContext, guided, sureness
from tokenmask_example.gidd.process import Hybrid, hybrid


@dataclass(frozen=True)
class Ancestral(Pick):
    """z_s ~ q(z_t | z_s) q_s(z_s | x') / q_t(z_t | x') for every slot: a code, another code, or MASK.

    Step i of S goes from t = 1 - i / S to s = 1 - (i + 1) / S, both squeezed to eps..1 - eps, the last one to s = 0.
    Source: arXiv:2503.04482, section 3.1, and the published code (sampling.py), whose loop begins a step later and ends
    with one that changes nothing.

    Args:
        process: None takes the sampler's, which a recipe takes from its rate.
        min_p: smaller probabilities are set to 0.
        eps: how near to 0 and 1 times come.
    """

    revises: ClassVar[bool] = True

    process: Hybrid | None = None
    min_p: float = 0.0
    eps: float = 1e-4

    def __call__(
        self, logits: Tensor, uncond: Tensor | None, context: PickContext
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        process = hybrid(context.process) if self.process is None else self.process
        if context.process is not None and process != hybrid(context.process):
            raise ValueError(f"Ancestral.process must be that of the rate, {context.process}, got {self.process}")
        logits = guided(logits, uncond, context)
        left = torch.tensor([1 - context.progress.on(grid) for grid in ("before", "after")], dtype=torch.float64)
        t, s = (1 - 2 * self.eps) * left + self.eps
        s = s if left[1] > 0 else left[1]
        back = posterior(process, logits.double().softmax(1), context.stands, t, s)
        back = torch.where(back < self.min_p, 0.0, back)
        drawn, *_ = sample_codes(back.log().float(), seed=context.seeds, counters=context.counters)
        return drawn, *sureness(logits, drawn)


def posterior(process: Hybrid, likely: Tensor, stands: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """float64 [n, N + 1], the probabilities of each code and of MASK at time s < t.

    Args:
        process: of the noise.
        likely: float64 [n, N], x', of each code.
        stands: int64 [n], what stands there at time t; N is MASK.
        t, s: float64 scalars.
    """
    size = likely.shape[1]

    def noise(time: Tensor) -> tuple[Tensor, Tensor]:
        """alpha and, float64 [N + 1], beta pi."""
        c = process.uniform(time)
        return (1 - time) / (1 + c), torch.cat([(c / size).expand(size), time[None]]).to(likely) / (1 + c)

    (alpha_t, pi_t), (alpha_s, pi_s) = noise(t), noise(s)
    whole = torch.nn.functional.pad(likely, (0, 1))
    there = torch.nn.functional.one_hot(stands, size + 1)
    step = (pi_t - alpha_t / alpha_s * pi_s)[stands][:, None] + alpha_t / alpha_s * there  # q(z_t | z_s), for each z_s
    marginal = (alpha_t * whole + pi_t).gather(1, stands[:, None])
    return step * (alpha_s * whole + pi_s) / marginal

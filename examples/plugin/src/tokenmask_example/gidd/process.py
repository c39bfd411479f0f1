"""The process of GIDD: a code becomes MASK or, less often, a random code of its range."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.masking import Linear, MaskingProcess

LEAST = 2e-9  # of p_uniform: exp(-20), as in the published code


@dataclass(frozen=True)
class Hybrid(MaskingProcess):
    """q_t(z | x) = ((1 - t) [z = x] + t [z = MASK] + c / N) / C, with c = B (t (1 - t))^(gamma / 2) and C = 1 + c.

    N is the number of codes of the range, B = 2^gamma p / (1 - p), so that at t = 1/2 a share p of the slots shows a
    random code, which may be the right one. "Hidden" is 1 - (1 - t) / C. Source: arXiv:2503.04482, section 3.2.

    Args:
        p_uniform: p; 0 leaves masks alone, the law of MDLM.
        gamma: of B and c.
    """

    p_uniform: float = 0.1
    gamma: float = 1.0

    def __post_init__(self) -> None:
        if not (0 <= self.p_uniform < 1 and self.gamma > 0):
            raise ValueError(
                f"Hybrid needs 0 <= p_uniform < 1 and gamma above 0, got {self.p_uniform} and {self.gamma}"
            )

    @property
    def scale(self) -> float:
        """B."""
        p = max(self.p_uniform, LEAST)
        return float(2**self.gamma * p / (1 - p))

    def uniform(self, t: Tensor) -> Tensor:
        """c, float of t's shape."""
        return self.scale * (t * (1 - t)).clamp(min=0) ** (self.gamma / 2)

    def uniform_prime(self, t: Tensor) -> Tensor:
        """Its derivative by t, within 0..1."""
        return self.gamma / 2 * (1 - 2 * t) / (t * (1 - t)) * self.uniform(t)

    def hidden(self, t: Tensor) -> Tensor:
        c = self.uniform(t)
        return (t + c) / (1 + c)

    def hidden_prime(self, t: Tensor) -> Tensor:
        c = self.uniform(t)
        return (1 + c + (1 - t) * self.uniform_prime(t)) / (1 + c) ** 2

    def random_share(self, t: Tensor) -> Tensor:
        c = self.uniform(t)
        return c / (t + c).clamp(min=torch.finfo(t.dtype).tiny)


def hybrid(process: MaskingProcess | None) -> Hybrid:
    """The process as one of GIDD; that of MDLM is the one without random codes.

    Raises:
        ValueError: another process.
    """
    if isinstance(process, Hybrid):
        return process
    if process == Linear():
        return Hybrid(0.0)
    raise ValueError(f"GIDD goes with a rate by the process Hybrid (or Linear), got {process}; set masker.rate.process")

"""Masking processes: how much is hidden at time t.

Arrow: inside Masker (how many slots to hide) and Sampler (how many stay open). Does not know: which slots, ids, models.

Time runs one way in all of tokenmask: t = 0 hides nothing, t = 1 everything. Papers on parallel decoding write
the share that stays hidden as gamma(r) with r = 1 - t: gamma(r) = cos(pi r / 2) is sin(pi t / 2) here.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor


class MaskingProcess(ABC):
    """The law of the hidden share over time, with what an evidence bound needs of it.

    ``alpha(t) = 1 - hidden(t)`` is the survival probability of the diffusion literature, ``weight(t) = -alpha'(t) /
    (1 - alpha(t))`` the weight of a hidden slot's cross-entropy in the bound. Source: MD4, arXiv:2406.04329, eq. 5.
    """

    @abstractmethod
    def hidden(self, t: Tensor) -> Tensor:
        """Share hidden at time t, float of t's shape, from 0 at t = 0 to 1 at t = 1."""

    @abstractmethod
    def hidden_prime(self, t: Tensor) -> Tensor:
        """Derivative of :meth:`hidden` by t."""

    def random_share(self, t: Tensor) -> Tensor | None:
        """Of the slots hidden at time t, the share that shows a random code of its range and not MASK, float of t's
        shape, in 0..1; None: all show what :class:`Corruption` says."""
        return None

    def share(self, t: float) -> float:
        """:meth:`hidden` of one number, on the host and in double precision."""
        return self.shares([t])[0]

    def shares(self, times: Sequence[float]) -> list[float]:
        """:meth:`share` of each of some times."""
        shares: list[float] = self.hidden(torch.tensor(times, dtype=torch.float64)).tolist()
        return shares

    def time(self, share: Tensor) -> Tensor:
        """The time at which ``share`` is hidden, float of its shape: the inverse of :meth:`hidden`, by bisection."""
        low, high = torch.zeros_like(share, dtype=torch.float64), torch.ones_like(share, dtype=torch.float64)
        for _ in range(26):  # finer than a float32
            middle = (low + high) / 2
            below = self.hidden(middle) < share
            low, high = torch.where(below, middle, low), torch.where(below, high, middle)
        return high.to(share.dtype)

    def alpha(self, t: Tensor) -> Tensor:
        """Share still visible at time t."""
        return 1 - self.hidden(t)

    def alpha_prime(self, t: Tensor) -> Tensor:
        """Derivative of :meth:`alpha` by t."""
        return -self.hidden_prime(t)

    def weight(self, t: Tensor) -> Tensor:
        """Weight of a hidden slot at time t in the evidence bound; t must be above 0."""
        return self.hidden_prime(t) / self.hidden(t)


@dataclass(frozen=True)
class Linear(MaskingProcess):
    """hidden = t; the weight is 1 / t. Source: MDLM, arXiv:2406.07524, section 3; LLaDA, arXiv:2502.09992."""

    def hidden(self, t: Tensor) -> Tensor:
        return t

    def time(self, share: Tensor) -> Tensor:
        return share

    def hidden_prime(self, t: Tensor) -> Tensor:
        return torch.ones_like(t)


@dataclass(frozen=True)
class Cosine(MaskingProcess):
    """hidden = sin(pi t / 2). Source: MaskGIT, arXiv:2202.04200, section 3.3 (there cos(pi r / 2), r = 1 - t)."""

    def hidden(self, t: Tensor) -> Tensor:
        return torch.sin(t * (math.pi / 2))

    def hidden_prime(self, t: Tensor) -> Tensor:
        return torch.cos(t * (math.pi / 2)) * (math.pi / 2)


@dataclass(frozen=True)
class Power(MaskingProcess):
    """hidden = 1 - (1 - t)^exponent: 2 is "square", 3 "cubic". Source: MaskGIT, arXiv:2202.04200, section 3.3."""

    exponent: float = 2.0

    def hidden(self, t: Tensor) -> Tensor:
        return 1 - (1 - t) ** self.exponent

    def hidden_prime(self, t: Tensor) -> Tensor:
        return self.exponent * (1 - t) ** (self.exponent - 1)


@dataclass(frozen=True)
class Polynomial(MaskingProcess):
    """hidden = t^exponent. Source: MD4, arXiv:2406.04329, table 4."""

    exponent: float = 2.0

    def hidden(self, t: Tensor) -> Tensor:
        return t**self.exponent

    def hidden_prime(self, t: Tensor) -> Tensor:
        return self.exponent * t ** (self.exponent - 1)


@dataclass(frozen=True)
class Arccos(MaskingProcess):
    """hidden = (2 / pi) arccos(1 - t). Source: the reproduction of MaskGIT, arXiv:2310.14400, section 3."""

    def hidden(self, t: Tensor) -> Tensor:
        return torch.arccos(1 - t) * (2 / math.pi)

    def hidden_prime(self, t: Tensor) -> Tensor:
        return (2 / math.pi) / torch.sqrt(1 - (1 - t) ** 2)


@dataclass(frozen=True)
class Exponential(MaskingProcess):
    """hidden = (1 - N^-t) / (1 - 1 / N), which is MaskGIT's law scaled to end at 1.

    Source: arXiv:2202.04200, published code (there 1 - 2^(-log2(N) (1 - r)), which ends at 1 - 1 / N).
    """

    slots: int = 256

    def hidden(self, t: Tensor) -> Tensor:
        return (1 - self.slots**-t) / (1 - 1 / self.slots)

    def hidden_prime(self, t: Tensor) -> Tensor:
        return math.log(self.slots) * self.slots**-t / (1 - 1 / self.slots)


@dataclass(frozen=True)
class Logarithmic(MaskingProcess):
    """hidden = min(1, -log2(1 - t) / log2(N)), the mirror of Exponential. Source: arXiv:2202.04200, published code."""

    slots: int = 256

    def hidden(self, t: Tensor) -> Tensor:
        return (-torch.log2((1 - t).clamp(min=1 / self.slots)) / math.log2(self.slots)).clamp(max=1)

    def hidden_prime(self, t: Tensor) -> Tensor:
        slope = 1 / ((1 - t).clamp(min=1 / self.slots) * math.log(self.slots))
        return torch.where(1 - t > 1 / self.slots, slope, torch.zeros_like(t))


Rounding = Literal["floor", "round", "ceil"]
ROUNDINGS: dict[str, Callable[[float], int]] = {"floor": math.floor, "round": round, "ceil": math.ceil}


def open_counts(process: MaskingProcess, initial: int, steps: int, rounding: Rounding = "floor") -> list[int]:
    """How many of ``initial`` slots a process leaves open after each of ``steps`` steps; the last entry is 0.

    Every step reveals a slot while there are as many as steps.
    """
    plan, before = [], initial
    shares = process.shares([left / steps for left in range(steps)])
    for left, share in zip(range(steps - 1, -1, -1), reversed(shares), strict=True):
        before = max(0, min(before - 1, max(left, ROUNDINGS[rounding](share * initial)))) if left else 0
        plan.append(before)
    return plan

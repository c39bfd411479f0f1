"""What cases share: inputs from a fixed generator, and ways to agree with a reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

SEED = 1


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def equal(got: Any, expected: Any) -> bool:
    if isinstance(got, Tensor):
        return torch.equal(got, expected)
    return all(equal(a, b) for a, b in zip(got, expected, strict=True))


def same_codes(got: Any, expected: Any) -> bool:
    codes = got[0] if isinstance(got, tuple) else got
    return float((codes.flatten() == expected[0]).float().mean()) >= 0.999


def same_law(logits: Tensor) -> Callable[[Any, Any], bool]:
    """The mean log-probability of two independent sets of draws agrees within 5 standard errors."""
    log = logits.log_softmax(-1)

    def agrees(got: Tensor, expected: Any) -> bool:
        a, b = (log.gather(1, codes.long().view(-1, 1)) for codes in (got, expected[0]))
        return bool((a.mean() - b.mean()).abs() <= 5 * ((a.var() + b.var()) / len(a)).sqrt())

    return agrees


def invert(p: Tensor, draws: Tensor) -> Tensor:
    cumulative = p.cumsum(-1)
    return torch.searchsorted(cumulative, draws[:, None] * cumulative[:, -1:], right=True).clamp(max=p.shape[1] - 1)

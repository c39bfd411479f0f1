"""uniform: the Philox draw itself, one number per counter."""

from __future__ import annotations

import torch
from torch import Tensor

from tokenmask.ops._checks import check_first, split_seed
from tokenmask.ops._extension import USES_REFERENCE, register_fake
from tokenmask.ops.philox import Purpose, draw_reference, uniform24


def uniform(*, seed: int | Tensor, counters: Tensor, purpose: Purpose | int | str) -> Tensor:
    """Draw one uniform number in [0, 1) for each counter.

    The same (seed, counter, purpose) gives the same number on every device, alone or among others. Orders, Gumbel noise
    and dropped conditions are made of it.

    Args:
        seed: int (64 bits), or int64 [N] with one seed a counter.
        counters: int64 [N].
        purpose: a :class:`Purpose`, its number, or its name; other purposes share no bits.

    Returns:
        float32 [N], new, multiples of 2^-24.

    Raises:
        TypeError: another dtype.
        ValueError: another shape, an unknown purpose, a seed beyond 64 bits.

    Source: Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011 (Philox4x32-10).
    """
    check_first("uniform", "counters", counters, (torch.int64,), "[N]")
    number, seeds = split_seed("uniform", seed, counters.shape[0], counters)
    use = _purpose(purpose)
    if USES_REFERENCE:
        return uniform_reference(counters, number, seeds, use)
    result: Tensor = torch.ops.tokenmask.uniform(counters, number, seeds, use)
    return result


def _purpose(purpose: Purpose | int | str) -> int:
    try:
        return int(Purpose[purpose] if isinstance(purpose, str) else Purpose(purpose))
    except (KeyError, ValueError):
        names = ", ".join(each.name for each in Purpose)
        raise ValueError(f"uniform: purpose must be one of {names}, got {purpose!r}; name one of these") from None


def uniform_reference(counters: Tensor, seed: int, seeds: Tensor | None, purpose: int) -> Tensor:
    """The meaning of ``uniform``."""
    words = draw_reference(seed if seeds is None else seeds, torch.zeros_like(counters), purpose, counters)
    return uniform24(words[0])


@register_fake("tokenmask::uniform")
def _(counters: Tensor, seed: int, seeds: Tensor | None, purpose: int) -> Tensor:
    return counters.new_empty(counters.shape, dtype=torch.float32)

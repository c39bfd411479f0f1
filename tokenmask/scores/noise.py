"""Noise: one draw for each slot, a function of (seed, key, position, level) alone.

Arrow: keys and seeds of rows --**slot_uniforms**--> uniforms of any purpose; ScoreContext --**slot_noise**--> those of
an order --**gumbel_noise**--> Gumbel noise. Does not know: scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor

from tokenmask.ops import Purpose, uniform
from tokenmask.scores.score import ScoreContext

_LEVEL_BITS, _SLOT_BITS = 6, 24


def slot_counters(keys: Tensor, length: int, levels: int) -> Tensor:
    """Philox counters of every slot: int64 [B, L, K], a function of (key, position, level) alone.

    Args:
        keys: int64 [B], below 2^39.
        length, levels: L (below 2^18) and K (at most 64). Neither changes the counters of the slots it holds.
    """
    return (keys.reshape(-1, 1, 1) << _SLOT_BITS) | _slot_numbers(length, levels, keys.device)


@lru_cache(maxsize=64)  # the same in every step of a generation
def _slot_numbers(length: int, levels: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        position = torch.arange(length, device=device)[:, None] << _LEVEL_BITS
        return position | torch.arange(levels, device=device)


def slot_uniforms(
    seeds: Tensor, keys: Tensor, size: Sequence[int], purpose: Purpose, places: Tensor | None = None
) -> Tensor:
    """One uniform in [0, 1) for each slot, float32 [B, L, K], of its row's seed and key and its place alone.

    Args:
        seeds: int64 [B].
        keys: int64 [B], below 2^39.
        size: (L, K).
        purpose: what for; two purposes share no bits.
        places: int64 [B, L], numbers instead of the positions; the levels of a position then share a draw.
    """
    length, levels = size
    shape = (len(keys), length, levels)
    counters = slot_counters(keys, length, levels)
    if places is not None:
        counters = ((keys[:, None, None] << _SLOT_BITS) | (places << _LEVEL_BITS)[:, :, None]).expand(shape)
    every = seeds[:, None, None].expand(shape)
    return uniform(seed=every.reshape(-1), counters=counters.reshape(-1), purpose=purpose).view(shape)


def slot_noise(context: ScoreContext, places: Tensor | None = None) -> Tensor:
    """One uniform in [0, 1) for each slot, float32 [B, L, K].

    Args:
        context: seeds, keys and shape.
        places: int64 [B, L], draws by these numbers instead of the positions, so that equal numbers share a draw.
    """
    return slot_uniforms(context.seeds, context.keys, context.is_open.shape[1:], Purpose.order, places)


def open_noise(context: ScoreContext) -> tuple[Tensor, Tensor]:
    """The draws of :func:`slot_noise` of open slots alone: where few are open, most of the work is left out.

    Returns:
        (float32 [B, L, K], the draws of open slots and -1 in others; float32 [B, M], those of each row one after the
        other, then -1; M is the most open slots of a row, at least 1). New tensors.
    """
    is_open, keys, seeds = context.is_open, context.keys, context.seeds
    rows, length, levels = is_open.shape
    numbers = _slot_numbers(length, levels, keys.device).reshape(-1)
    row, slot = is_open.view(rows, -1).nonzero().unbind(1)
    draws = uniform(seed=seeds[row], counters=(keys[row] << _SLOT_BITS) | numbers[slot], purpose=Purpose.order)
    counts = torch.bincount(row, minlength=rows)
    within = torch.arange(len(row), device=row.device) - (counts.cumsum(0) - counts)[row]
    each = draws.new_full((rows, max(int(counts.max()), 1) if rows else 1), -1.0)
    each[row, within] = draws
    noise = draws.new_full((rows, length * levels), -1.0)
    noise[row, slot] = draws
    return noise.view(rows, length, levels), each


def centred(uniforms: Tensor) -> Tensor:
    """Uniforms in [0, 1) of 24 bits, float32, moved into (0, 1), where logarithms are finite."""
    # By half a step; a float32 rounds the last one up to 1, so it is held.
    return (uniforms + 2.0**-25).clamp(max=1 - 2.0**-24)


def gumbel_noise(context: ScoreContext) -> Tensor:
    """-log(-log u) of the uniforms of :func:`slot_noise`, float32 [B, L, K]."""
    return gumbel_of(slot_noise(context))


def gumbel_of(uniforms: Tensor) -> Tensor:
    """Gumbel noise of uniforms in [0, 1), float32 of any shape."""
    return -torch.log(-torch.log(centred(uniforms)))

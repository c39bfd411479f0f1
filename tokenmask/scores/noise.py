"""Noise: one draw for each slot, a function of (seed, key, position, level) alone.

Arrow: ScoreContext --**slot_noise**--> uniforms, counters of ``ops.uniform``. Does not know: scores.
"""

from __future__ import annotations

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
    return (keys[:, None, None] << _SLOT_BITS) | _slot_numbers(length, levels, keys.device)


@lru_cache(maxsize=64)  # the same in every step of a generation
def _slot_numbers(length: int, levels: int, device: torch.device) -> Tensor:
    with torch.inference_mode(False):
        position = torch.arange(length, device=device)[:, None] << _LEVEL_BITS
        return position | torch.arange(levels, device=device)


def slot_noise(context: ScoreContext, places: Tensor | None = None) -> Tensor:
    """One uniform in [0, 1) for each slot, float32 [B, L, K].

    Args:
        context: seeds, keys and shape.
        places: int64 [B, L], draws by these numbers instead of the positions, so that equal numbers share a draw.
    """
    rows, length, levels = context.is_open.shape
    counters = slot_counters(context.keys, length, levels)
    if places is not None:
        counters = (context.keys[:, None, None] << _SLOT_BITS) | (places << _LEVEL_BITS)[:, :, None]
        counters = counters.expand(rows, length, levels)
    seeds = context.seeds[:, None, None].expand(rows, length, levels)
    flat = uniform(seed=seeds.reshape(-1), counters=counters.reshape(-1), purpose=Purpose.order)
    return flat.view(rows, length, levels)

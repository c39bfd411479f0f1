"""Row draws: one uniform of a row for each choice that is made for the row as a whole.

Arrow: sample ids --**row_draws**--> uniforms. Does not know: what is chosen. A row has 64 draws, and each has its place
here, so that no two choices share one.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tokenmask.ops import Purpose, uniform

_DRAWS = 64  # of a row
TARGET, JOINT, DROP = 0, 1, 2  # of Conditioning; from DROP on one for each stream
CHAIN, CHAIN_STEPS, CHAIN_ORDER = 60, 61, 62  # of GroupChain
STAGE = 63  # of LevelStages
MOST_STREAMS = CHAIN - DROP


def row_draws(sample_ids: Tensor, first: int, *, seed: int, count: int = 1) -> Tensor:
    """The draws ``first`` .. ``first + count - 1`` of each row: float32 [B, count], in [0, 1).

    Args:
        sample_ids: int64 [B].
        first: one of the numbers above.
        seed: of the run.
        count: draws of each row.
    """
    counters = sample_ids[:, None] * _DRAWS + torch.arange(first, first + count, device=sample_ids.device)
    return uniform(seed=seed, counters=counters.flatten(), purpose=Purpose.dropout).view(-1, count)

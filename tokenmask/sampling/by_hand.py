"""By hand: what a pick that draws in its own way shares with ``ops.sample_codes``.

Arrow: logits --**guided**--> logits to draw from, and codes --**sureness**--> what orders read. Does not know: how
codes are drawn.
"""

from __future__ import annotations

import torch
from torch import Tensor

from tokenmask.sampling.pick import PickContext


def guided(logits: Tensor, uncond: Tensor | None, context: PickContext) -> Tensor:
    """u + s (c - u), and -inf for codes that may not be drawn; arguments as in :meth:`Pick.__call__`.

    Returns:
        float32 [N, V], new or ``logits`` itself.
    """
    found = logits.float()
    if uncond is not None:
        never = torch.isneginf(logits) | torch.isneginf(uncond)
        found = (uncond.float() + context.guidance * (found - uncond.float())).masked_fill(never, -torch.inf)
    return found if context.allowed is None else found.masked_fill(~context.allowed, -torch.inf)


def sureness(logits: Tensor, codes: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Log-probability of codes, entropy (nats) and margin of their softmax, as ``ops.sample_codes`` defines them.

    Args:
        logits: float [N, V], -inf where nothing may be drawn.
        codes: int [N]; V, one past the last, is MASK and certain.

    Returns:
        float32 [N] three times.
    """
    size = logits.shape[1]
    sure = logits.float().log_softmax(1)
    likely = sure.exp()
    logprob = torch.where(codes == size, 0.0, sure.gather(1, codes.clamp(max=size - 1)[:, None].long()).squeeze(1))
    entropy = -torch.where(likely > 0, likely * sure, 0.0).sum(1)
    first, second = torch.nn.functional.pad(likely, (0, 1)).topk(2, dim=1).values.unbind(1)
    return logprob, entropy, first - second

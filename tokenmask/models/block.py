"""Block: one layer of a transformer.

Arrow: vectors of all positions --**Block**--> vectors of all positions. Does not know: ids, queries, layouts.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tokenmask.nn import Attention, Modulation, RMSNorm, SwiGLU

Turn = tuple[Tensor, Tensor]  # cosines and sines of a rotation


class Block(nn.Module):
    """Pre-norm attention and feed-forward, each added to what came in.

    Args:
        width: D.
        heads: attention heads.
        ffn: as in :class:`~tokenmask.models.TransformerConfig`.
        depth: number of blocks of the network.
        adaln: is shifted, scaled and gated by a condition.
    """

    def __init__(self, width: int, heads: int, ffn: float, depth: int, adaln: bool) -> None:
        super().__init__()
        self.depth = depth
        self.attention_norm = RMSNorm(width)
        self.attention = Attention(width, heads)
        self.feed_forward_norm = RMSNorm(width)
        self.feed_forward = SwiGLU(width, ffn)
        self.modulation = Modulation(width, 6) if adaln else None

    def initialise(self, generator: torch.Generator) -> None:
        """Shrinks both outputs by sqrt(2 * depth). Source: GPT-2 (Radford et al. 2019), section 2.3."""
        for layer in (self.attention.out, self.feed_forward.down):
            layer.weight.mul_(1 / math.sqrt(2 * self.depth))

    def forward(
        self,
        x: Tensor,
        rotary: Turn,
        mask: Tensor | None,
        condition: Tensor | None,
        query_rotary: Turn | None = None,
        store: Callable[[Tensor, Tensor], None] | None = None,
    ) -> Tensor:
        """x: float [B, L, D] -> new tensor of that shape; ``condition`` float [>= 16, D] with ``adaln``."""
        parts = None
        if self.modulation is not None and condition is not None:
            parts = self.modulation(condition, x.shape[0])
        return self._around(x, lambda x, before: self.attention(x, rotary, mask, query_rotary, store, before), parts)

    def extend(
        self, x: Tensor, attend: Callable[[Tensor], Tensor], condition: Tensor | None, row: Tensor, rows: int
    ) -> Tensor:
        """x: float [M, D], packed positions of rows ``row`` int64 [M] out of ``rows`` -> new tensor of that shape."""
        parts = None
        if self.modulation is not None and condition is not None:
            parts = tuple(part[row, 0] for part in self.modulation(condition, rows))
        return self._around(x, lambda x, before: attend(before(x)), parts)

    def _around(
        self,
        x: Tensor,
        attend: Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor],
        parts: tuple[Tensor, ...] | None,
    ) -> Tensor:
        """``attend`` is given x and what x must go through before attention."""
        if parts is None:
            x = x + attend(x, self.attention_norm)
            x = x + self.feed_forward(x, self.feed_forward_norm)
            return x
        shift, scale, gate, shift_two, scale_two, gate_two = parts
        x = x + gate * attend(x, lambda x: self.attention_norm(x) * (1 + scale) + shift)
        x = x + gate_two * self.feed_forward(x, lambda x: self.feed_forward_norm(x) * (1 + scale_two) + shift_two)
        return x

    def attention_input(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """What the attention layer of this block sees."""
        normed: Tensor = self.attention_norm(x)
        if self.modulation is not None and condition is not None:
            shift, scale = self.modulation(condition, x.shape[0])[:2]
            normed = normed * (1 + scale) + shift
        return normed

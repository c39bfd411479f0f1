"""Block: one layer of a transformer.

Arrow: vectors of all positions --**Block**--> vectors of all positions. Does not know: ids, queries, layouts.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from tokenmask.models.style import BlockStyle
from tokenmask.nn import Attention, GeluLayer, GridConvolution, Merging, Modulation, Segments, SwiGLU, norm_of

Turn = tuple[Tensor, Tensor]  # cosines and sines of a rotation


class Block(nn.Module):
    """Attention and feed-forward, each added to what came in; the norms stand before them, or behind the sums.

    Args:
        width: D.
        heads: attention heads.
        ffn: as in :class:`~tokenmask.models.TransformerConfig`.
        depth: number of blocks of the network.
        adaln: is shifted, scaled and gated by a condition; never with ``style.post_norm``.
        style: in what it differs from ours.
        mixing: sizes of a convolution before attention, added to what came in; None is none.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        ffn: float,
        depth: int,
        adaln: bool,
        style: BlockStyle | None = None,
        *,
        mixing: tuple[int, int, int] | None = None,
    ) -> None:
        super().__init__()
        style = style or BlockStyle()
        self.depth, self.post_norm = depth, style.post_norm
        eps, bias, size = style.norm_eps, "ffn" in style.biases, style.ffn_size
        self.attention_norm = norm_of(style.norm, width, eps)
        self.attention = Attention(
            width, heads, size=style.head_size, norm=style.query_key_norm, eps=eps, biases=style.biases
        )
        self.feed_forward_norm = norm_of(style.norm, width, eps)
        self.feed_forward: SwiGLU | GeluLayer = (
            SwiGLU(width, ffn, size=size, bias=bias)
            if style.feed_forward == "swiglu"
            else GeluLayer(width, size or int(ffn * width), bias=bias)
        )
        self.modulation = Modulation(width, 6) if adaln else None
        self.mixing_norm = None if mixing is None else norm_of(style.norm, width, eps)
        self.mixing = None if mixing is None else GridConvolution(width, mixing)

    def initialise(self, generator: torch.Generator) -> None:
        """Shrinks both outputs by sqrt(2 * depth). Source: GPT-2 (Radford et al. 2019), section 2.3."""
        for layer in (self.attention.out, self.feed_forward.down):
            layer.weight.mul_(1 / math.sqrt(2 * self.depth))

    def forward(
        self,
        x: Tensor,
        rotary: Turn | None,
        mask: Tensor | Segments | None,
        condition: Tensor | None,
        query_rotary: Turn | None = None,
        store: Callable[[Tensor, Tensor], None] | None = None,
        merging: Merging | None = None,
    ) -> Tensor:
        """x: float [B, L, D] -> new tensor of that shape; ``condition`` float [>= 16, D] with ``adaln``.

        With Segments x is one row [1, T, D] of sequences, which ``condition`` knows by their numbers. With ``merging``,
        which does not go with them, positions go through attention and the feed-forward layer as one.
        """
        parts = None
        if self.modulation is not None and condition is not None:
            if isinstance(mask, Segments):
                parts = tuple(mask.of_each(part[:, 0]) for part in self.modulation(condition, condition.shape[0]))
            else:
                parts = self.modulation(condition, x.shape[0])
        if merging is None:
            return self._around(
                x, lambda x, before: self.attention(x, rotary, mask, query_rotary, store, before), parts
            )
        assert not isinstance(mask, Segments)
        turn = None if rotary is None else (merging.of(rotary[0]), merging.of(rotary[1]))
        sees = merging.mask(mask)

        def attend(x: Tensor, before: Callable[[Tensor], Tensor]) -> Tensor:
            return merging.spread(self.attention(merging.merge(before(x)), turn, sees))

        def feed(x: Tensor, before: Callable[[Tensor], Tensor]) -> Tensor:
            return merging.spread(self.feed_forward(merging.merge(before(x))))

        return self._around(x, attend, parts, feed)

    def mixed(self, x: Tensor, near: Tensor | None) -> Tensor:
        """What the block begins with: x float [B, L, D] and, with ``mixing``, what the convolution adds to it.

        ``near`` is of :func:`tokenmask.nn.neighbours`.
        """
        if self.mixing is None or self.mixing_norm is None or near is None:
            return x
        mixed: Tensor = x + self.mixing(self.mixing_norm(x), near)
        return mixed

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
        feed: Callable[[Tensor, Callable[[Tensor], Tensor]], Tensor] | None = None,
    ) -> Tensor:
        """``attend`` is given x and what x must go through before it, as is ``feed``, the layer itself if None."""
        feed = feed or self.feed_forward
        if self.post_norm:
            x = self.attention_norm(x + attend(x, _as_it_is))
            x = self.feed_forward_norm(x + feed(x, _as_it_is))
            return x
        if parts is None:
            x = x + attend(x, self.attention_norm)
            x = x + feed(x, self.feed_forward_norm)
            return x
        shift, scale, gate, shift_two, scale_two, gate_two = parts
        x = x + gate * attend(x, lambda x: self.attention_norm(x) * (1 + scale) + shift)
        x = x + gate_two * feed(x, lambda x: self.feed_forward_norm(x) * (1 + scale_two) + shift_two)
        return x

    def attention_input(self, x: Tensor, condition: Tensor | None) -> Tensor:
        """What the attention layer of this block sees."""
        if self.post_norm:
            return x
        normed: Tensor = self.attention_norm(x)
        if self.modulation is not None and condition is not None:
            shift, scale = self.modulation(condition, x.shape[0])[:2]
            normed = normed * (1 + scale) + shift
        return normed


def _as_it_is(x: Tensor) -> Tensor:
    return x

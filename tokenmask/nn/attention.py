"""Multi-head attention with normalised queries and keys.

Does not know: why a key may be seen; a mask says so.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokenmask.nn.norm import RMSNorm
from tokenmask.nn.rotary import rotate


class Attention(nn.Module):
    """Self-attention: one packed projection, RMS-normalised and rotated queries and keys, scaled dot products.

    Source of the query-key norm: arXiv:2302.05442, section 2.

    Args:
        width: of the model, a multiple of ``heads``.
        heads: H.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"the width must be a multiple of the number of heads, got {width} and {heads}")
        self.heads = heads
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.query_norm = RMSNorm(width // heads)
        self.key_norm = RMSNorm(width // heads)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, rotary: tuple[Tensor, Tensor] | None, mask: Tensor | None) -> Tensor:
        """Args:
            x: float [B, L, D].
            rotary: cosines and sines [B, L, D / H], or None for no positions.
            mask: None (all keys), bool [B, 1 or H, 1 or L, L] (True: may be seen), or float added to the scores. Every
                query must have a key that it may see.

        Returns:
            float [B, L, D], new.
        """
        query, key, value = self._project(x, rotary)
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def probabilities(
        self, x: Tensor, rotary: tuple[Tensor, Tensor] | None, mask: Tensor | None, columns: Tensor
    ) -> Tensor:
        """How much each position looks at a few keys.

        Args:
            x, rotary, mask: as in :meth:`forward`.
            columns: int64 [C], key positions.

        Returns:
            float32 [B, H, L, C]; over all columns they would sum to 1.
        """
        query, key, _ = self._project(x, rotary)
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        return torch.softmax(scores.float(), -1)[..., columns]

    def _project(self, x: Tensor, rotary: tuple[Tensor, Tensor] | None) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(2)
        query, key = self.query_norm(query), self.key_norm(key)
        if rotary is not None:
            cos, sin = rotary[0].unsqueeze(2), rotary[1].unsqueeze(2)
            query, key = rotate(query, cos, sin), rotate(key, cos, sin)
        return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)

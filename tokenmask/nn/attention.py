"""Multi-head attention, with normalised queries and keys unless one says otherwise.

Does not know: why a key may be seen; a mask says so.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokenmask.nn.linear import Linear
from tokenmask.nn.modulation import pad_rows
from tokenmask.nn.norm import RMSNorm
from tokenmask.nn.recompute import made_again
from tokenmask.nn.rotary import rotate
from tokenmask.nn.segments import Segments
from tokenmask.ops import attend_cached, is_compiled, rotate_and_store, turn_heads

Turn = tuple[Tensor, Tensor]  # cosines and sines


class Attention(nn.Module):
    """Self-attention: one packed projection, RMS-normalised and rotated queries and keys, scaled dot products.

    Source of the query-key norm: arXiv:2302.05442, section 2.

    Args:
        width: of the model, a multiple of ``heads`` unless ``size`` is given.
        heads: H.
        size: components of a head, C; 0 is width / heads.
        norm: queries and keys are normalised.
        eps: of their norms.
        biases: which layers have one: "qkv", "out".
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        size: int = 0,
        norm: bool = True,
        eps: float = 1e-6,
        biases: Sequence[str] = (),
    ) -> None:
        super().__init__()
        if not size and width % heads:
            raise ValueError(
                f"the width must be a multiple of the number of heads, got {width} and {heads}; change one of them"
            )
        self.heads = heads
        self.size = size or width // heads
        self.qkv = Linear(width, 3 * heads * self.size, bias="qkv" in biases)
        self.query_norm = RMSNorm(self.size, eps) if norm else None
        self.key_norm = RMSNorm(self.size, eps) if norm else None
        self.out = Linear(heads * self.size, width, bias="out" in biases)

    def forward(
        self,
        x: Tensor,
        rotary: Turn | None,
        mask: Tensor | Segments | None,
        query_rotary: Turn | None = None,
        store: Callable[[Tensor, Tensor], None] | None = None,
        before: Callable[[Tensor], Tensor] | None = None,
    ) -> Tensor:
        """Args:
            x: float [B, L, D].
            rotary: cosines and sines [B, L, C], or None for no positions.
            mask: None (all keys), bool [B, 1 or H, 1 or L, L] (True: may be seen), or float added to the scores. Every
                query must have a key that it may see. Segments: x is one row [1, T, D] of sequences.
            query_rotary: turns the queries instead, where they ask from another place than their keys stand.
            store: is given the keys and values, float [B, H, L, C] each.
            before: what x goes through first (a norm).

        Returns:
            float [B, L, D], new. For the backward pass x and what attention returns are kept; the projection and the
            turned heads are made again.
        """

        def turned(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            return self._turned(self.qkv(x if before is None else before(x)), rotary, query_rotary)

        (query, key, value), reading = made_again(turned, x)
        if store is not None:
            store(key, value)
        with reading:
            if isinstance(mask, Segments):
                mixed = mask.attend(query, key, value)
            else:
                mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=mask)
        return self.out(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def extend(
        self,
        x: Tensor,
        rotary: Turn,
        query_rotary: Turn | None,
        row_splits: Tensor,
        slots: Tensor,
        keys: Tensor,
        values: Tensor,
        lengths: Tensor,
        allowed: Tensor | None,
    ) -> Tensor:
        """Attention of some positions over a cache, into which their own keys and values go first; no gradient.

        Args:
            x: float [M, D] or longer; rows past M are padding.
            rotary, query_rotary: cosines and sines [M, C]; the second for queries that ask from elsewhere.
            row_splits, slots, keys, values: as :func:`tokenmask.ops.rotate_and_store` takes them.
            lengths, allowed: as :func:`tokenmask.ops.attend_cached` takes them, the new slots included.

        Returns:
            float of x's shape, new.
        """
        count = slots.shape[0]
        qkv = self.qkv(x)[:count].unflatten(-1, (3, self.heads, -1))
        query_weight, key_weight, eps = self._norms(qkv)
        query = rotate_and_store(
            qkv,
            query_weight,
            key_weight,
            *rotary,
            row_splits,
            slots,
            keys,
            values,
            query_cos=None if query_rotary is None else query_rotary[0],
            query_sin=None if query_rotary is None else query_rotary[1],
            eps=eps,
        )
        mixed = attend_cached(query, row_splits, keys, values, lengths, allowed=allowed)
        return self.out(pad_rows(mixed.flatten(1), x.shape[0]))  # type: ignore[no-any-return]

    def probabilities(
        self,
        x: Tensor,
        rotary: Turn | None,
        mask: Tensor | None,
        columns: Tensor,
        query_rotary: Turn | None = None,
    ) -> Tensor:
        """How much each position looks at a few keys.

        Args:
            x, rotary, mask, query_rotary: as in :meth:`forward`.
            columns: int64 [C], key positions, or [B, C], those of each row; -1 is none.

        Returns:
            float32 [B, H, L, C]; over all columns they would sum to 1, and where there is none they are 0.
        """
        query, key, _ = self._turned(self.qkv(x), rotary, query_rotary)
        scores = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        if mask is not None:
            scores = scores.masked_fill(~mask, -torch.inf) if mask.dtype == torch.bool else scores + mask
        found = torch.softmax(scores.float(), -1)
        if columns.dim() == 1:
            return found[..., columns]
        places = columns[:, None, None].expand(*found.shape[:-1], -1)
        return found.gather(-1, places.clamp(min=0)).masked_fill(places < 0, 0.0)

    def _norms(self, like: Tensor) -> tuple[Tensor, Tensor, float]:
        """(weights of queries, of keys, eps) for a kernel that always normalises.

        Without a norm: an eps beside which the mean square is lost in rounding, and a weight, a power of two, that
        takes its root back. So the kernel returns what it was given, bit for bit in float32.
        """
        if self.query_norm is not None and self.key_norm is not None:
            return self.query_norm.weight, self.key_norm.weight, self.query_norm.eps
        root = 2.0**15 if like.dtype == torch.float16 else 2.0**30  # float16 ends at 65504
        ones = like.new_full((self.size,), root)
        return ones, ones, root * root

    def _fuses(self, qkv: Tensor, rotary: Turn | None) -> bool:
        """Whether the kernels of turn_heads do it all, which keep nothing but ``qkv`` for the backward pass."""
        learns = torch.is_grad_enabled() and not torch.compiler.is_compiling()
        return learns and rotary is not None and self.query_norm is not None and is_compiled(qkv)

    def _turned(self, qkv: Tensor, rotary: Turn | None, query_rotary: Turn | None) -> tuple[Tensor, Tensor, Tensor]:
        packed = qkv.view(*qkv.shape[:-1], 3, self.heads, -1)
        if self._fuses(qkv, rotary):
            assert rotary is not None and self.query_norm is not None and self.key_norm is not None
            weights = self.query_norm.weight, self.key_norm.weight
            query, key, value = turn_heads(packed, weights, rotary, query_rotary or rotary, self.query_norm.eps)
            return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)
        query, key, value = packed.unbind(2)
        if self.query_norm is not None and self.key_norm is not None:
            query, key = self.query_norm(query), self.key_norm(key)
        if rotary is not None:
            cos, sin = rotary[0].unsqueeze(2), rotary[1].unsqueeze(2)
            key = rotate(key, cos, sin)
            if query_rotary is not None:
                cos, sin = query_rotary[0].unsqueeze(2), query_rotary[1].unsqueeze(2)
            query = rotate(query, cos, sin)
            if self.out.weight.dtype != torch.float32:  # turned in float32, as the sines are
                query, key = query.to(value.dtype), key.to(value.dtype)
        return query.transpose(1, 2), key.transpose(1, 2), value.transpose(1, 2)

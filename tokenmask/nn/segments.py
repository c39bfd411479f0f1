"""Segments: sequences that stand one behind the other in one row, and attention inside each of them.

Does not know: what the sequences are, or why a key may be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


@dataclass(frozen=True, eq=False)
class Stretch:
    """Neighbouring sequences of about one length, whose attention is one call.

    Args:
        rows: b, how many.
        length: l, of the longest.
        mask: None (all keys), or bool [b, 1, 1 or l, l] (True: may be seen). Every query has a key that it may see.
        at: int64 [n], ascending, which of the b * l places have a position; None where all have.
    """

    rows: int
    length: int
    mask: Tensor | None
    at: Tensor | None

    @property
    def size(self) -> int:
        """n, positions."""
        return self.rows * self.length if self.at is None else self.at.shape[0]

    def spread(self, x: Tensor) -> Tensor:
        """[n, ...] -> [b, l, ...], zeros where no position is."""
        if self.at is not None:
            x = x.new_zeros(self.rows * self.length, *x.shape[1:]).index_copy(0, self.at, x)
        return x.view(self.rows, self.length, *x.shape[1:])

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """float [n, H, C] each -> [n, H, C], new."""
        query, key, value = (self.spread(x).transpose(1, 2) for x in (query, key, value))
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=self.mask).transpose(1, 2).flatten(0, 1)
        return mixed if self.at is None else mixed.index_select(0, self.at)


@dataclass(frozen=True, eq=False)
class Segments:
    """Which positions of a row may look at each other: those of one sequence, as its mask says. No other is computed.

    Args:
        sequence: int64 [T], the number of the sequence that each position is of.
        stretches: one behind the other they hold the T positions.
    """

    sequence: Tensor
    stretches: Sequence[Stretch]

    def attend(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        """float [1, H, T, C] each -> [1, H, T, C], new."""
        sizes = [stretch.size for stretch in self.stretches]
        parts = [torch.split(x[0].transpose(0, 1), sizes) for x in (query, key, value)]
        mixed = [stretch.attend(*part) for stretch, *part in zip(self.stretches, *parts, strict=True)]
        return torch.cat(mixed).transpose(0, 1)[None]

    def of_each(self, x: Tensor) -> Tensor:
        """float [sequences, D] -> [1, T, D], the line of each position's sequence."""
        return F.embedding(self.sequence, x)[None]

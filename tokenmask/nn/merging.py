"""Merging: positions that are alike go through a layer as one.

Arrow: vectors of all positions --**match**--> Merging --**merge**, a layer, **spread**--> vectors of all positions.
Does not know: what positions stand for, layers.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

_ROWS = 64  # positions that go on are padded to a multiple, so that a row's own do not depend on the others


@dataclass(frozen=True, eq=False)
class Merging:
    """Which positions go on as one.

    Args:
        kept: int64 [B, M], the positions that go on, ascending, and behind them others that count for nothing.
        into: int64 [B, L], the number among those that each position goes on in; its own where it is kept.
        counts: int64 [B], how many of M count.
    """

    kept: Tensor
    into: Tensor
    counts: Tensor

    def merge(self, x: Tensor) -> Tensor:
        """float [B, L, D] -> [B, M, D], the mean of what goes on together; what stays alone is unchanged."""
        size = (x.shape[0], self.kept.shape[1], x.shape[2])
        return x.new_zeros(size).scatter_reduce(1, self.into[:, :, None].expand_as(x), x, "mean", include_self=False)

    def spread(self, y: Tensor) -> Tensor:
        """float [B, M, D] -> [B, L, D], a copy for each position that went on together."""
        return y.gather(1, self.into[:, :, None].expand(-1, -1, y.shape[2]))

    def of(self, values: Tensor) -> Tensor:
        """Of values [B, L, C] of all positions those of the positions that go on."""
        return values.gather(1, self.kept[:, :, None].expand(-1, -1, values.shape[2]))

    def mask(self, mask: Tensor | None) -> Tensor:
        """What attention may see, [B, 1 or H, 1 or L, L], among the positions that go on; one at the least."""
        counted = (torch.arange(self.kept.shape[1], device=self.kept.device) < self.counts[:, None])[:, None, None]
        if mask is None:
            return counted
        mask = mask.expand(self.kept.shape[0], -1, -1, -1)
        seen = mask.gather(3, self.kept[:, None, None].expand(-1, mask.shape[1], mask.shape[2], -1))
        if mask.shape[2] > 1:
            seen = seen.gather(2, self.kept[:, None, :, None].expand(-1, mask.shape[1], -1, seen.shape[3]))
        if mask.dtype != torch.bool:
            return seen.masked_fill(~counted, -torch.inf)
        return seen & counted | (~counted.transpose(2, 3) & counted)  # what counts for nothing sees anything


def match(x: Tensor, may: Tensor, keeps: Tensor, counts: Tensor) -> Merging:
    """Joins the positions that are most like one that is kept with the one that they are most like.

    Source: bipartite soft matching, ToMe, arXiv:2210.09461, section 3; with one kept position a cell of a picture,
    arXiv:2303.17604, as arXiv:2411.10781 has it.

    Args:
        x: float [B, L, D]; likeness is the cosine.
        may: bool [B, L], those that may go on in another one.
        keeps: bool [B, L], those that others may go on in; none of ``may``.
        counts: int64 [B], how many of each row go; at most those that may, and 0 where a row keeps none.
    """
    length = x.shape[1]
    unit = F.normalize(x.float(), dim=-1)
    alike = (unit @ unit.transpose(1, 2)).masked_fill(~keeps[:, None], -torch.inf)
    likeness, where = alike.max(2)
    ranked = likeness.masked_fill(~may, -torch.inf).sort(dim=1, descending=True, stable=True).indices
    first = torch.arange(length, device=x.device) < counts[:, None]
    gone = torch.zeros_like(may).scatter(1, ranked, first)
    number = (~gone).cumsum(1) - 1
    into = torch.where(gone, number.gather(1, where), number)
    size = min(length, -(-(length - int(counts.min())) // _ROWS) * _ROWS)
    kept = gone.int().sort(dim=1, stable=True).indices[:, :size]
    return Merging(kept, into, length - counts)

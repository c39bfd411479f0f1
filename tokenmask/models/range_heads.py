"""RangeHeads: hidden vectors become logits over the codes of one range.

Arrow: Backbone --**RangeHeads**--> Objective, Sampler. Does not know: the shared vocabulary as a whole; a query is
scored over the codes of its own range only, never over MASK or other streams.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tokenmask.layout import Layout
from tokenmask.models.heads import Head, HeadConfig, RangeLogits, Reader
from tokenmask.models.layout_rows import LayoutRows
from tokenmask.models.style import Norm
from tokenmask.nn import MIN_ROWS, Linear, linear, norm_of, pad_rows, recomputed, shares

LOGITS_AT_ONCE = 2**22  # where they are read in parts: 16 MB
COLUMNS = 16  # a product with another number of columns may round differently with four or more threads


@dataclass(frozen=True)
class RangeHeadsConfig(HeadConfig):
    """A :class:`RangeHeads`.

    Args:
        tied: codes are scored with the embedding table itself.
        transform: a dense layer, GELU and norm before the codes are scored, as in BERT.
        norm: of the transform, "rms" or, as BERT has it, "layer".
        norm_eps: of that norm.
    """

    tied: bool = True
    transform: bool = False
    norm: Norm = "rms"
    norm_eps: float = 1e-6

    def __post_init__(self) -> None:
        if self.norm not in get_args(Norm) or not self.norm_eps > 0:
            raise ValueError(
                f"RangeHeadsConfig needs a norm out of {', '.join(get_args(Norm))} and a positive norm_eps, got "
                f"{self.norm!r} and {self.norm_eps}"
            )

    def build(self, layout: Layout, width: int) -> Head:
        options = {"tied": self.tied, "transform": self.transform}
        return RangeHeads(layout, width, **options, norm=self.norm, norm_eps=self.norm_eps)


class RangeHeads(Head):
    """Scores the codes of each range with the rows of a table, plus a bias for each code.

    Args:
        layout: gives the ranges.
        width: D.
        tied: the table is the embedding table; else the heads hold one of their own.
        transform: dense, GELU and norm first. Source: BERT, arXiv:1810.04805, published code; MaskGIT keeps it.
        norm, norm_eps: of the transform, see :class:`RangeHeadsConfig`.
    """

    def __init__(
        self,
        layout: Layout,
        width: int,
        *,
        tied: bool = True,
        transform: bool = False,
        norm: str = "rms",
        norm_eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.ranges = layout.ranges
        self.bias = nn.Parameter(torch.empty(layout.num_ids))
        self.table = None if tied else nn.Parameter(torch.empty(layout.num_ids, width))
        self.dense = Linear(width, width) if transform else None
        self.norm = norm_of(norm, width, norm_eps) if transform else None

    def initialise(self, generator: torch.Generator) -> None:
        """Biases zero; an own table is uniform within 1 / sqrt(D)."""
        self.bias.zero_()
        if self.table is not None:
            bound = 1 / math.sqrt(self.table.shape[1])
            self.table.uniform_(-bound, bound, generator=generator)

    def layout_rows(self) -> LayoutRows:
        """The biases, and the own table if there is one."""
        return LayoutRows(ids=("bias",) if self.table is None else ("bias", "table"))

    def of_one(
        self, head: int, hidden: Tensor, heads: Tensor, embedding: Tensor, read: Reader | None = None
    ) -> tuple[RangeLogits, ...]:
        return self(hidden, heads, embedding, read, only=head)  # type: ignore[no-any-return]

    def forward(
        self, hidden: Tensor, heads: Tensor, embedding: Tensor, read: Reader | None = None, only: int | None = None
    ) -> tuple[RangeLogits, ...]:
        """Args:
            hidden: float [M, D], normalised.
            heads: int64 [M], index of the range that each query asks.
            embedding: float [num_ids, D], the embedding table, used if tied.
            read: is given the logits in parts of at most 2^22, and what it returns stands in the place of ``logits``.
                So they are never all there at once, neither now nor in the backward pass, which computes each part
                again (and calls ``read`` again) where there are several.
            only: the one head that all of ``heads`` are, where that is known; they are then not looked at.

        Returns:
            One entry for each range that is asked, in ascending order of ``head``; together they hold each query once.

        Raises:
            ValueError: a head that is no range of the layout.
        """
        if not len(heads):
            return ()
        low, high = (int(heads.min()), int(heads.max())) if only is None else (only, only)
        if low < 0 or high >= len(self.ranges):
            raise ValueError(
                f"queries must ask one of {len(self.ranges)} ranges, got {low}..{high}; hide code slots only"
            )
        count = hidden.shape[0]
        table = embedding if self.table is None else self.table
        if self.dense is not None and self.norm is not None:
            hidden = self.norm(F.gelu(self.dense(pad_rows(hidden))))[:count]
        groups = []
        for head in range(low, high + 1):
            if low == high:
                index, asked = torch.arange(count, device=hidden.device), hidden
            else:
                index = (heads == head).nonzero().squeeze(1)
                asked = hidden[index]
            if len(index):
                first, size = self.ranges[head].offset, self.ranges[head].size
                wide = slice(first, first + -(-size // COLUMNS) * COLUMNS)
                rows, bias = pad_rows(table[wide], wide.stop - first), pad_rows(self.bias[wide], wide.stop - first)
                most = max(LOGITS_AT_ONCE // size // MIN_ROWS, 1) * MIN_ROWS
                if read is None:
                    answers = _scores(asked, rows, bias, size)
                elif len(index) <= most:
                    answers = _read(read, head, index, size, asked, rows, bias)
                else:
                    pairs = zip(torch.split(index, most), torch.split(asked, most), strict=True)
                    part = partial(_read, read, head)
                    parts = [
                        recomputed(partial(part, at, size), some, own, bias, always=True)
                        for (at, some), own in zip(pairs, shares(rows), strict=False)
                    ]
                    answers = torch.cat(parts)
                groups.append(RangeLogits(head, index, answers))
        return tuple(groups)


def _read(read: Reader, head: int, index: Tensor, size: int, asked: Tensor, rows: Tensor, bias: Tensor) -> Tensor:
    return read(RangeLogits(head, index, _scores(asked, rows, bias, size)))


def _scores(asked: Tensor, rows: Tensor, bias: Tensor, size: int) -> Tensor:
    return linear(pad_rows(asked), rows, bias)[: len(asked), :size].float().contiguous()

"""LevelStages: multi-level streams are learned coarse to fine, one depth at a time.

Arrow: inside Masker, before the rate. Does not know: which slots of a depth are hidden, models.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.layout import Layout
from tokenmask.ops import Purpose, uniform


@dataclass(frozen=True)
class LevelStages:
    """Draws one depth for each row: coarser levels are seen, this one is masked and predicted, finer ones are hidden.

    Depth counts inside a level group, see :meth:`Layout.depths`; a stream with one level has depth 0 only. Source:
    MAGNeT, arXiv:2401.04577, section 3.1, where all rows of a batch share the depth. ``whole_from`` is the residual
    transformer of MoMask, arXiv:2312.00063, section 3.3: from that depth on all slots are predicted at once, from
    coarser ones alone.

    Args:
        odds: how often each depth is drawn, relative to the others; 1 for depths beyond the end.
        whole_from: depths from this one on hide all of their slots; None for none.
        only: always this depth, where a row has it; for evaluation.
    """

    odds: tuple[float, ...] = ()
    whole_from: int | None = None
    only: int | None = None

    def __post_init__(self) -> None:
        if any(odds <= 0 for odds in self.odds):
            raise ValueError(f"LevelStages.odds must be positive, got {self.odds}")
        if self.whole_from is not None and self.whole_from < 1:
            raise ValueError(f"LevelStages.whole_from must be at least 1, got {self.whole_from}")

    def depth(self, ids: Tensor, maskable: Tensor, layout: Layout, *, seed: int, sample_ids: Tensor) -> Tensor:
        """Args:
            ids: int32 [B, L, K].
            maskable: bool [B, L, K].
            layout: gives the depths.
            seed, sample_ids: the only source of randomness; one draw for each row.

        Returns:
            int64 [B], the depth that each row learns.
        """
        depth = layout.depth_of(ids)
        count = int(layout.depths().max()) + 1
        here = torch.stack([(maskable & (depth == d)).flatten(1).any(1) for d in range(count)], 1)
        if self.only is not None:
            return torch.full_like(sample_ids, self.only)
        weight = torch.ones(count, device=ids.device)
        weight[: len(self.odds)] = torch.tensor(self.odds[:count], device=ids.device)
        weight = weight * here
        cumulative = (weight / weight.sum(1, keepdim=True).clamp_min(1e-9)).cumsum(1)
        draw = uniform(seed=seed, counters=sample_ids * 64 + 63, purpose=Purpose.dropout)
        return (draw[:, None] >= cumulative[:, :-1]).sum(1)

    def __call__(
        self, ids: Tensor, maskable: Tensor, layout: Layout, *, seed: int, sample_ids: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """:meth:`depth`, then :meth:`split`."""
        return self.split(ids, maskable, layout, self.depth(ids, maskable, layout, seed=seed, sample_ids=sample_ids))

    def split(self, ids: Tensor, maskable: Tensor, layout: Layout, drawn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Args:
            ids, maskable, layout: as in :meth:`depth`.
            drawn: int64 [B], what it returned.

        Returns:
            (bool [B, L, K], slots of the drawn depth; bool [B, L, K], finer ones, which are hidden and not predicted;
            bool [B], rows whose drawn depth is hidden whole).
        """
        depth, stage = layout.depth_of(ids), drawn[:, None, None]
        whole = torch.zeros_like(drawn, dtype=torch.bool) if self.whole_from is None else drawn >= self.whole_from
        return maskable & (depth == stage), maskable & (depth > stage), whole

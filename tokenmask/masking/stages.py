"""Stages: what a row learns first and what later, such as streams of several levels coarse to fine.

Arrow: inside Masker, before the rate. Does not know: which slots of a stage are hidden, models.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.layout import Layout
from tokenmask.masking.row_draws import STAGE, row_draws


class Stages(ABC):
    """Base: each row learns one stage of a generation; a frozen dataclass, named by recipes (``masker.stages``).

    What must hold: the stage of a row follows from the row, its sample id and the seed alone, whatever other rows stand
    beside it; it is not negative; the slots that are learned and those that are hidden besides are disjoint and among
    those that may be hidden. Attention patterns know the stage as the group.
    """

    @abstractmethod
    def stage(self, ids: Tensor, maskable: Tensor, layout: Layout, *, seed: int, sample_ids: Tensor) -> Tensor:
        """Args:
            ids: int32 [B, L, K].
            maskable: bool [B, L, K], the slots that may be hidden.
            layout: of the ids.
            seed, sample_ids: the only source of randomness; sample ids are int64 [B].

        Returns:
            int64 [B], the stage that each row learns.
        """

    @abstractmethod
    def split(self, ids: Tensor, maskable: Tensor, layout: Layout, drawn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Args:
            ids, maskable, layout: as in :meth:`stage`.
            drawn: int64 [B], what it returned.

        Returns:
            (bool [B, L, K], slots of the drawn stage, of which the rate hides some; bool [B, L, K], slots of later
            ones, which are hidden and not predicted; bool [B], rows whose drawn stage is hidden whole).
        """

    def __call__(
        self, ids: Tensor, maskable: Tensor, layout: Layout, *, seed: int, sample_ids: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """:meth:`stage`, then :meth:`split`."""
        return self.split(ids, maskable, layout, self.stage(ids, maskable, layout, seed=seed, sample_ids=sample_ids))


@dataclass(frozen=True)
class LevelStages(Stages):
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
            raise ValueError(f"LevelStages.odds must be positive, got {self.odds}; leave them empty for equal odds")
        if self.whole_from is not None and self.whole_from < 1:
            raise ValueError(
                f"LevelStages.whole_from must be at least 1, got {self.whole_from}; leave it null for none"
            )

    def stage(self, ids: Tensor, maskable: Tensor, layout: Layout, *, seed: int, sample_ids: Tensor) -> Tensor:
        """The depth that each row learns, one draw for each row."""
        if self.only is not None:
            return torch.full_like(sample_ids, self.only)
        here = layout.depths_among(ids, maskable)
        count = here.shape[1]
        weight = torch.ones(count, device=ids.device)
        weight[: len(self.odds)] = torch.tensor(self.odds[:count], device=ids.device)
        weight = weight * here
        cumulative = (weight / weight.sum(1, keepdim=True).clamp_min(1e-9)).cumsum(1)
        return (row_draws(sample_ids, STAGE, seed=seed) >= cumulative[:, :-1]).sum(1)

    def split(self, ids: Tensor, maskable: Tensor, layout: Layout, drawn: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Slots of the drawn depth, slots of finer ones, and rows from ``whole_from`` on."""
        depth, stage = layout.depth_of(ids), drawn[:, None, None]
        whole = torch.zeros_like(drawn, dtype=torch.bool) if self.whole_from is None else drawn >= self.whole_from
        return maskable & (depth == stage), maskable & (depth > stage), whole

"""MergeTokens: places of a picture that are alike are run as one. See policy.py for the contract."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import torch
from torch import Tensor

from tokenmask.batch import FILL, Batch
from tokenmask.models import MaskedModel
from tokenmask.models.attention_pattern import MERGED, MERGED_PLAN
from tokenmask.ops import Purpose, uniform
from tokenmask.sampling.reuse.policy import NoReuse, Reuse, ReuseStep, Scored
from tokenmask.scores.arguments import number, whole


@dataclass(frozen=True)
class MergeTokens(Reuse):
    """Positions that are most like a kept one go through attention and feed-forward layers with it.

    Of each cell of neighbouring positions of what is filled, one is kept; the share of all of these positions that are
    most like a kept one go on as it, by the mean, and get a copy of what comes out. Who goes with whom is settled anew
    before every so many blocks, by what comes into the first of them. Keys turn by the place of the kept position,
    where the published code averages cosines and sines. Nothing is trained. Source: TomeMGT of arXiv:2411.10781.

    Args:
        share: of the positions that are filled or given in the streams that are filled.
        cell: rows and columns of a cell, and places in time of a stream without rows.
        blocks: that share a matching; 0 lets all of them.
        seed: of which position of a cell is kept, the same in each step.
    """

    share: float = 0.25
    cell: int = 2
    blocks: int = 0
    seed: int = 0
    exact: ClassVar[bool] = False
    keeps: ClassVar[bool] = False

    def __post_init__(self) -> None:
        number("MergeTokens.share", self.share, least=0.0, most=1.0)
        whole("MergeTokens.cell", self.cell)
        whole("MergeTokens.blocks", self.blocks, least=0)
        whole("MergeTokens.seed", self.seed, least=0)

    def score(self, model: MaskedModel, step: ReuseStep, cache: None) -> Scored:
        if not model.backbone.merges:
            raise ValueError(
                f"MergeTokens needs a backbone that can run positions as one, and {type(model.backbone).__name__} "
                "cannot; use NoReuse, or a Transformer"
            )
        if self.share > 0:
            step = replace(step, inputs=self.marked(step.inputs))
        return NoReuse().score(model, step, cache)

    def marked(self, inputs: Batch) -> Batch:
        """The rows with what a backbone must know, see :attr:`tokenmask.models.Backbone.merges`."""
        own = torch.zeros_like(inputs.valid)
        filled = (inputs.role == FILL).any(-1)
        for name in inputs.stream[filled].unique().tolist():  # type: ignore[no-untyped-call]
            mine = inputs.stream == name
            own |= mine & (mine & filled).any(1, keepdim=True)
        own &= inputs.valid & (inputs.stream >= 0)
        kept = self._kept(inputs, own)
        counts = torch.minimum((own.sum(1) * self.share).long(), (own & ~kept).sum(1))
        marks = torch.where(kept, 2, torch.where(own, 1, 0)).to(torch.int8)
        plan = torch.stack([counts, torch.full_like(counts, self.blocks)], 1)
        return replace(inputs, features={**inputs.features, MERGED: marks, MERGED_PLAN: plan})

    def _kept(self, inputs: Batch, own: Tensor) -> Tensor:
        """bool [B, L], one position of each cell of those that are the row's own."""
        places = inputs.coordinates.long()
        flat = (places[..., 1:] == 0).all(-1).all(1, keepdim=True)
        time = torch.where(flat, places[..., 0] // self.cell, places[..., 0])
        cells = torch.stack([time, places[..., 1] // self.cell, places[..., 2] // self.cell, inputs.stream.long()], -1)
        row = torch.arange(len(own), device=own.device)[:, None, None].expand(*own.shape, 1)
        number = torch.unique(torch.cat([row, cells], -1).flatten(0, 1), dim=0, return_inverse=True)[1].view_as(own)
        draws = uniform(seed=self.seed, counters=torch.arange(own.shape[1], device=own.device), purpose=Purpose.latent)
        draws = draws.expand(own.shape).masked_fill(~own, -1.0)
        least = draws.new_full((int(number.max()) + 1,), -1.0)
        best = least.scatter_reduce(0, number.flatten(), draws.flatten(), "amax")
        return own & (draws == best[number])

"""GroupChain: a whole group-causal generation as one masked batch.

Arrow: Batch --**GroupChain**--> MaskedBatch, instead of hiding slots. Does not know: models, losses, how codes are
drawn. ``models.GroupCausalReuse`` runs the same positions one group after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from tokenmask.batch import ABSENT, PAD, Batch
from tokenmask.layout import Layout
from tokenmask.masking.masked_batch import MaskedBatch, Queries, Targets
from tokenmask.masking.processes import MaskingProcess, Power, open_counts
from tokenmask.masking.row_draws import CHAIN, CHAIN_ORDER, CHAIN_STEPS, row_draws
from tokenmask.scores import QLDSScore, RandomScore, Score, ScoreContext


@dataclass(frozen=True)
class GroupChain:
    """Teaches a model to fill slots group by group, every slot passing through it once.

    Each row draws an order and a number of steps, so that one set of weights serves any of them; levels follow each
    other coarse to fine, each in that many steps. Predictions of all slots come from one pass, whose loss is the cost
    of coding the row exactly. Source: M2T, arXiv:2304.07313, sections 4.1 and 4.2, where order and steps are fixed.

    Args:
        share: of the batches that are chains; the others are masked as usual.
        orders: one of them is drawn for each row; they may not read predictions.
        process: how group sizes grow; with exponent a the first s of S groups hold about N (s / S)^a slots.
        steps: fewest and most groups of a level.
    """

    share: float = 0.5
    orders: tuple[Score, ...] = (RandomScore(), QLDSScore())
    process: MaskingProcess = field(default_factory=lambda: Power(2.2))
    steps: tuple[int, int] = (4, 32)

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(
                f"GroupChain.share must lie in 0..1 and above 0, got {self.share}; leave out masker.chain for none"
            )
        if not 1 <= self.steps[0] <= self.steps[1]:
            raise ValueError(
                f"GroupChain.steps are the fewest and the most groups, got {self.steps}; "
                "write two numbers from 1 on, the smaller first"
            )
        if not self.orders or any(order.reads_predictions for order in self.orders):
            raise ValueError(
                f"GroupChain.orders must be fixed before anything is predicted, got {self.orders}; "
                "take scores such as RandomScore or QLDSScore"
            )

    def drawn(self, batch: Batch, seed: int) -> bool:
        """Whether this batch is a chain."""
        return self.share >= 1 or float(row_draws(batch.sample_ids[:1], CHAIN, seed=seed)) < self.share

    def __call__(self, batch: Batch, layout: Layout, *, seed: int) -> MaskedBatch:
        """The chains of all rows; FILL slots at valid positions are predicted, all of them."""
        maskable = batch.to_fill
        low, high = self.steps
        steps, which = (row_draws(batch.sample_ids, number, seed=seed)[:, 0] for number in (CHAIN_STEPS, CHAIN_ORDER))
        steps = low + (steps * (high - low + 1)).long().clamp(max=high - low)
        which = (which * len(self.orders)).long().clamp(max=len(self.orders) - 1)
        context = ScoreContext(batch, maskable, torch.full_like(batch.sample_ids, seed), batch.sample_ids)
        scores = torch.stack([order(context) for order in self.orders])
        score = scores[which, torch.arange(len(which), device=which.device)]
        group = torch.zeros(batch.shape, dtype=torch.int64, device=batch.device).flatten(1)
        depth = layout.depth_of(batch.ids).flatten(1)
        for row, number in enumerate(steps.tolist()):
            done = 0
            for level in sorted(set(depth[row][maskable[row].flatten()].tolist())):
                slots = (maskable[row].flatten() & (depth[row] == level)).nonzero().squeeze(1)
                best = slots[score[row].flatten()[slots].argsort(descending=True, stable=True)]
                sizes = _sizes(open_counts(self.process, len(slots), number), len(slots))
                group[row, best] = torch.repeat_interleave(
                    torch.arange(done + 1, done + 1 + number, device=best.device), torch.tensor(sizes).to(best.device)
                )
                done += number
        return chained(batch, layout, group.view(batch.shape), score)


def chained(batch: Batch, layout: Layout, group: Tensor, score: Tensor) -> MaskedBatch:
    """Lines up a batch as a generation in groups sees it.

    First comes, as group 0, every valid position that shows something from the start. Then each group has a position
    for each of its slots, best score first. The n-th position carries what stands where the n-th slot of the group
    before it lies, as it stood when that group had been revealed, and is asked for the n-th slot of its own group; it
    stands at its own slot, hidden, where the group before was smaller, and is asked nothing where that was larger.

    Args:
        batch: rows with their codes.
        layout: of the ids.
        group: int64 [B, L, K], the group that reveals a slot, from 1; 0 where it is given or absent.
        score: float32 [B, L, K], ranks the slots of a group; equal ones by place.

    Returns:
        MaskedBatch with new positions [B, L'], their groups, the slots asked for, and t = 1.
    """
    mask_ids, heads = layout.mask_of(batch.ids), layout.head_of(batch.ids)
    levels = batch.shape[2]
    rows = [_row(batch, row, group[row], score[row], levels) for row in range(batch.shape[0])]
    length = max(len(line.position) for line in rows)
    position, label, target = (
        torch.stack([_pad(getattr(line, name), length) for line in rows]) for name in ("position", "label", "target")
    )
    row = torch.arange(len(rows), device=batch.device)[:, None]
    there, at = position >= 0, position.clamp(min=0)
    shown = group[row, at] < label[..., None].clamp(min=1)
    ids = torch.where(shown, batch.ids[row, at], mask_ids[row, at])
    inputs = Batch(
        ids=torch.where(there[..., None], ids, PAD),
        stream=torch.where(there, batch.stream[row, at], -1).to(torch.int8),
        role=torch.where(there[..., None], batch.role[row, at], ABSENT).to(torch.int8),
        coordinates=torch.where(there[..., None], batch.coordinates[row, at], 0).to(torch.int32),
        valid=there & batch.valid[row, at],
        sample_ids=batch.sample_ids,
        features=batch.features,
    )
    asked = (target >= 0).flatten().nonzero().squeeze(1)
    slot = (row * batch.ids[0].numel() + target).flatten()[asked]
    asked_heads = heads.flatten()[slot]
    queries = Queries(
        slots=asked * levels + slot % levels,
        heads=asked_heads,
        coordinates=batch.coordinates.flatten(0, 1)[torch.div(slot, levels, rounding_mode="floor")],
    )
    own = batch.ids.flatten()[slot]
    codes = layout.codes_of(own)
    last = group.flatten(1).amax(1)[:, None, None]
    return MaskedBatch(
        inputs=inputs,
        queries=queries,
        targets=Targets(torch.arange(len(slot), device=slot.device), codes, torch.ones(len(slot), device=slot.device)),
        hidden=there[..., None] & ~shown,
        dropped=(group == last) & (group > 0),
        group=torch.where(there, label, 0).to(torch.int32),
        t=torch.ones(len(rows), device=batch.device),
        row_of_sample=torch.arange(len(rows), device=batch.device),
        clean=batch,
    )


@dataclass(frozen=True, eq=False)
class _Line:
    """One row: for each new position the old one it shows, its group, and the slot asked for (-1 for none)."""

    position: Tensor
    label: Tensor
    target: Tensor


def _row(batch: Batch, row: int, group: Tensor, score: Tensor, levels: int) -> _Line:
    flat = group.flatten()
    slots = (flat > 0).nonzero().squeeze(1)
    slots = slots[score.flatten()[slots].argsort(descending=True, stable=True)]
    slots = slots[flat[slots].argsort(stable=True)]
    labels, counts = torch.unique_consecutive(flat[slots], return_counts=True)
    before = torch.cat([counts.new_zeros(1), counts[:-1]])[: len(counts)]
    wide = torch.maximum(counts, before)
    number = torch.repeat_interleave(torch.arange(len(wide), device=wide.device), wide)
    rank = torch.arange(len(number), device=wide.device) - (wide.cumsum(0) - wide)[number]
    start = counts.cumsum(0) - counts
    nothing = torch.full_like(rank, -1)
    target = torch.where(rank < counts[number], (start[number] + rank).clamp(max=len(slots) - 1), nothing)
    source = torch.where(rank < before[number], (start - before)[number] + rank, nothing)
    place = slots[torch.where(source >= 0, source, target)]
    shows = batch.valid[row] & ((batch.role[row] != ABSENT) & (group == 0)).any(-1)
    first = shows.nonzero().squeeze(1)
    return _Line(
        position=torch.cat([first, torch.div(place, levels, rounding_mode="floor")]),
        label=torch.cat([torch.zeros_like(first), labels[number]]),
        target=torch.cat([torch.full_like(first, -1), torch.where(target >= 0, slots[target], nothing)]),
    )


def _pad(values: Tensor, length: int) -> Tensor:
    return torch.nn.functional.pad(values, (0, length - len(values)), value=-1)


def _sizes(open_after: Sequence[int], initial: int) -> list[int]:
    before = [initial, *open_after[:-1]]
    return [b - a for b, a in zip(before, open_after, strict=True)]

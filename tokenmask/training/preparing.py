"""Preparing: from the records of a draw to what a model is given, the rows of one process.

Arrow: Draw --Packing.batch, Conditioning, Masker--> **Prepared** --> Trainer. Does not know: models, losses, threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch

from tokenmask.batch import Batch
from tokenmask.corpus import Draw, Mixture
from tokenmask.layout import Layout
from tokenmask.masking import Conditioning, MaskedBatch, Masker
from tokenmask.models.attention_pattern import JOINED
from tokenmask.processes import Processes
from tokenmask.training.packing import Packing


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a process computes a step with.

    Args:
        index: of the step.
        masked: its own rows, on the CPU.
        idle: whether it has none, with fewer rows than processes; then ``masked`` is a row of another one.
        position: of the mixture behind the draw.
        most: rows of the process that has most of this step.
    """

    index: int
    masked: MaskedBatch
    idle: bool
    position: dict[str, Any]
    most: int = 1

    def parts(self, count: int) -> list[Prepared]:
        """These rows in so many parts, contiguous, sizes at most one apart; as many in every process, at least one.

        With fewer rows than parts there are as many as the fullest process has rows; what has none here is idle.
        """
        count, rows = min(count, self.most), 0 if self.idle else len(self.masked.t)
        if count < 2:
            return [self]
        bounds = [(rows * part // count, rows * (part + 1) // count) for part in range(count)]
        shares = [(start, stop) if start < stop else (0, 1) for start, stop in bounds]
        idle = [start == stop for start, stop in bounds]
        return [
            replace(self, masked=self.masked.rows(*share), idle=none) for share, none in zip(shares, idle, strict=True)
        ]


@dataclass(frozen=True, eq=False)
class Preparing:
    """How draws become masked batches; everything random in it follows from the seed, the keys and the step.

    A process packs, conditions and masks its own rows alone, as long and as wide as the whole batch, so what it gets is
    what it would get of the whole batch, bit for bit. Only where the rows of a batch share a draw
    (:attr:`Masker.each_row_alone`) the whole batch is masked first.

    Args:
        layout: of the model.
        packing, conditioning, masker: the arrows.
        seed: of the run.
        total_steps: of the run.
        processes: those that share each batch.
        joined: the inputs ask the backbone to join their rows.
    """

    layout: Layout
    packing: Packing
    conditioning: Conditioning
    masker: Masker
    seed: int
    total_steps: int
    processes: Processes
    joined: bool = False

    def batch(self, draw: Draw, own: slice = slice(None)) -> Batch:
        """The records of a draw, or some rows of them, packed and stacked."""
        table = draw.table.select(draw.rows)
        return self.packing.batch(self.layout, table, draw.sample_ids, seed=self.seed, own=own)

    def masked(self, draw: Draw, index: int) -> tuple[MaskedBatch, bool]:
        """This process' rows of a draw as step ``index`` masks them, and whether it has none."""
        own = self.processes.share(len(draw))
        idle = own.start == own.stop
        own = slice(0, 1) if idle else own  # it must still take part, and counts for nothing
        alone = self.masker.each_row_alone
        batch = self.batch(draw, own if alone else slice(None))
        batch = self.conditioning(batch, self.layout, seed=self.seed)
        masked = self.masker(batch, self.layout, seed=self.seed, step=index, total_steps=self.total_steps)
        if not alone and self.processes.size > 1:
            masked = masked.rows(own.start, own.stop)
        if self.joined:
            features = {**masked.inputs.features, JOINED: torch.ones(len(masked.t), dtype=torch.bool)}
            masked = replace(masked, inputs=replace(masked.inputs, features=features))
        return masked, idle

    def following(self, mixture: Mixture, index: int) -> Callable[[], Prepared]:
        """What prepares one step after the other, from ``index`` and the place of the mixture on."""

        def make() -> Prepared:
            nonlocal index
            draw = next(mixture)
            masked, idle = self.masked(draw, index)
            index += 1
            most = max(1, -(-len(draw) // self.processes.size))
            return Prepared(index - 1, masked, idle, mixture.position(), most)

        return make

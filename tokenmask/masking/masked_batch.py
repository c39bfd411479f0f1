"""MaskedBatch: what a model sees, what it is asked, and what is right.

Arrow: Batch --Masker--> **MaskedBatch** --> Backbone + Heads --> Objective.
Does not know: how slots were chosen, which modality they belong to, models.

``hidden``, ``dropped`` and the targets are three sets on purpose: BERT predicts slots that it kept, MoMask drops
residual levels that it does not predict, M2T predicts shifted targets.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.devices import moved
from tokenmask.masking.processes import MaskingProcess


@dataclass(frozen=True, eq=False)
class Queries:
    """The slots whose codes a model is asked for.

    Args:
        slots: int64 [M], indices into the flattened [B * L * K] slots of the inputs, ascending.
        heads: int64 [M], the range (index into ``Layout.ranges``) whose codes are scored.
        coordinates: int32 [M, 3], the places that are asked for, or None where each is the place of its slot.
        head: the one that all of ``heads`` are, where the host knows it beforehand: it need then not look at them, and
            wait for the device.
    """

    slots: Tensor
    heads: Tensor
    coordinates: Tensor | None = None
    head: int | None = None

    def __len__(self) -> int:
        return int(self.slots.shape[0])

    def to(self, device: torch.device | str) -> Queries:
        """The same queries on another device."""
        coordinates = None if self.coordinates is None else moved(self.coordinates, device)
        return Queries(moved(self.slots, device), moved(self.heads, device), coordinates, self.head)


@dataclass(frozen=True, eq=False)
class Targets:
    """What is right, as a flat list; a query may be named several times or never.

    Args:
        queries: int64 [N], indices into Queries.
        codes: int64 [N], the right code in the query's own range (local, 0 .. size - 1).
        weights: float32 [N], a factor of the loss of each.
    """

    queries: Tensor
    codes: Tensor
    weights: Tensor

    def __len__(self) -> int:
        return int(self.queries.shape[0])

    def to(self, device: torch.device | str) -> Targets:
        """The same targets on another device."""
        return Targets(moved(self.queries, device), moved(self.codes, device), moved(self.weights, device))


@dataclass(frozen=True, eq=False)
class MaskedBatch:
    """A batch with some slots hidden.

    Args:
        inputs: what the model sees. It may differ from ``clean`` in length and order.
        queries: slots of ``inputs`` that are asked for.
        targets: the right codes of the queries.
        hidden: bool [B, L, K] over ``inputs``: the id does not show the clean code (masked or replaced).
        dropped: bool [B, L, K] over ``clean``: the slot is not in the inputs at all.
        group: int32 [B, L] over ``inputs``: stage, partition or order group, for attention patterns; None if unused.
        t: float32 [B], the masking time: 0 hides nothing, 1 everything.
        row_of_sample: int64 [B], the row of ``clean`` that each row of ``inputs`` comes from.
        clean: the batch before masking.
        process: the law by which t became a hidden share; None if t was not drawn from one.
    """

    inputs: Batch
    queries: Queries
    targets: Targets
    hidden: Tensor
    dropped: Tensor
    group: Tensor | None
    t: Tensor
    row_of_sample: Tensor
    clean: Batch
    process: MaskingProcess | None = None

    def rows(self, start: int, stop: int) -> MaskedBatch:
        """The rows ``start`` .. ``stop - 1`` of the inputs, with their queries, targets and clean rows.

        Padding stays as it is, so each row is computed as in the whole batch.
        """
        size = self.inputs.shape[1] * self.inputs.shape[2]
        asked = (self.queries.slots >= start * size) & (self.queries.slots < stop * size)
        number = asked.cumsum(0) - 1
        kept = asked[self.targets.queries]
        places, clean = self.queries.coordinates, self.row_of_sample[start:stop]
        return MaskedBatch(
            inputs=self.inputs.rows(torch.arange(start, stop, device=clean.device)),
            queries=Queries(
                self.queries.slots[asked] - start * size,
                self.queries.heads[asked],
                None if places is None else places[asked],
            ),
            targets=Targets(number[self.targets.queries[kept]], self.targets.codes[kept], self.targets.weights[kept]),
            hidden=self.hidden[start:stop],
            dropped=self.dropped[clean],
            group=None if self.group is None else self.group[start:stop],
            t=self.t[start:stop],
            row_of_sample=torch.arange(stop - start, device=clean.device),
            clean=self.clean.rows(clean),
            process=self.process,
        )

    def to(self, device: torch.device | str) -> MaskedBatch:
        """The same masked batch on another device."""
        return replace(
            self,
            inputs=self.inputs.to(device),
            queries=self.queries.to(device),
            targets=self.targets.to(device),
            hidden=moved(self.hidden, device),
            dropped=moved(self.dropped, device),
            group=None if self.group is None else moved(self.group, device),
            t=moved(self.t, device),
            row_of_sample=moved(self.row_of_sample, device),
            clean=self.clean.to(device),
        )

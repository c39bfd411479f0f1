"""Experts: another model that reads from left to right says how much a row is worth.

Arrow: inside the Sampler loop, StepContext --> float64 [B], for particles to weigh. Does not know: which model, words.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from tokenmask.batch import FILL
from tokenmask.sampling.constraint import Constraint
from tokenmask.sampling.context import SlotContext, StepContext


class Expert(Constraint):
    """Base of constraints that forbid nothing and weigh rows by r(x) ** power, r being another model's probability.

    With :class:`Particles` the law of what comes out goes to q(x) r(x) ** power / Z as their number grows, q being the
    law without the expert. Weights are exact for any order and any number of slots a step: the mean of w over rows that
    give x is q(x) r(x) ** power. Codes of level 0 of a stream are read, in packing order. A row with open slots is
    worth what stands before the first of them, so orders from left to right tell good particles from bad ones early.
    Source: products of experts, Hinton 2002, doi:10.1162/089976602760128018; particles that are weighed by a second
    model's potential: sequential Monte Carlo steering, arXiv:2306.03081.

    Attributes:
        stream: name of the stream that it reads.
        power: of r; 0 leaves q as it is, below 0 turns away from what the expert likes.
    """

    stream: str
    power: float

    @abstractmethod
    def says(self, beginnings: Sequence[tuple[int, ...]]) -> Tensor:
        """Log-probability float64 [n] of codes, each from the first of a stream on; 0 of none."""

    @property
    def reweighs(self) -> bool:
        """Always."""
        return True

    def allowed(self, context: SlotContext) -> Tensor | None:
        """All."""
        return None

    def worth(self, context: StepContext) -> Tensor | None:
        """What stands before the first open slot of the stream; None where no row fills that stream."""
        batch, layout = context.state.batch, context.layout
        if self.stream not in layout.streams:
            raise ValueError(f"an expert reads one of {', '.join(layout.streams)}, got {self.stream!r}; name that")
        mine = (batch.stream == layout.index(self.stream)) & batch.valid
        if not bool((mine & (batch.role[..., 0] == FILL)).any()):
            return None
        begun = mine & ((mine & context.state.is_open[..., 0]).cumsum(1) == 0)
        table = torch.where(begun, layout.codes_of(batch.ids)[..., 0], -1).cpu()
        rows, index = table.unique(dim=0, return_inverse=True)  # type: ignore[no-untyped-call]
        known = [tuple(code for code in row if code >= 0) for row in rows.tolist()]
        said = torch.as_tensor(self.says(known), dtype=torch.float64).cpu()
        if said.shape != (len(known),) or bool(said.isnan().any()):
            raise ValueError(
                f"{type(self).__name__}.says must give a number for each of {len(known)} beginnings, got "
                f"{list(said.shape)}; give their log-probabilities"
            )
        powered = said * self.power if self.power else torch.zeros_like(said)  # never 0 times -inf
        return powered[index].to(batch.ids.device)

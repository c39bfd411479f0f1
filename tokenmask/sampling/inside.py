"""Inside: the base of a pick that hands other logits to another one.

Arrow: inside the Sampler loop, logits --> codes. Does not know: which pick stands inside, what is done to the logits.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import ClassVar

from torch import Tensor

from tokenmask.sampling.context import StepContext
from tokenmask.sampling.pick import Pick, PickContext
from tokenmask.scores.arguments import is_a


class Inside(Pick):
    """Base of a pick that hands other logits to another one, and says what holds of them.

    A subclass is a frozen dataclass with a field ``pick``.

    Raises:
        TypeError: ``pick`` is no pick.
        ValueError: one that does more than draw open slots.
    """

    reshapes: ClassVar[bool] = True
    pick: Pick

    def __post_init__(self) -> None:
        is_a(f"{type(self).__name__}.pick", self.pick, Pick)
        if self.pick.revises or self.pick.weighs or self.pick.tests:
            name = type(self).__name__
            raise ValueError(
                f"{name}.pick must draw open slots from logits and no more, got {self.pick}; take Categorical"
            )

    def taps(self, context: StepContext) -> Sequence[Hashable]:
        return self.pick.taps(context)

    def _inner(self, logits: Tensor, context: PickContext) -> tuple[Tensor, ...]:
        progress = context.progress.on(self.pick.grid)
        return self.pick(logits, None, replace(context, guidance=1.0, progress=progress))

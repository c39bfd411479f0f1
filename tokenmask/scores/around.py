"""Around: the base of a score that stands around another one and needs what that one needs.

Arrow: ScoreContext --> float32 [B, L, K]. Does not know: which order stands inside, what is made of it.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from torch import Tensor

from tokenmask.scores.arguments import is_a
from tokenmask.scores.score import Score, ScoreContext


class Around(Score):
    """Base of a score around ``order``, which says what is read, tapped and carried.

    A subclass is a frozen dataclass with a field ``order``, and says in ``__call__`` what it makes of its scores.

    Raises:
        TypeError: ``order`` is no score.
    """

    order: Score

    def __post_init__(self) -> None:
        is_a(f"{type(self).__name__}.order", self.order, Score)

    @property
    def reads_predictions(self) -> bool:
        return self.order.reads_predictions

    @property
    def reads_drawn_codes(self) -> bool:
        return self.order.reads_drawn_codes

    def taps(self, context: ScoreContext) -> Sequence[Hashable]:
        return self.order.taps(context)

    def observe(self, context: ScoreContext) -> Mapping[str, Tensor]:
        return self.order.observe(context)

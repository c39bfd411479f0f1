"""Head: what turns hidden vectors into scores of the codes of a range.

Arrow: Backbone --**Head**--> Objective, Sampler. Does not know: where vectors come from, losses, sampling.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn

from tokenmask.layout import Layout


class RangeLogits(NamedTuple):
    """The scores of all queries that ask one range.

    Args:
        head: index of the range in ``Layout.ranges``.
        queries: int64 [m], which queries, ascending.
        logits: float32 [m, size of the range].
    """

    head: int
    queries: Tensor
    logits: Tensor


Reader = Callable[[RangeLogits], Tensor]  # logits [m, size] -> what is kept of them, [n, ...]


class Head(nn.Module, ABC):
    """Base: scores the codes of the range that each query asks, and no others.

    What must hold: scores are finite float32 numbers, and those of a query follow from its own vector and range alone,
    to rounding; every parameter has a gradient wherever its range is asked. Tensors whose shape follows from the layout
    are named by ``layout_rows`` (:class:`tokenmask.models.layout_rows.FollowsLayout`).
    """

    @abstractmethod
    def forward(
        self, hidden: Tensor, heads: Tensor, embedding: Tensor, read: Reader | None = None
    ) -> tuple[RangeLogits, ...]:
        """Args:
            hidden: float [M, D], normalised.
            heads: int64 [M], index of the range that each query asks.
            embedding: float [num_ids, D], the table of the backbone, for heads that are tied to it.
            read: is given the logits, in parts if that saves memory, and what it returns stands in the place of
                ``logits``; joined in the order of the queries.

        Returns:
            One entry for each range that is asked, in ascending order of ``head``; together they hold each query once.

        Raises:
            ValueError: a head that is no range of the layout.
        """

    def of_one(
        self, head: int, hidden: Tensor, heads: Tensor, embedding: Tensor, read: Reader | None = None
    ) -> tuple[RangeLogits, ...]:
        """:meth:`forward` where the host knows that all of ``heads`` are ``head``.

        One that looks at ``heads`` on the host may do without here, and need not wait for the device.
        """
        return self(hidden, heads, embedding, read)  # type: ignore[no-any-return]


class HeadConfig(ABC):
    """Base: which head a model has; a frozen dataclass, named by recipes and saved models, that makes it."""

    @abstractmethod
    def build(self, layout: Layout, width: int) -> Head:
        """A head for the ranges of a layout and vectors of ``width``, inside ``tokenmask.nn.build``."""

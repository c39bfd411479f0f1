"""Scores of scores: another order inside blocks, or by what a second model says of the drawn codes.

Arrow: inside the Sampler loop, ScoreContext --> float32 [B, L, K]. Does not know: which order stands inside.
"""

from __future__ import annotations

import math
from collections import ChainMap
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from tokenmask.scores.arguments import number, whole
from tokenmask.scores.around import Around
from tokenmask.scores.fixed import RandomScore
from tokenmask.scores.predicted import ConfidenceScore
from tokenmask.scores.score import Score, ScoreContext


@dataclass(frozen=True)
class Blockwise(Around):
    """Blocks of ``block`` positions from left to right, and another order inside of each: semi-autoregressive.

    Blocks of a row count from its first position with a slot to fill. Goes with :class:`~tokenmask.sampling.Blocks`,
    whose counts end with each block, or with :class:`~tokenmask.sampling.BlockSchedule`, which decides in each; other
    counts go on into the next block. Source: LLaDA, arXiv:2502.09992, appendix
    B.4 and published code.

    Args:
        order: inside of a block.
        block: positions of a block.
    """

    order: Score = field(default_factory=RandomScore)
    block: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        whole("Blockwise.block", self.block)

    def __call__(self, context: ScoreContext) -> Tensor:
        shape, number = context.is_open.shape, blocks_of(context, self.block)
        number = torch.where(context.is_open, number, shape[1])  # what is closed comes last
        # By rank, since a sum of the two would lose the last bits of the inner score.
        inner = torch.where(context.is_open, self.order(context), -torch.inf).flatten(1)
        best = inner.argsort(dim=1, descending=True, stable=True)
        by_block = number.flatten(1).gather(1, best).argsort(dim=1, stable=True)
        ranks = torch.empty_like(inner).scatter_(
            1, best.gather(1, by_block), -torch.arange(inner.shape[1], device=inner.device).float().expand_as(inner)
        )
        return ranks.view(shape)


def blocks_of(context: ScoreContext, block: int) -> Tensor:
    """int64 [B, L, 1], the block of each position, counted from the first one of its row with a slot to fill."""
    to_fill = context.batch.to_fill.any(-1)
    begins = torch.where(to_fill.any(1), to_fill.int().argmax(1), 0)
    place = torch.arange(to_fill.shape[1], device=to_fill.device) - begins[:, None]
    return torch.div(place.clamp(min=0), block, rounding_mode="floor")[:, :, None]


@dataclass(frozen=True)
class Rescored(Around):
    """Another order, told w p + (1 - w) q of the drawn codes: p of the model that drew them, q of a second one.

    The second model sees the rows as the first one does, and q is its softmax without guidance and temperature. Source:
    MAGNeT, arXiv:2401.04577, section 3.4, where it is an autoregressive model; w there is not said.

    Args:
        order: reads "logprob".
        model: name of the second model in the run.
        weight: w; 1 asks nothing, 0 leaves the choice to the second model.
    """

    order: Score = field(default_factory=ConfidenceScore)
    model: str = "rescorer"
    weight: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        number("Rescored.weight", self.weight, least=0.0, most=1.0)

    @property
    def reads_predictions(self) -> bool:
        return True

    @property
    def reads_drawn_codes(self) -> bool:
        return True

    def __call__(self, context: ScoreContext) -> Tensor:
        return self.order(self._rescored(context))

    def _rescored(self, context: ScoreContext) -> ScoreContext:
        own, codes = context.predictions["logprob"], context.predictions["code"]
        if self.weight == 1:
            return context
        if context.ask is None:
            raise ValueError("Rescored asks a second model in each step of a generation; it is no strategy of training")
        other = torch.zeros_like(own, dtype=torch.float64)  # so that a rounding does not hang on the batch's size
        for answer in context.ask(context.is_open, model=self.model):
            drawn = codes.flatten()[answer.slots].long()
            likely = answer.logits.double().log_softmax(1).gather(1, drawn[:, None]).squeeze(1)
            other.view(-1)[answer.slots] = likely
        if self.weight > 0:
            other = torch.logaddexp(own.double() + math.log(self.weight), other + math.log(1 - self.weight))
        mixed = torch.where(context.is_open, other.float(), own)
        return replace(context, predictions=ChainMap({"logprob": mixed}, context.predictions))  # type: ignore[arg-type]

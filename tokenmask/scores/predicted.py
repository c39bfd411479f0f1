"""Predicted scores: which open slots are revealed first, from what the model predicts of their codes.

Arrow: inside the Sampler loop, ScoreContext with predictions --> float32 [B, L, K]. Does not know: how many slots, how
codes are drawn, models.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Tensor

from tokenmask.scores.arguments import number, one_of, whole
from tokenmask.scores.fixed import runs_of
from tokenmask.scores.noise import gumbel_noise
from tokenmask.scores.progress import Grid, Progress
from tokenmask.scores.score import Score, ScoreContext


class _Predicted(Score):
    """Base of scores that need what the model predicts."""

    @property
    def reads_predictions(self) -> bool:
        return True


@dataclass(frozen=True)
class ConfidenceScore(_Predicted):
    """Log-probability of the drawn code plus Gumbel noise that fades out.

    The noise has scale ``noise * (1 - progress)``; 0 is the pure low-confidence order of LLaDA (arXiv:2502.09992).
    Source: MaskGIT, arXiv:2202.04200, section 3.2 and published code, where the scale is 4.5. Both rank by the
    probability before temperature, as ``plain`` does; without it ours is theirs at the temperatures 1 and 0 alone.

    Args:
        noise: scale of the Gumbel noise at the start.
        plain: takes the probability of the logits before temperature, instead of the one that the code was drawn with.
        trial: takes the probability before temperature of another code, which is drawn for this alone and thrown away
            (ReCAP, arXiv:2505.19089, published code), so that it is no surer of the code that is kept than of any.
        grid: which progress the noise fades with, see :class:`Progress`; aMUSEd (arXiv:2401.01808) and GenMol
            (arXiv:2501.06158), published codes, fade on "ends", so that the first step has the whole noise.
    """

    noise: float = 0.0
    plain: bool = False
    grid: Grid = "after"
    trial: bool = False

    def __post_init__(self) -> None:
        number("ConfidenceScore.noise", self.noise, least=0.0)
        if self.plain and self.trial:
            raise ValueError(
                "ConfidenceScore ranks by the code that is drawn (plain) or by another one (trial), got both; set one"
            )
        one_of("ConfidenceScore.grid", self.grid, get_args(Grid))

    def scale(self, progress: Progress) -> float:
        """Of the noise in a step, by the progress "after" it."""
        return self.noise * (1 - (progress if self.grid == "after" else progress.on(self.grid)))

    def __call__(self, context: ScoreContext) -> Tensor:
        kind = "trial_logprob" if self.trial else "plain_logprob" if self.plain else "logprob"
        score = context.predictions[kind]
        scale = self.scale(context.progress)
        if scale > 0:
            score = score + scale * gumbel_noise(context)
        return score


@dataclass(frozen=True)
class MarginScore(_Predicted):
    """Probability of the best code minus that of the second. Source: arXiv:2502.06768, section 4.1."""

    @property
    def reads_drawn_codes(self) -> bool:
        return False

    def __call__(self, context: ScoreContext) -> Tensor:
        return context.predictions["margin"]


@dataclass(frozen=True)
class EntropyScore(_Predicted):
    """Lowest entropy first.

    Source: EB-Sampler, arXiv:2505.24857, section 3: its ranking alone; there the count follows from a bound.
    """

    @property
    def reads_drawn_codes(self) -> bool:
        return False

    def __call__(self, context: ScoreContext) -> Tensor:
        return -context.predictions["entropy"]


@dataclass(frozen=True)
class ChunkScore(_Predicted):
    """Runs of ``span`` neighbouring positions of a stream are revealed together, the surest run first.

    Runs count from the start of the stream. Goes with :class:`~tokenmask.sampling.Chunks`, whose counts are those of
    whole runs; another count cuts the last run. Source: MAGNeT, arXiv:2401.04577, section 3.3 and published code
    (``span_arrangement="nonoverlap"``), where a run is as sure as the most probable of its codes.

    Args:
        span: positions of a run.
        how: "max" takes the largest probability of a run's open codes, "prod" their product.
    """

    span: int = 3
    how: Literal["max", "prod"] = "max"

    def __post_init__(self) -> None:
        whole("ChunkScore.span", self.span)
        one_of("ChunkScore.how", self.how, ("max", "prod"))

    def __call__(self, context: ScoreContext) -> Tensor:
        logprob = context.predictions["logprob"]
        runs = runs_of(context.batch.stream, self.span)[:, :, None].expand_as(logprob)
        nothing, reduce = (-torch.inf, "amax") if self.how == "max" else (0.0, "sum")
        own = torch.where(context.is_open, logprob, nothing)
        joint = torch.full_like(own, nothing).scatter_reduce(1, runs, own, reduce)
        return joint.gather(1, runs).nan_to_num(neginf=torch.finfo(own.dtype).min)

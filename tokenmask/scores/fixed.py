"""Fixed scores: they read where a slot stands and what is drawn for it, and no model.

Arrow: ScoreContext --> float32 [B, L, K]. Does not know: what the model predicts.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.scores.arguments import is_a, number, whole
from tokenmask.scores.noise import slot_noise
from tokenmask.scores.score import Score, ScoreContext


def first_of_stream(stream: Tensor) -> Tensor:
    """int64 [B, L], where the stretch of one stream begins in which each position stands."""
    positions = torch.arange(stream.shape[1], device=stream.device)
    starts = torch.ones_like(stream, dtype=torch.bool)
    starts[:, 1:] = stream[:, 1:] != stream[:, :-1]
    return torch.where(starts, positions, 0).cummax(dim=1).values


def runs_of(stream: Tensor, span: int) -> Tensor:
    """int64 [B, L], a number for each run of ``span`` positions of a stream, below L; runs count from its start."""
    first = first_of_stream(stream)
    inside = torch.arange(stream.shape[1], device=stream.device) - first
    return first + torch.div(inside, span, rounding_mode="floor")


@dataclass(frozen=True)
class RandomScore(Score):
    """Uniform noise: random masking and random order."""

    def __call__(self, context: ScoreContext) -> Tensor:
        return slot_noise(context)


@dataclass(frozen=True)
class SpanScore(Score):
    """Runs of ``span`` neighbouring positions of a stream move together; the last run is cut to keep the count exact.

    After the spans of MAGNeT, arXiv:2401.04577, section 3.2, whose law is another one: there spans start anywhere and
    may overlap in training, and the published decoding ranks runs of this kind by the probability of their codes.
    """

    span: int = 3

    def __post_init__(self) -> None:
        whole("SpanScore.span", self.span)

    def __call__(self, context: ScoreContext) -> Tensor:
        return slot_noise(context, runs_of(context.batch.stream, self.span))


@dataclass(frozen=True)
class RasterScore(Score):
    """The packing order, position by position; with ``block`` above 1 whole blocks of positions are equally good.

    Args:
        block: positions that share a score, counted from the start of the row.
    """

    block: int = 1

    def __post_init__(self) -> None:
        whole("RasterScore.block", self.block)

    def __call__(self, context: ScoreContext) -> Tensor:
        places = torch.arange(context.is_open.shape[1], device=context.is_open.device)
        return (
            -torch.div(places, self.block, rounding_mode="floor")[None, :, None].float().expand(context.is_open.shape)
        )


@dataclass(frozen=True)
class SumScore(Score):
    """A weighted sum of scores, which is a score."""

    terms: tuple[Score, ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if not self.terms or len(self.terms) != len(self.weights):
            raise ValueError(f"SumScore needs a weight for each term, got {len(self.terms)} and {len(self.weights)}")
        for term, weight in zip(self.terms, self.weights, strict=True):
            is_a("each of SumScore.terms", term, Score)
            number("each of SumScore.weights", weight)

    @property
    def reads_predictions(self) -> bool:
        return any(term.reads_predictions for term in self.terms)

    @property
    def reads_drawn_codes(self) -> bool:
        return any(term.reads_drawn_codes for term in self.terms)

    def __call__(self, context: ScoreContext) -> Tensor:
        scores = [weight * term(context) for term, weight in zip(self.terms, self.weights, strict=True)]
        return torch.stack(scores).sum(dim=0)

    def taps(self, context: ScoreContext) -> Sequence[Hashable]:
        return [tap for term in self.terms for tap in term.taps(context)]

    def observe(self, context: ScoreContext) -> Mapping[str, Tensor]:
        return {name: value for term in self.terms for name, value in term.observe(context).items()}

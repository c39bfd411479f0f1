"""Scores: which slots are hidden in training and revealed in sampling; one base, ours and others'."""

from tokenmask.scores.fixed import RandomScore, RasterScore, SpanScore, SumScore
from tokenmask.scores.grid import HaltonScore, QLDSScore, halton_ranks, qlds_ranks
from tokenmask.scores.noise import slot_counters, slot_noise, slot_uniforms
from tokenmask.scores.predicted import ConfidenceScore, EntropyScore, MarginScore
from tokenmask.scores.progress import Grid, Progress
from tokenmask.scores.score import Score, ScoreContext, best

__all__ = [
    "ConfidenceScore",
    "EntropyScore",
    "Grid",
    "HaltonScore",
    "MarginScore",
    "Progress",
    "QLDSScore",
    "RandomScore",
    "RasterScore",
    "Score",
    "ScoreContext",
    "SpanScore",
    "SumScore",
    "best",
    "halton_ranks",
    "qlds_ranks",
    "slot_counters",
    "slot_noise",
    "slot_uniforms",
]

"""Scores: which slots are hidden in training and revealed in sampling; one base, ours and others'."""

from tokenmask.scores.fixed import RandomScore, RasterScore, SpanScore, SumScore
from tokenmask.scores.grid import HaltonScore, QLDSScore, halton_ranks, qlds_ranks
from tokenmask.scores.levels import BinaryScore, DilatedScore, binary_levels, dilated_levels
from tokenmask.scores.noise import slot_counters, slot_noise, slot_uniforms
from tokenmask.scores.predicted import ConfidenceScore, EntropyScore, MarginScore
from tokenmask.scores.progress import Grid, Progress
from tokenmask.scores.score import Score, ScoreContext, best
from tokenmask.scores.terms import BlockScore, GumbelScore, LogitScore, SpacedScore, UntilScore, first_block

__all__ = [
    "BinaryScore",
    "BlockScore",
    "ConfidenceScore",
    "DilatedScore",
    "EntropyScore",
    "Grid",
    "GumbelScore",
    "HaltonScore",
    "LogitScore",
    "MarginScore",
    "Progress",
    "QLDSScore",
    "RandomScore",
    "RasterScore",
    "Score",
    "ScoreContext",
    "SpacedScore",
    "SpanScore",
    "SumScore",
    "UntilScore",
    "best",
    "binary_levels",
    "dilated_levels",
    "first_block",
    "halton_ranks",
    "qlds_ranks",
    "slot_counters",
    "slot_noise",
    "slot_uniforms",
]

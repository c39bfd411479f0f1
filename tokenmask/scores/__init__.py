"""Scores: which slots are hidden in training and revealed in sampling; one base, ours and others'."""

from tokenmask.scores.composed import Blockwise, Rescored, blocks_of
from tokenmask.scores.fixed import RandomScore, RasterScore, SpanScore, SumScore
from tokenmask.scores.grid import HaltonScore, QLDSScore, halton_ranks, qlds_ranks
from tokenmask.scores.levels import BinaryScore, DilatedScore, binary_levels, dilated_levels
from tokenmask.scores.noise import slot_counters, slot_noise, slot_uniforms
from tokenmask.scores.predicted import ChunkScore, ConfidenceScore, EntropyScore, MarginScore
from tokenmask.scores.progress import Grid, Progress
from tokenmask.scores.score import Answer, Score, ScoreContext, best
from tokenmask.scores.terms import GumbelScore, LogitScore, ProbabilityScore, SpacedScore, UntilScore, first_block
from tokenmask.scores.together import SpanUnion, TubeScore, span_starts

__all__ = [
    "Answer",
    "BinaryScore",
    "Blockwise",
    "ChunkScore",
    "ConfidenceScore",
    "DilatedScore",
    "EntropyScore",
    "Grid",
    "GumbelScore",
    "HaltonScore",
    "LogitScore",
    "MarginScore",
    "ProbabilityScore",
    "Progress",
    "QLDSScore",
    "RandomScore",
    "RasterScore",
    "Rescored",
    "Score",
    "ScoreContext",
    "SpacedScore",
    "SpanScore",
    "SpanUnion",
    "SumScore",
    "TubeScore",
    "UntilScore",
    "best",
    "binary_levels",
    "blocks_of",
    "dilated_levels",
    "first_block",
    "halton_ranks",
    "qlds_ranks",
    "slot_counters",
    "slot_noise",
    "slot_uniforms",
    "span_starts",
]

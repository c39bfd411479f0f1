"""Masking: how many slots (rates, processes), which (scores), what stands there instead (corruption)."""

from tokenmask.masking.conditioning import Conditioning
from tokenmask.masking.group_chain import GroupChain, chained
from tokenmask.masking.masked_batch import MaskedBatch, Queries, Targets
from tokenmask.masking.masker import Corruption, Masker
from tokenmask.masking.processes import (
    Arccos,
    Cosine,
    Exponential,
    Linear,
    Logarithmic,
    MaskingProcess,
    Polynomial,
    Power,
)
from tokenmask.masking.rates import Amount, FixedRate, ProcessRate, Rate
from tokenmask.masking.stages import LevelStages, Stages
from tokenmask.scores import (
    HaltonScore,
    QLDSScore,
    RandomScore,
    RasterScore,
    Score,
    ScoreContext,
    SpanScore,
    SumScore,
)

__all__ = [
    "Amount",
    "Arccos",
    "Conditioning",
    "Corruption",
    "Cosine",
    "Exponential",
    "FixedRate",
    "GroupChain",
    "HaltonScore",
    "LevelStages",
    "Linear",
    "Logarithmic",
    "MaskedBatch",
    "Masker",
    "MaskingProcess",
    "Polynomial",
    "Power",
    "ProcessRate",
    "QLDSScore",
    "Queries",
    "RandomScore",
    "RasterScore",
    "Rate",
    "Score",
    "ScoreContext",
    "SpanScore",
    "Stages",
    "SumScore",
    "Targets",
    "chained",
]

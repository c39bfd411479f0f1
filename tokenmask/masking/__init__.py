"""Masking: how many slots are hidden (rates, processes), and what stands there instead (corruption)."""

from tokenmask.deprecation import moved_names
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

__all__ = [
    "Amount",
    "Arccos",
    "Conditioning",
    "Corruption",
    "Cosine",
    "Exponential",
    "FixedRate",
    "GroupChain",
    "LevelStages",
    "Linear",
    "Logarithmic",
    "MaskedBatch",
    "Masker",
    "MaskingProcess",
    "Polynomial",
    "Power",
    "ProcessRate",
    "Queries",
    "Rate",
    "Stages",
    "Targets",
    "chained",
]

_SCORES = (
    "HaltonScore",
    "QLDSScore",
    "RandomScore",
    "RasterScore",
    "Score",
    "ScoreContext",
    "SpanScore",
    "SumScore",
)
__getattr__ = moved_names(__name__, dict.fromkeys(_SCORES, "tokenmask.scores"), since="0.2")

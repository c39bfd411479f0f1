"""Analysis: diagnostics of models, tokenizers and corpora, each a function with a result that can be printed."""

from tokenmask.analysis.condition_rank import ConditionRanks, condition_ranks
from tokenmask.analysis.distances import diversity, frechet_distance
from tokenmask.analysis.features import FeatureSpace
from tokenmask.analysis.figures import Evaluation, Figure, StreamFigures
from tokenmask.analysis.likelihood import LogLikelihood, log_likelihoods
from tokenmask.analysis.probe import ClassProbe

__all__ = [
    "ClassProbe",
    "ConditionRanks",
    "Evaluation",
    "FeatureSpace",
    "Figure",
    "LogLikelihood",
    "StreamFigures",
    "condition_ranks",
    "diversity",
    "frechet_distance",
    "log_likelihoods",
]

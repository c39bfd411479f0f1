"""Analysis: diagnostics of models, tokenizers and corpora, each a function with a result that can be printed."""

from tokenmask.analysis.condition_rank import ConditionRanks, condition_ranks

__all__ = ["ConditionRanks", "condition_ranks"]

"""Objectives: losses of a model on a masked batch."""

from tokenmask.objectives.masked_cross_entropy import MaskedCrossEntropy, targets_of
from tokenmask.objectives.objective import Loss, Objective

__all__ = ["Loss", "MaskedCrossEntropy", "Objective", "targets_of"]

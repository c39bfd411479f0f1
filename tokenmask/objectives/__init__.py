"""Objectives: losses of a model on a masked batch."""

from tokenmask.objectives.masked_cross_entropy import MaskedCrossEntropy
from tokenmask.objectives.objective import Loss, Objective
from tokenmask.objectives.scope import Scope, asked, logged, targets_of

__all__ = ["Loss", "MaskedCrossEntropy", "Objective", "Scope", "asked", "logged", "targets_of"]

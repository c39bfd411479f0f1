"""Swapping: a model learns the codes of another tokenizer without forgetting anything else."""

from tokenmask.swapping.relate import Relation, relate, related_level
from tokenmask.swapping.transplant import kept, transplant

__all__ = ["Relation", "kept", "relate", "related_level", "transplant"]

"""Contracts of backbones, heads, optimisers and stages: ``check_backbone(config)`` and its like."""

from tests.models.checks.backbone import BACKBONES, check_backbone
from tests.models.checks.head import HEADS, check_head
from tests.models.checks.optimiser import OPTIMISERS, check_optimiser
from tests.models.checks.stages import STAGES, check_stages

__all__ = [
    "BACKBONES",
    "HEADS",
    "OPTIMISERS",
    "STAGES",
    "check_backbone",
    "check_head",
    "check_optimiser",
    "check_stages",
]

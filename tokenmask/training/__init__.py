"""Training: packing, the loop, held-out evaluation."""

from tokenmask.training.adamw import AdamW
from tokenmask.training.evaluation import StreamScore, code_losses, held_out_scores
from tokenmask.training.optimiser import Optimiser
from tokenmask.training.packing import Packing
from tokenmask.training.settings import Training
from tokenmask.training.trainer import Trainer

__all__ = [
    "AdamW",
    "Optimiser",
    "Packing",
    "StreamScore",
    "Trainer",
    "Training",
    "code_losses",
    "held_out_scores",
]

"""Training: packing, the loop, held-out evaluation."""

from tokenmask.training.evaluation import StreamScore, code_losses, held_out_scores
from tokenmask.training.packing import Packing
from tokenmask.training.trainer import Trainer, Training

__all__ = ["Packing", "StreamScore", "Trainer", "Training", "code_losses", "held_out_scores"]

"""Models: backbones that fill hidden slots, and heads that score codes."""

from tokenmask.models.attention_pattern import (
    AttentionPattern,
    Causal,
    Full,
    GroupCausal,
    SlotMeta,
    Window,
    dense_mask,
    mask_mod,
)
from tokenmask.models.config import TransformerConfig
from tokenmask.models.embedding import CodeEmbedding
from tokenmask.models.heads import RangeHeads, RangeLogits
from tokenmask.models.masked_model import MaskedModel, Predictions
from tokenmask.models.transfer import check_shapes, transfer
from tokenmask.models.transformer import AttentionTap, Hidden, Transformer

__all__ = [
    "AttentionPattern",
    "AttentionTap",
    "Causal",
    "CodeEmbedding",
    "Full",
    "GroupCausal",
    "Hidden",
    "MaskedModel",
    "Predictions",
    "RangeHeads",
    "RangeLogits",
    "SlotMeta",
    "Transformer",
    "TransformerConfig",
    "Window",
    "check_shapes",
    "dense_mask",
    "mask_mod",
    "transfer",
]

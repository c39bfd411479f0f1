"""Models: backbones that fill hidden slots, and heads that score codes."""

from tokenmask.deprecation import moved_names
from tokenmask.models.attention_pattern import (
    AttentionPattern,
    Causal,
    Full,
    GivenFirst,
    GroupCausal,
    SlotMeta,
    Window,
    dense_mask,
    mask_mod,
)
from tokenmask.models.cache import KVCache, Packed
from tokenmask.models.config import TransformerConfig
from tokenmask.models.embedding import CodeEmbedding
from tokenmask.models.heads import RangeHeads, RangeLogits
from tokenmask.models.masked_model import MaskedModel, Predictions
from tokenmask.models.rows import start_rows
from tokenmask.models.transfer import check_shapes, transfer, unequal
from tokenmask.models.transformer import AttentionTap, Hidden, Transformer

__all__ = [
    "AttentionPattern",
    "AttentionTap",
    "Causal",
    "CodeEmbedding",
    "Full",
    "GivenFirst",
    "GroupCausal",
    "Hidden",
    "KVCache",
    "MaskedModel",
    "Packed",
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
    "start_rows",
    "transfer",
    "unequal",
]

_REUSE = ("GroupCausalReuse", "NoReuse", "PrefixReuse", "Reuse", "ReuseStep", "Scored", "StaleReuse")
__getattr__ = moved_names(__name__, dict.fromkeys(_REUSE, "tokenmask.sampling.reuse"), since="0.2")

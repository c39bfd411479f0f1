"""Models: backbones that fill hidden slots, and heads that score codes."""

from tokenmask.deprecation import moved_names
from tokenmask.models.attention_pattern import (
    AttentionPattern,
    Causal,
    CodesOnly,
    Full,
    GivenFirst,
    GroupCausal,
    OwnFrame,
    SlotMeta,
    SpatialWindows,
    Window,
    dense_mask,
    mask_mod,
)
from tokenmask.models.backbone import AttentionTap, Backbone, BackboneConfig, Hidden
from tokenmask.models.cache import KVCache, Packed
from tokenmask.models.embedding import CodeEmbedding
from tokenmask.models.heads import Head, HeadConfig, RangeLogits
from tokenmask.models.layout_rows import LayoutRows, layout_rows
from tokenmask.models.masked_model import MaskedModel, Predictions, head_of
from tokenmask.models.range_heads import RangeHeads, RangeHeadsConfig
from tokenmask.models.rows import start_rows
from tokenmask.models.style import BlockStyle
from tokenmask.models.transfer import check_shapes, transfer, unequal
from tokenmask.models.transformer import Transformer, TransformerConfig

__all__ = [
    "AttentionPattern",
    "AttentionTap",
    "Backbone",
    "BackboneConfig",
    "BlockStyle",
    "Causal",
    "CodeEmbedding",
    "CodesOnly",
    "Full",
    "GivenFirst",
    "GroupCausal",
    "Head",
    "HeadConfig",
    "Hidden",
    "KVCache",
    "LayoutRows",
    "MaskedModel",
    "OwnFrame",
    "Packed",
    "Predictions",
    "RangeHeads",
    "RangeHeadsConfig",
    "RangeLogits",
    "SlotMeta",
    "SpatialWindows",
    "Transformer",
    "TransformerConfig",
    "Window",
    "check_shapes",
    "dense_mask",
    "head_of",
    "layout_rows",
    "mask_mod",
    "start_rows",
    "transfer",
    "unequal",
]

_REUSE = ("GroupCausalReuse", "NoReuse", "PrefixReuse", "Reuse", "ReuseStep", "Scored", "StaleReuse")
__getattr__ = moved_names(__name__, dict.fromkeys(_REUSE, "tokenmask.sampling.reuse"), since="0.2")

"""Formats of saved models: what stands beside the weights, and what earlier ones said in other words.

Does not know: weights, networks.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tokenmask.components import component
from tokenmask.layout import Layout
from tokenmask.models.attention_pattern import AttentionPattern
from tokenmask.models.backbone import BackboneConfig
from tokenmask.models.heads import HeadConfig
from tokenmask.models.range_heads import RangeHeadsConfig

# 1 named neither config nor pattern by class path, and had no number; 2 named no head: it was that of the config.
# At first the config of format 3 repeated the settings of the head, which are left out now.
FORMAT = 3
HOME = "tokenmask.models"
_OF_HEAD = {"tied": "tied", "head_transform": "transform"}  # in a TransformerConfig -> in a RangeHeadsConfig


def parts_of(values: Mapping[str, Any]) -> tuple[BackboneConfig, Layout, AttentionPattern, HeadConfig | None]:
    """What a saved model says of itself, in any format.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, IndexError: a later format, or no such text.
    """
    version = values.get("format", 1)
    if version not in (1, 2, FORMAT):
        raise ValueError(f"it has model format {version}, this tokenmask reads up to {FORMAT}; install a later one")
    config = {"name": "TransformerConfig", **values["config"]} if version == 1 else dict(values["config"])
    inside = "init_args" if "class_path" in config else None
    left, old = head_apart(config["init_args"] if inside else config, config.get("class_path", config.get("name")))
    config = {**config, "init_args": left} if inside else left
    head = component(values["head"], HeadConfig, HOME) if version == FORMAT and values["head"] else None  # type: ignore[type-abstract]
    return (
        component(config, BackboneConfig, HOME),  # type: ignore[type-abstract]
        Layout.from_json(values["layout"]),
        component(values["pattern"], AttentionPattern, HOME),  # type: ignore[type-abstract]
        head or (RangeHeadsConfig(**old) if old else None),
    )


def head_apart(fields: Mapping[str, Any], name: str | None) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of a TransformerConfig, and those of a RangeHeadsConfig that stood among them.

    Args:
        fields: of a config of the class ``name``; None for the class that may be left out, a TransformerConfig.
    """
    home, _, last = (name or "TransformerConfig").rpartition(".")
    ours = last == "TransformerConfig" and home.partition(".")[0] in ("", "tokenmask")
    old = {_OF_HEAD[key]: value for key, value in fields.items() if key in _OF_HEAD} if ours else {}
    return {key: value for key, value in fields.items() if not (ours and key in _OF_HEAD)}, old

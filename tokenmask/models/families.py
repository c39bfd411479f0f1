"""Families: which checkpoints of others have an arithmetic that is ours, and in which shape.

Arrow: values of a ``config.json`` --**shape_of**--> Shape; names of tensors --**renamed**--> Llama's or BERT's.
Does not know: files, values of tensors, vocabularies.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from tokenmask.models.range_heads import RangeHeadsConfig
from tokenmask.models.style import BlockStyle
from tokenmask.models.transformer import TransformerConfig

LLAMAS = ("llama", "mistral", "qwen2", "qwen3", "eurobert", "llada", "dream")
BERTS = ("bert", "roberta", "camembert", "xlm-roberta")
TWO_SIDED = (*BERTS, "eurobert", "llada", "dream")  # trained to see what follows too
_NO_WEIGHT = re.compile(r"rotary_emb|position_ids|token_type_ids|pooler\.|seq_relationship|attn\.bias$")
_LLADA = {  # LLaDA's names -> Llama's
    r"^model\.transformer\.wte\.": "model.embed_tokens.",
    r"^model\.transformer\.ln_f\.": "model.norm.",
    r"^model\.transformer\.ff_out\.": "lm_head.",
    r"^model\.transformer\.blocks\.": "model.layers.",
    r"\.attn_norm\.": ".input_layernorm.",
    r"\.ff_norm\.": ".post_attention_layernorm.",
    r"\.([qkv]_proj)\.": r".self_attn.\1.",
    r"\.attn_out\.": ".self_attn.o_proj.",
    r"\.ff_proj\.": ".mlp.gate_proj.",
    r"\.up_proj\.": ".mlp.up_proj.",
    r"\.ff_out\.": ".mlp.down_proj.",
}
_BERT = {  # what other times and kinds call BERT's
    r"\.gamma$": ".weight",
    r"\.beta$": ".bias",
    r"^roberta\.": "bert.",
    r"^lm_head\.dense\.": "cls.predictions.transform.dense.",
    r"^lm_head\.layer_norm\.": "cls.predictions.transform.LayerNorm.",
    r"^lm_head\.decoder\.bias$": "cls.predictions.bias",
    r"^lm_head\.": "cls.predictions.",
    r"^cls\.predictions\.decoder\.bias$": "cls.predictions.bias",
}


@dataclass(frozen=True)
class Shape:
    """What a checkpoint is made into.

    Args:
        config, head: of the model.
        kv_heads: heads of keys and values that are published.
        first_place: row of its table of places that the first position takes.
    """

    config: TransformerConfig
    head: RangeHeadsConfig
    kv_heads: int
    first_place: int = 0


def renamed(values: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Tensors under Llama's or BERT's names, without those that no logit depends on."""
    kind = str(values.get("model_type", "")).lower()
    table = _LLADA if kind == "llada" else _BERT if kind in BERTS else {}
    found = {}
    for name, tensor in tensors.items():
        if _NO_WEIGHT.search(name):
            continue
        for pattern, new in table.items():
            name = re.sub(pattern, new, name)
        found[name] = tensor
    return found


def shape_of(values: Mapping[str, Any], names: Mapping[str, Tensor], *, max_length: int | None = None) -> Shape:
    """The shape of a published configuration.

    Args:
        values: of ``config.json``.
        names: what :func:`renamed` gives; which biases there are is read from it.
        max_length: longest sequence; what the configuration says if None.

    Raises:
        ValueError: arithmetic that a Transformer does not have, in a sentence that names the field.
    """
    kind = str(values.get("model_type", "")).lower()
    if kind not in LLAMAS + BERTS:
        raise ValueError(
            f"a checkpoint of {', '.join(LLAMAS + BERTS)} can be converted, got model_type "
            f"{values.get('model_type')!r}; tm.wrap takes any masked or causal language model of transformers as it is"
        )
    if kind in BERTS:
        return _bert(values, kind, max_length)
    return _llama(_as_llama(values) if kind == "llada" else values, kind, names, max_length)


def _as_llama(values: Mapping[str, Any]) -> dict[str, Any]:
    """LLaDA's fields in Llama's words."""
    _needs(values, "alibi", (False, None))
    _needs(values, "rope", (True, None))
    _needs(values, "layer_norm_type", ("rms",))
    _needs(values, "block_type", ("llama",))
    _needs(values, "activation_type", ("silu",))
    for field in ("attention_layer_norm", "scale_logits", "input_emb_norm", "bias_for_layer_norm"):
        _needs(values, field, (False, None))
    heads = values["n_heads"]
    return {
        "model_type": "llada",
        "hidden_size": values["d_model"],
        "num_hidden_layers": values["n_layers"],
        "num_attention_heads": heads,
        "num_key_value_heads": values.get("n_kv_heads") or heads,
        "intermediate_size": values.get("mlp_hidden_size") or values["mlp_ratio"] * values["d_model"],
        "rms_norm_eps": values.get("rms_norm_eps", 1e-5),
        "rope_theta": values.get("rope_theta", 10000.0),
        "max_position_embeddings": values["max_sequence_length"],
        "tie_word_embeddings": values.get("weight_tying", True),
    }


def _needs(values: Mapping[str, Any], field: str, allowed: tuple[Any, ...]) -> None:
    found = values.get(field, allowed[0])
    if found not in allowed:
        raise ValueError(
            f"a checkpoint that is converted must have {field} {allowed[0]!r}, got {found!r}, which our Transformer "
            "does not compute; tm.wrap runs it by its own code"
        )


def _llama(values: Mapping[str, Any], kind: str, names: Mapping[str, Tensor], max_length: int | None) -> Shape:
    _needs(values, "hidden_act", ("silu", "swish"))
    _needs(values, "use_sliding_window", (False, None))
    if kind == "mistral":
        _needs(values, "sliding_window", (None,))
    if any(one != "full_attention" for one in values.get("layer_types") or ()):
        _needs({"layer_types": sorted(set(values["layer_types"]))}, "layer_types", (["full_attention"],))
    rope = {**(values.get("rope_scaling") or {}), **(values.get("rope_parameters") or {})}
    _needs({"rope_type": rope.get("rope_type", rope.get("type", "default"))}, "rope_type", ("default",))
    if values.get("partial_rotary_factor", rope.get("partial_rotary_factor", 1.0)) != 1.0:
        _needs({"partial_rotary_factor": 0}, "partial_rotary_factor", (1.0,))
    width, heads = values["hidden_size"], values["num_attention_heads"]
    first = "model.layers.0."
    present = {
        "qkv": f"{first}self_attn.q_proj.bias",
        "out": f"{first}self_attn.o_proj.bias",
        "ffn": f"{first}mlp.up_proj.bias",
    }
    style = BlockStyle(
        norm_eps=float(values.get("rms_norm_eps", 1e-6)),
        query_key_norm=f"{first}self_attn.q_norm.weight" in names,
        head_size=_other(values.get("head_dim"), width / heads),
        ffn_size=values["intermediate_size"],
        biases=tuple(name for name, tensor in present.items() if tensor in names),
        places="order",
        reads_before=kind == "dream",
    )
    config = TransformerConfig(
        width,
        values["num_hidden_layers"],
        heads,
        max_length=max_length or values.get("max_position_embeddings", 4096),
        rotary_base=float(rope.get("rope_theta") or values.get("rope_theta") or 10000.0),
        absolute=False,
        style=style,
    )
    tied = bool(values.get("tie_word_embeddings", False)) or "lm_head.weight" not in names
    return Shape(config, RangeHeadsConfig(tied=tied), values.get("num_key_value_heads") or heads)


def _other(size: Any, usual: float) -> int:
    """A size of heads, 0 where it is the usual one."""
    return 0 if size is None or size == usual else int(size)


def _bert(values: Mapping[str, Any], kind: str, max_length: int | None) -> Shape:
    _needs(values, "hidden_act", ("gelu",))
    _needs(values, "position_embedding_type", ("absolute", None))
    for field in ("is_decoder", "add_cross_attention"):
        _needs(values, field, (False, None))
    _needs(values, "tie_word_embeddings", (True, None))
    first = 0 if kind == "bert" else int(values.get("pad_token_id", 1)) + 1
    there = values["max_position_embeddings"] - first
    if max_length is not None and max_length > there:
        raise ValueError(f"max_length must be at most {there}, the places of its table, got {max_length}; lower it")
    eps = float(values.get("layer_norm_eps", 1e-12))
    style = BlockStyle(
        norm="layer",
        norm_eps=eps,
        post_norm=True,
        query_key_norm=False,
        ffn_size=values["intermediate_size"],
        feed_forward="gelu",
        biases=("qkv", "out", "ffn"),
        places="table",
    )
    heads = values["num_attention_heads"]
    config = TransformerConfig(
        values["hidden_size"],
        values["num_hidden_layers"],
        heads,
        max_length=max_length or there,
        absolute=False,
        style=style,
    )
    return Shape(config, RangeHeadsConfig(transform=True, norm="layer", norm_eps=eps), heads, first)

"""Handed: a MaskedModel of one text stream as a checkpoint that others open.

Arrow: MaskedModel --**handed**--> values of a ``config.json`` and tensors of a BERT or EuroBERT of transformers.
Does not know: files, vocabularies. The reverse of tokenmask.models.taken.

Logits of codes are the model's own. Ids are its codes; behind them stand an id that begins a row and one that hides a
code, unless a code has the very row of one of them, as in a model that was taken over.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from tokenmask.models.attention_pattern import CodesOnly, Full
from tokenmask.models.masked_model import MaskedModel
from tokenmask.models.range_heads import RangeHeadsConfig
from tokenmask.models.transformer import TransformerConfig

NEVER = -10000.0  # the logit of an id that is no code


@dataclass(frozen=True, eq=False)
class Handed:
    """A checkpoint.

    Args:
        values: of ``config.json``.
        tensors: by the names of its class.
        begin: the id that begins a row, None where it begins with its first code.
        mask: the id that hides a code.
        count: ids in all.
    """

    values: dict[str, Any]
    tensors: dict[str, Tensor]
    begin: int | None
    mask: int
    count: int


def handed(model: MaskedModel) -> Handed:
    """A model as a checkpoint of transformers.

    Raises:
        ValueError: a field that no class of transformers for masked language models has, in a sentence that names it.
    """
    config, head, layout = model.config, model.head, model.layout
    if not isinstance(config, TransformerConfig) or not isinstance(head, RangeHeadsConfig):
        raise ValueError(
            f"a Transformer with RangeHeads can be exported, got {type(config).__name__} and {type(head).__name__}; a "
            "network that was wrapped is saved by its own library (save_pretrained)"
        )
    if len(layout.ranges) != 1:
        raise ValueError(
            f"a model of one stream of one level can be exported, got {len(layout.ranges)} codebooks of "
            f"{', '.join(layout.names)}; AutoModelForMaskedLM has one vocabulary"
        )
    post = config.style.post_norm
    wanted: dict[str, tuple[Any, Any]] = {
        "model.absolute": (config.absolute, False),
        "model.time_input": (config.time_input, False),
        "model.adaln": (config.adaln, False),
        "model.shifted": (config.shifted, False),
        "model.mixing": (tuple(config.mixing), (1, 1, 1)),
        "model.style.query_key_norm": (config.style.query_key_norm, False),
        "model.style.reads_before": (config.style.reads_before, False),
        "model.style.norm": (config.style.norm, "layer" if post else "rms"),
        "model.style.feed_forward": (config.style.feed_forward, "gelu" if post else "swiglu"),
        "model.style.places": (config.style.places, "table" if post else "order"),
        "head.transform": (head.transform, post),
        "pattern": (type(model.pattern), Full if post or model.pattern != CodesOnly() else CodesOnly),
    }
    if post:
        wanted["head.norm"] = (head.norm, "layer")
        wanted["head.norm_eps"] = (head.norm_eps, config.style.norm_eps)
        wanted["model.style.head_size"] = (config.head_size, config.width // config.heads)
    if config.width % config.heads:
        wanted["model.heads"] = (config.heads, f"a divisor of {config.width}")
    for name, (found, needed) in wanted.items():
        if found != needed:
            must, is_now = (getattr(one, "__name__", repr(one)) for one in (needed, found))
            whose = "BERT" if post else "EuroBERT"
            raise ValueError(
                f"{name} must be {must} for a {whose} of transformers, got {is_now}; train a model with that option"
            )
    ids = _Ids.of(model)
    tensors = (_as_bert if post else _as_llama)(model, ids)
    size = tensors["bert.encoder.layer.0.intermediate.dense.weight" if post else "model.layers.0.mlp.up_proj.weight"]
    eos = layout.streams[layout.names[0]].end_code
    values: dict[str, Any] = {
        "vocab_size": ids.count,
        "hidden_size": config.width,
        "num_hidden_layers": config.depth,
        "num_attention_heads": config.heads,
        "intermediate_size": len(size),
        "max_position_embeddings": config.max_length,
        "bos_token_id": ids.begin,
        "eos_token_id": eos,
        "pad_token_id": eos,
        "mask_token_id": ids.mask,
        "dtype": "float32",
    }
    if post:
        values |= {
            "model_type": "bert",
            "architectures": ["BertForMaskedLM"],
            "hidden_act": "gelu",
            "layer_norm_eps": config.style.norm_eps,
            "type_vocab_size": 1,
            "tie_word_embeddings": head.tied,
        }
    else:
        values |= {
            "model_type": "eurobert",
            "architectures": ["EuroBertForMaskedLM"],
            "hidden_act": "silu",
            "num_key_value_heads": config.heads,
            "head_dim": config.head_size,
            "rms_norm_eps": config.style.norm_eps,
            "rope_theta": config.rotary_base,
            "rope_parameters": {"rope_type": "default", "rope_theta": config.rotary_base},
            "attention_bias": "model.layers.0.self_attn.q_proj.bias" in tensors,
            "mlp_bias": True,
            "tie_word_embeddings": False,
        }
    return Handed(values, tensors, ids.begin, ids.mask, ids.count)


@dataclass(frozen=True)
class _Ids:
    """Rows of the layout in the order of the checkpoint's ids.

    Args:
        rows: int64 [count].
        codes: how many of them are codes.
        begin, mask: see :class:`Handed`.
    """

    rows: Tensor
    codes: int
    begin: int | None
    mask: int

    @property
    def count(self) -> int:
        return len(self.rows)

    @classmethod
    def of(cls, model: MaskedModel) -> _Ids:
        layout, table = model.layout, model.backbone.table
        codes = layout.ranges[0]
        rows = list(range(codes.offset, codes.offset + codes.size))
        own = table[codes.offset : codes.offset + codes.size]

        def number(row: int, shift: Tensor | float = 0.0) -> int:
            same = (own == table[row] + shift).all(1).nonzero()
            if len(same):
                return int(same[0])
            rows.append(row)
            return len(rows) - 1

        begin = None
        if not isinstance(model.pattern, CodesOnly):
            control, code = model.state_dict()["backbone.embedding.stream"][:2]
            begin = number(layout.control("BOS"), control - code)
        mask = number(codes.mask_id)
        return cls(torch.tensor(rows), codes.size, begin, mask)


def _scored(model: MaskedModel, ids: _Ids, state: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
    """(table [count, D], bias [count]) of the head, before any scaling; ids behind the codes are never likely."""
    table = state["backbone.embedding.table" if model.heads.table is None else "heads.table"][ids.rows].clone()
    bias = state["heads.bias"][ids.rows].clone()
    table[ids.codes :], bias[ids.codes :] = 0.0, NEVER
    return table, bias


def _parts(model: MaskedModel) -> tuple[dict[str, Tensor], float]:
    state = {name: tensor.detach().float().cpu() for name, tensor in model.state_dict().items()}
    return state, math.sqrt(model.backbone.table.shape[1])


def _as_llama(model: MaskedModel, ids: _Ids) -> dict[str, Tensor]:
    state, root = _parts(model)
    stream = state["backbone.embedding.stream"]
    kinds = torch.where((ids.rows < model.layout.ranges[0].offset)[:, None], stream[0], stream[1])
    table, bias = _scored(model, ids, state)
    tensors = {
        "model.embed_tokens.weight": (state["backbone.embedding.table"][ids.rows] + kinds) * root,
        "model.norm.weight": state["backbone.norm.weight"],
        "lm_head.weight": table,
        "lm_head.bias": bias,
    }
    biased = any(f"backbone.blocks.0.attention.{one}.bias" in state for one in ("qkv", "out"))
    for index in range(len(model.backbone.parts())):
        ours, theirs = f"backbone.blocks.{index}.", f"model.layers.{index}."
        tensors[f"{theirs}input_layernorm.weight"] = state[f"{ours}attention_norm.weight"]
        tensors[f"{theirs}post_attention_layernorm.weight"] = state[f"{ours}feed_forward_norm.weight"]
        for part in ("weight", "bias") if biased else ("weight",):
            three = _part(state, f"{ours}attention.qkv", part).chunk(3)
            for name, value in zip("qkv", three, strict=True):
                tensors[f"{theirs}self_attn.{name}_proj.{part}"] = value
            tensors[f"{theirs}self_attn.o_proj.{part}"] = _part(state, f"{ours}attention.out", part)
        for part in ("weight", "bias"):  # EuroBERT has a bias in its head only with those of feed forward
            gate, up = _part(state, f"{ours}feed_forward.gate_up", part).chunk(2)
            tensors[f"{theirs}mlp.gate_proj.{part}"], tensors[f"{theirs}mlp.up_proj.{part}"] = gate, up
            tensors[f"{theirs}mlp.down_proj.{part}"] = _part(state, f"{ours}feed_forward.down", part)
    return tensors


def _part(state: Mapping[str, Tensor], layer: str, part: str) -> Tensor:
    """A weight, or a bias, zeros where the layer has none."""
    weight = state[f"{layer}.weight"]
    return weight if part == "weight" else state.get(f"{layer}.bias", weight.new_zeros(len(weight)))


def _as_bert(model: MaskedModel, ids: _Ids) -> dict[str, Tensor]:
    state, root = _parts(model)
    control, code = state["backbone.embedding.stream"][:2]
    own = state["backbone.embedding.table"][ids.rows]
    if ids.begin is not None and ids.begin >= ids.codes:
        own[ids.begin] += control - code
    scored, bias = _scored(model, ids, state)
    tied = model.heads.table is None
    inside, decoder = "bert.embeddings.", "cls.predictions."
    tensors = {
        f"{inside}word_embeddings.weight": own * root,
        f"{inside}token_type_embeddings.weight": code[None] * root,
        f"{inside}position_embeddings.weight": state["backbone.places.table"] * root,
        f"{decoder}bias": bias,
        f"{decoder}decoder.bias": bias.clone(),
        f"{decoder}decoder.weight": own * root if tied else scored,
    }
    pairs = {
        f"{inside}LayerNorm": "backbone.embedding_norm",
        f"{decoder}transform.dense": "heads.dense",
        f"{decoder}transform.LayerNorm": "heads.norm",
    }
    for index in range(len(model.backbone.parts())):
        ours, theirs = f"backbone.blocks.{index}.", f"bert.encoder.layer.{index}."
        for part in ("weight", "bias"):
            three = _part(state, f"{ours}attention.qkv", part).chunk(3)
            for name, value in zip(("query", "key", "value"), three, strict=True):
                tensors[f"{theirs}attention.self.{name}.{part}"] = value
        pairs |= {
            f"{theirs}attention.output.dense": f"{ours}attention.out",
            f"{theirs}attention.output.LayerNorm": f"{ours}attention_norm",
            f"{theirs}intermediate.dense": f"{ours}feed_forward.up",
            f"{theirs}output.dense": f"{ours}feed_forward.down",
            f"{theirs}output.LayerNorm": f"{ours}feed_forward_norm",
        }
    for name, layer in pairs.items():
        for part in ("weight", "bias"):
            tensors[f"{name}.{part}"] = _part(state, layer, part)
    if tied:  # the table of the embedding was multiplied by the root
        for part in ("weight", "bias"):
            name = f"{decoder}transform.LayerNorm.{part}"
            tensors[name] = tensors[name] / root
    return tensors

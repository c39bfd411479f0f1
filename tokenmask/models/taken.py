"""Taken: the tensors of a checkpoint of others as those of a MaskedModel.

Arrow: Shape + tensors by Llama's or BERT's names --**taken**--> state of a MaskedModel. Does not know: files,
vocabularies, layouts.

Heads that share keys and values (grouped queries) get a copy each, so every kernel of ours serves them; the cache is as
large as without sharing. Embeddings are divided by sqrt(D), by which ours multiply.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, MutableMapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.models.families import Shape

Take = Callable[[str], Tensor]


@dataclass(frozen=True)
class Rows:
    """Where the rows of a vocabulary go.

    Args:
        ids: int64 [n], pieces of the published vocabulary.
        places: int64 [n], ids of the layout that take their rows; all others are 0.
        count: ids of the layout.
    """

    ids: Tensor
    places: Tensor
    count: int

    def of(self, table: Tensor) -> Tensor:
        """A published table as rows of the layout, float32."""
        made = table.new_zeros(self.count, *table.shape[1:], dtype=torch.float32)
        made[self.places] = table[self.ids].float()
        return made


@torch.no_grad()
def taken(shape: Shape, tensors: Mapping[str, Tensor], rows: Rows, streams: int = 1) -> dict[str, Tensor]:
    """The state of a MaskedModel with a checkpoint's weights, float32.

    Args:
        shape: of the checkpoint.
        tensors: what :func:`tokenmask.models.families.renamed` gives.
        rows: of its vocabulary.
        streams: of the layout.

    Raises:
        ValueError: a tensor that is missing, or one that there is no place for.
    """
    left = dict(tensors)

    def take(name: str) -> Tensor:
        if name not in left:
            raise ValueError(f"the checkpoint must hold the tensor {name}, but does not; copy all of its files")
        return left.pop(name).detach().float()

    state = (_from_bert if shape.config.style.post_norm else _from_llama)(shape, take, left, rows, streams)
    if left:
        raise ValueError(
            f"our Transformer has no place for {', '.join(sorted(left)[:4])} of the checkpoint, {len(left)} tensors in "
            "all; tm.wrap runs it by its own code"
        )
    return state


def _from_llama(
    shape: Shape, take: Take, left: MutableMapping[str, Tensor], rows: Rows, streams: int
) -> dict[str, Tensor]:
    config, style = shape.config, shape.config.style
    root = math.sqrt(config.width)
    embed = take("model.embed_tokens.weight")
    state = {"backbone.embedding.table": rows.of(embed) / root}
    state["backbone.embedding.stream"] = torch.zeros(1 + streams, config.width)
    bias = take("lm_head.bias") if "lm_head.bias" in left else torch.zeros(len(embed))
    state["heads.bias"] = rows.of(bias)
    norm = take("model.norm.weight")
    if shape.head.tied:
        left.pop("lm_head.weight", None)
        norm = norm * root  # the table is that of the embedding, which was divided by it
    else:
        state["heads.table"] = rows.of(take("lm_head.weight"))
    state["backbone.norm.weight"] = norm
    for index in range(config.depth):
        theirs, ours = f"model.layers.{index}.", f"backbone.blocks.{index}."
        state[f"{ours}attention_norm.weight"] = take(f"{theirs}input_layernorm.weight")
        state[f"{ours}feed_forward_norm.weight"] = take(f"{theirs}post_attention_layernorm.weight")
        if style.query_key_norm:
            state[f"{ours}attention.query_norm.weight"] = take(f"{theirs}self_attn.q_norm.weight")
            state[f"{ours}attention.key_norm.weight"] = take(f"{theirs}self_attn.k_norm.weight")
        copies = config.heads // shape.kv_heads
        for part in ("weight", "bias"):
            if part == "weight" or "qkv" in style.biases:
                query, key, value = (take(f"{theirs}self_attn.{one}_proj.{part}") for one in "qkv")
                key, value = (_copied(one, config.head_size, copies) for one in (key, value))
                state[f"{ours}attention.qkv.{part}"] = torch.cat([query, key, value])
            if part == "weight" or "out" in style.biases:
                state[f"{ours}attention.out.{part}"] = take(f"{theirs}self_attn.o_proj.{part}")
            if part == "weight" or "ffn" in style.biases:
                gate, up = (take(f"{theirs}mlp.{one}_proj.{part}") for one in ("gate", "up"))
                state[f"{ours}feed_forward.gate_up.{part}"] = torch.cat([gate, up])
                state[f"{ours}feed_forward.down.{part}"] = take(f"{theirs}mlp.down_proj.{part}")
    return state


def _copied(rows: Tensor, size: int, copies: int) -> Tensor:
    """[heads * size, ...] -> [heads * copies * size, ...], each head as often."""
    heads = rows.reshape(-1, size, *rows.shape[1:])
    return heads.repeat_interleave(copies, 0).flatten(0, 1)


def _from_bert(
    shape: Shape, take: Take, left: MutableMapping[str, Tensor], rows: Rows, streams: int
) -> dict[str, Tensor]:
    config = shape.config
    root = math.sqrt(config.width)
    inside = "bert.embeddings."
    state = {"backbone.embedding.table": rows.of(take(f"{inside}word_embeddings.weight")) / root}
    kinds = take(f"{inside}token_type_embeddings.weight")
    state["backbone.embedding.stream"] = kinds[:1].expand(1 + streams, -1) / root  # the first kind of segment
    places = take(f"{inside}position_embeddings.weight")
    state["backbone.places.table"] = places[shape.first_place :][: config.max_length] / root
    left.pop("cls.predictions.decoder.weight", None)  # tied
    state["heads.bias"] = rows.of(take("cls.predictions.bias"))
    pairs = {
        f"{inside}LayerNorm": "backbone.embedding_norm",
        "cls.predictions.transform.dense": "heads.dense",
        "cls.predictions.transform.LayerNorm": "heads.norm",
    }
    for index in range(config.depth):
        theirs, ours = f"bert.encoder.layer.{index}.", f"backbone.blocks.{index}."
        for part in ("weight", "bias"):
            three = [take(f"{theirs}attention.self.{one}.{part}") for one in ("query", "key", "value")]
            state[f"{ours}attention.qkv.{part}"] = torch.cat(three)
        pairs |= {
            f"{theirs}attention.output.dense": f"{ours}attention.out",
            f"{theirs}attention.output.LayerNorm": f"{ours}attention_norm",
            f"{theirs}intermediate.dense": f"{ours}feed_forward.up",
            f"{theirs}output.dense": f"{ours}feed_forward.down",
            f"{theirs}output.LayerNorm": f"{ours}feed_forward_norm",
        }
    for name, own in pairs.items():
        for part in ("weight", "bias"):
            state[f"{own}.{part}"] = take(f"{name}.{part}")
    for part in ("weight", "bias"):
        state[f"heads.norm.{part}"] = state[f"heads.norm.{part}"] * root  # the table was divided by it
    return state

"""Checkpoints of others in our Transformer, without their libraries: names, arithmetic by hand, refusals."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.models.small import masked_at
from tokenmask.batch import FILL, collate
from tokenmask.layout import Layout
from tokenmask.models import Causal, CodesOnly, KVCache, MaskedModel, Packed
from tokenmask.models.families import renamed, shape_of
from tokenmask.models.taken import Rows, taken
from tokenmask.sampling.reuse.key_values import empty_cache
from tokenmask.streams import StreamSpec, TokenStream

SIZE, MASK = 40, 39  # pieces, and the one that hides
LLADA: dict[str, Any] = {
    "model_type": "llada", "d_model": 64, "n_heads": 4, "n_kv_heads": 2, "n_layers": 2, "mlp_hidden_size": 96,
    "rms_norm_eps": 1e-5, "rope_theta": 5e5, "max_sequence_length": 64, "weight_tying": False, "alibi": False,
    "rope": True, "layer_norm_type": "rms", "block_type": "llama", "activation_type": "silu",
    "attention_layer_norm": False,
}  # fmt: skip
DREAM: dict[str, Any] = {
    "model_type": "Dream", "hidden_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2,
    "num_hidden_layers": 2, "intermediate_size": 96, "rms_norm_eps": 1e-6, "rope_theta": 1e6,
    "max_position_embeddings": 64, "hidden_act": "silu", "tie_word_embeddings": False, "use_sliding_window": False,
    "sliding_window": None, "rope_scaling": None,
}  # fmt: skip


def llada_tensors(seed: int = 0) -> dict[str, Tensor]:
    """By the names of LLaDA's published files."""
    draw = torch.Generator().manual_seed(seed)
    made = lambda *shape: 0.15 * torch.randn(*shape, generator=draw)  # noqa: E731
    tensors = {f"model.transformer.{name}.weight": made(SIZE, 64) for name in ("wte", "ff_out")}
    tensors["model.transformer.ln_f.weight"] = 1 + made(64)
    for index in range(2):
        shapes = {"q_proj": (64, 64), "k_proj": (32, 64), "v_proj": (32, 64), "attn_out": (64, 64)}
        shapes |= {"ff_proj": (96, 64), "up_proj": (96, 64), "ff_out": (64, 96)}
        block = f"model.transformer.blocks.{index}."
        tensors |= {f"{block}{name}.weight": made(*shape) for name, shape in shapes.items()}
        tensors |= {f"{block}{name}.weight": 1 + made(64) for name in ("attn_norm", "ff_norm")}
    return tensors


def dream_tensors() -> dict[str, Tensor]:
    """By the names of Dream's published files, Qwen2's: with biases of queries, keys and values."""
    tensors = renamed({"model_type": "llada"}, llada_tensors(1))
    draw = torch.Generator().manual_seed(2)
    for index in range(2):
        for name, size in (("q", 64), ("k", 32), ("v", 32)):
            bias = 0.2 * torch.randn(size, generator=draw)
            tensors[f"model.layers.{index}.self_attn.{name}_proj.bias"] = bias
    return tensors


def by_hand(tensors: dict[str, Tensor], ids: Tensor, eps: float, base: float) -> Tensor:
    """Logits [L, V] of Llama's arithmetic with 4 heads of 16, two of keys, where every place sees every place."""

    def normed(x: Tensor, name: str) -> Tensor:
        return x * (x.square().mean(-1, keepdim=True) + eps).rsqrt() * tensors[f"{name}.weight"]

    def layer(x: Tensor, name: str) -> Tensor:
        return F.linear(x, tensors[f"{name}.weight"], tensors.get(f"{name}.bias"))

    angles = torch.arange(len(ids))[:, None] * base ** (-torch.arange(8) / 8)

    def turned(x: Tensor) -> Tensor:
        one, two = x.view(len(ids), -1, 2, 8).unbind(2)
        cos, sin = angles.cos()[:, None], angles.sin()[:, None]
        return torch.cat([one * cos - two * sin, two * cos + one * sin], -1).transpose(0, 1)

    x = tensors["model.embed_tokens.weight"][ids]
    for index in range(2):
        name = f"model.layers.{index}"
        seen = normed(x, f"{name}.input_layernorm")
        query, key = (turned(layer(seen, f"{name}.self_attn.{one}_proj")) for one in "qk")
        value = layer(seen, f"{name}.self_attn.v_proj").view(len(ids), 2, 16).transpose(0, 1)
        key, value = (one.repeat_interleave(2, 0) for one in (key, value))
        mixed = torch.softmax(query @ key.transpose(1, 2) / math.sqrt(16), -1) @ value
        x = x + layer(mixed.transpose(0, 1).flatten(1), f"{name}.self_attn.o_proj")
        seen = normed(x, f"{name}.post_attention_layernorm")
        gated = F.silu(layer(seen, f"{name}.mlp.gate_proj")) * layer(seen, f"{name}.mlp.up_proj")
        x = x + layer(gated, f"{name}.mlp.down_proj")
    return layer(normed(x, "model.norm"), "lm_head")


def converted(values: dict[str, Any], tensors: dict[str, Tensor], **shape: Any) -> MaskedModel:
    """With the text stream of all pieces, and no begin."""
    layout = Layout({"text": StreamSpec("text", (SIZE,), ("index",))})
    names = renamed(values, tensors)
    own = shape_of(values, names, **shape)
    codes = layout.range("text")
    pieces = torch.tensor([*range(SIZE), MASK])
    state = taken(own, names, Rows(pieces, codes.offset + torch.arange(SIZE + 1), layout.num_ids))
    model = MaskedModel.create(own.config, layout, pattern=CodesOnly(), head=own.head)
    model.load_state_dict(state)
    return model


def asked(model: MaskedModel) -> tuple[Any, list[Tensor], Tensor]:
    """Two rows with every second code hidden; (masked batch, ids of each row, bool [B, L])."""
    draw = torch.Generator().manual_seed(5)
    rows = [torch.randint(SIZE - 1, (count,), generator=draw) for count in (7, 12)]
    spec = model.layout.streams["text"]
    packed = [model.layout.pack({"text": TokenStream(spec, row[:, None].int())}) for row in rows]
    batch = collate(packed, multiple=16)
    hidden = (torch.arange(batch.shape[1]) % 2 == 1)[None, :, None] & (batch.role == FILL) & batch.valid[..., None]
    masked = masked_at(model.layout, batch, hidden)
    seen = [torch.where(hidden[at, 1 : 1 + len(row), 0], MASK, row) for at, row in enumerate(rows)]
    return masked, seen, hidden[..., 0]


@pytest.mark.parametrize(("values", "tensors"), [(LLADA, llada_tensors()), (DREAM, dream_tensors())])
@torch.no_grad()
def test_logits_are_those_of_the_arithmetic_written_by_hand(values: dict[str, Any], tensors: dict[str, Tensor]) -> None:
    """LLaDA reads a code at its place, Dream at the one before it and the first at its own."""
    model = converted(values, tensors)
    masked, seen, hidden = asked(model)
    (group,) = model.logits(masked.inputs, masked.queries)
    wanted = []
    for at, ids in enumerate(seen):
        eps, base = values["rms_norm_eps"], values["rope_theta"]
        logits = by_hand(renamed(values, tensors), ids, eps, base)
        if values is DREAM:
            logits = torch.cat([logits[:1], logits[:-1]])
        wanted.append(logits[hidden[at, 1 : 1 + len(ids)]])
    assert group.logits.std() > 0.1
    torch.testing.assert_close(group.logits, torch.cat(wanted), rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_some_positions_run_alone_over_the_cache() -> None:
    """What a cheap step of StaleReuse does: with nothing stale its logits are those of a full pass."""
    model = converted(LLADA, llada_tensors())
    masked, _, hidden = asked(model)
    inputs, slots = masked.inputs, masked.inputs.valid.cumsum(1) - 1
    cache: KVCache = model.backbone.empty_cache(*inputs.shape[:2])
    cache = cache.admit(Packed.of(inputs, inputs.valid, slots))
    (full,) = model.logits(inputs, masked.queries, cache=cache)
    new = Packed.of(inputs, hidden, slots)
    among = type(masked.queries)(torch.arange(len(new)), masked.queries.heads)
    (some,) = model.extend(new, among, cache.admit(new))
    torch.testing.assert_close(some.logits, full.logits, rtol=1e-5, atol=1e-5)
    with pytest.raises(ValueError, match=r"not asked where the code stands.*set sampler.reuse to NoReuse"):
        empty_cache(converted(DREAM, dream_tensors()), inputs, 1)


def test_controls_are_not_seen_by_a_model_without_begin() -> None:
    model = converted(LLADA, llada_tensors())
    masked, _, _ = asked(model)
    (before,) = model.logits(masked.inputs, masked.queries)
    with torch.no_grad():
        model.backbone.table[model.layout.control("BOS")] = 3.0
    (after,) = model.logits(masked.inputs, masked.queries)
    assert torch.equal(before.logits, after.logits)
    (causal,) = model.logits(masked.inputs, masked.queries, Causal())
    assert not torch.allclose(causal.logits, after.logits)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"model_type": "mamba"}, "can be converted, got model_type 'mamba'; tm.wrap takes"),
        ({"rope_scaling": {"rope_type": "yarn"}}, "must have rope_type 'default', got 'yarn'"),
        ({"hidden_act": "gelu_new"}, "must have hidden_act 'silu', got 'gelu_new'"),
        ({"use_sliding_window": True}, "must have use_sliding_window False, got True"),
        ({"layer_types": ["full_attention", "sliding_attention"]}, "must have layer_types"),
        ({"hidden_size": 72}, "width must be a multiple of 64"),
        ({"num_hidden_layers": 1}, "no place for model.layers.1.input_layernorm.weight"),
        ({"num_hidden_layers": 3}, "must hold the tensor model.layers.2.input_layernorm.weight, but does not"),
    ],
)
def test_another_arithmetic_is_refused_in_a_sentence(change: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence) as refused:
        converted({**DREAM, **change}, dream_tensors())
    assert "\n" not in str(refused.value)

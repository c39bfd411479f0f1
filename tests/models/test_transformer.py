"""The backbone: what it reads, what it ignores, what it refuses."""

from dataclasses import replace

import pytest
import torch

from tests.models.small import randomise, small_batch, small_layout, small_masked
from tokenmask.layout import Parallel
from tokenmask.masking.masked_batch import Queries
from tokenmask.models import AttentionTap, Causal, GroupCausal, MaskedModel, TransformerConfig, Window
from tokenmask.models.embedding import CodeEmbedding
from tokenmask.nn import build

TINY = TransformerConfig(width=64, depth=2, heads=2)


def tiny_model(layout, **options):
    model = MaskedModel.create(replace(TINY, **options), layout, seed=1)
    randomise(model)
    return model


def hidden_everywhere(model, batch, pattern=None, **options):
    rows, length, levels = batch.shape
    slots = torch.arange(rows * length) * levels
    with torch.inference_mode():
        return model.backbone(batch, Queries(slots, torch.zeros_like(slots)), pattern, **options).queries.unflatten(
            0, (rows, length)
        )


@pytest.mark.parametrize("pattern", [None, Causal(), Window(3)])
def test_invalid_positions_are_not_seen(pattern):
    layout = small_layout(4)
    model, batch = tiny_model(layout), small_batch(layout)
    changed = batch.ids.clone()
    changed[~batch.valid] = 3
    moved = batch.coordinates.clone()
    moved[~batch.valid] = 77
    before = hidden_everywhere(model, batch, pattern)
    after = hidden_everywhere(model, replace(batch, ids=changed, coordinates=moved), pattern)
    torch.testing.assert_close(before[batch.valid], after[batch.valid])
    assert before.isfinite().all() and after.isfinite().all()


def test_patterns_hide_what_they_say():
    layout = small_layout()
    model, batch = tiny_model(layout), small_batch(layout, ((4, 9), (4, 9)))
    changed = batch.ids.clone()
    changed[:, -1] = layout.control("SEP")
    other = replace(batch, ids=changed)
    length = batch.shape[1]
    a, b = hidden_everywhere(model, batch, Causal()), hidden_everywhere(model, other, Causal())
    torch.testing.assert_close(a[:, :-1], b[:, :-1])
    assert not torch.allclose(a[:, -1], b[:, -1])
    group = (torch.arange(length, dtype=torch.int32) // 5).expand(2, length)
    a, b = (hidden_everywhere(model, x, GroupCausal(), group=group) for x in (batch, other))
    torch.testing.assert_close(a[:, :10], b[:, :10])
    assert not torch.allclose(a[:, 10], b[:, 10])


def test_relative_places_alone_are_seen_without_absolute_features():
    layout = small_layout()
    batch = small_batch(layout)
    moved = replace(batch, coordinates=batch.coordinates + 5)
    relative, absolute = tiny_model(layout, absolute=False), tiny_model(layout, absolute=True)
    torch.testing.assert_close(
        hidden_everywhere(relative, batch)[batch.valid],
        hidden_everywhere(relative, moved)[batch.valid],
        rtol=1e-4,
        atol=1e-4,
    )
    assert not torch.allclose(hidden_everywhere(absolute, batch), hidden_everywhere(absolute, moved), atol=1e-2)


def test_t_counts_where_it_is_asked_for():
    layout = small_layout()
    batch = small_batch(layout)
    for options in ({"time_input": True}, {"adaln": True}):
        model = tiny_model(layout, **options)
        early, late = (hidden_everywhere(model, batch, t=torch.full((2,), t)) for t in (0.1, 0.9))
        assert not torch.allclose(early, late, atol=1e-3)
        with pytest.raises(ValueError, match="needs the masking time t, got None"):
            hidden_everywhere(model, batch)
    plain = tiny_model(layout)
    assert torch.equal(hidden_everywhere(plain, batch), hidden_everywhere(plain, batch, t=torch.zeros(2)))


def test_adaln_starts_as_an_identity():
    layout = small_layout()
    model = MaskedModel.create(replace(TINY, adaln=True), layout, seed=1)
    batch = small_batch(layout)
    embedded = model.backbone.embedding(batch.ids, batch.stream)
    taps = model(batch, Queries(torch.tensor([1]), torch.tensor([0])), t=torch.zeros(2), taps=("layer.1",)).taps
    torch.testing.assert_close(taps["layer.1"], embedded + model.backbone.absolute(batch.coordinates))


def test_taps():
    layout = small_layout()
    model, batch = tiny_model(layout), small_batch(layout)
    columns = (0, 3)
    queries = Queries(torch.tensor([5]), torch.tensor([0]))
    result = model(
        batch, queries, taps=("layer.0", AttentionTap(1, columns), AttentionTap(0, tuple(range(batch.shape[1]))))
    )
    assert result.taps["layer.0"].shape == (*batch.shape[:2], 64)
    assert result.taps["attention.1"].shape == (2, 2, batch.shape[1], 2)
    everything = result.taps["attention.0"]
    torch.testing.assert_close(everything.sum(-1), torch.ones(everything.shape[:-1]))
    assert everything.transpose(-1, -2)[~batch.valid[:, None].expand(2, 2, -1)].eq(0).all()
    with pytest.raises(ValueError, match=r"taps name layers 0\.\.1.*'layer\.2'"):
        model(batch, queries, taps=("layer.2",))


def test_attention_taps_are_what_the_layer_uses():
    layout = small_layout()
    model, batch = tiny_model(layout), small_batch(layout)
    attention = model.backbone.blocks[0].attention
    x = torch.randn(2, batch.shape[1], 64, generator=torch.Generator().manual_seed(0))
    rotary = model.backbone.rotary(batch.coordinates)
    weights = attention.probabilities(x, rotary, None, torch.arange(batch.shape[1]))
    value = attention.qkv(x).unflatten(-1, (3, 2, 32))[:, :, 2].transpose(1, 2)
    torch.testing.assert_close(attention.out((weights @ value).transpose(1, 2).flatten(2)), attention(x, rotary, None))


def test_refusals():
    layout = small_layout()
    model, batch = tiny_model(layout, max_length=30), small_batch(layout)
    slots = torch.tensor([7])
    with pytest.raises(ValueError, match="at most max_length 30 positions, got 31"):
        model(small_batch(layout, ((10, 20),)), Queries(slots, torch.tensor([0])))
    own = batch.coordinates[0, slots]
    assert len(model(batch, Queries(slots, torch.tensor([0]), own)).groups) == 1
    with pytest.raises(ValueError, match="answers at a slot's own place"):
        model(batch, Queries(slots, torch.tensor([0]), own + 1))
    for options, message in (
        ({"width": 100}, "multiple of 64 up to 131072, got 100"),
        ({"depth": 0}, "at least 1, got 0"),
        ({"heads": 5}, "whole even number, got 64 and 5"),
        ({"ffn": 0.0}, "ffn must be positive"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(TINY, **options)


def test_levels_are_summed_and_padding_adds_nothing():
    layout = small_layout(4)
    embedding = build(lambda: CodeEmbedding(layout, 64), 0)
    batch = small_batch(layout)
    rows = embedding.table[batch.ids.long()].sum(2) + embedding.stream[batch.stream.long() + 1]
    torch.testing.assert_close(embedding(batch.ids, batch.stream), rows * embedding.scale)
    assert embedding.table[0].eq(0).all()
    embedding(batch.ids, batch.stream).sum().backward()
    assert embedding.table.grad[0].eq(0).all() and embedding.table.grad[batch.ids[0, 1, 0]].ne(0).all()


@pytest.mark.parametrize("fuse", ["concat", "concat_mlp"])
def test_levels_can_be_concatenated(fuse):
    layout = small_layout(4, arrangements={"audio": Parallel(fuse)})
    embedding = build(lambda: CodeEmbedding(layout, 64), 0)
    batch = small_batch(layout)
    found = embedding(batch.ids, batch.stream) / embedding.scale - embedding.stream[batch.stream.long() + 1]
    audio = batch.stream == 1
    rows = embedding.table[batch.ids.long()]
    torch.testing.assert_close(found[audio], embedding.fusions["audio"](rows.flatten(2))[audio], atol=1e-6, rtol=1e-4)
    torch.testing.assert_close(found[~audio], rows.sum(2)[~audio], atol=1e-6, rtol=1e-4)


def test_autocast_stays_close():
    layout = small_layout(4)
    model = tiny_model(layout)
    masked = small_masked(layout, small_batch(layout))
    exact = model.logits(masked.inputs, masked.queries)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        reduced = model.logits(masked.inputs, masked.queries)
        sum(group.logits.square().sum() for group in reduced).backward()
    assert all(parameter.grad is None or parameter.grad.isfinite().all() for parameter in model.parameters())
    for one, two in zip(exact, reduced, strict=True):
        assert two.logits.dtype == torch.float32
        assert (one.logits - two.logits).abs().mean() < 0.1 * one.logits.std()

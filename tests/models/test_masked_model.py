"""Heads score a range's own codes; a model is its config, its layout and its weights."""

from dataclasses import replace

import pytest
import torch

from tests.models.outside import ConvConfig
from tests.models.small import randomise, small_batch, small_layout, small_masked
from tokenmask.layout import Parallel
from tokenmask.masking.masked_batch import Queries
from tokenmask.models import Full, MaskedModel, RangeHeadsConfig, TransformerConfig, Window
from tokenmask.tensor_files import save_tensors

TINY = TransformerConfig(width=64, depth=1, heads=2)


@pytest.mark.parametrize("tied", [True, False])
def test_each_query_is_scored_over_its_range_only(tied):
    layout = small_layout(4)
    model = MaskedModel.create(TINY, layout, head=RangeHeadsConfig(tied))
    randomise(model)
    masked = small_masked(layout, small_batch(layout))
    result = model(masked.inputs, masked.queries)
    table = model.backbone.embedding.table if tied else model.heads.table
    seen = torch.cat([group.queries for group in result.groups])
    assert sorted(seen.tolist()) == list(range(len(masked.queries)))
    assert [group.head for group in result.groups] == sorted({group.head for group in result.groups})
    for head, queries, logits in result.groups:
        place = layout.ranges[head]
        assert (masked.queries.heads[queries] == head).all() and queries.diff().gt(0).all()
        assert logits.dtype == torch.float32 and logits.is_contiguous()
        rows = slice(place.offset, place.offset + place.size)
        expected = result.hidden[queries] @ table[rows].T + model.heads.bias[rows]
        torch.testing.assert_close(logits, expected, atol=1e-5, rtol=1e-4)


def test_only_asked_rows_of_a_tied_table_learn_from_the_heads():
    layout = small_layout(4)
    model = MaskedModel.create(TINY, layout)
    masked = small_masked(layout, small_batch(layout))
    hidden = torch.randn(len(masked.queries), 64, generator=torch.Generator().manual_seed(0))
    table = torch.randn(layout.num_ids, 64, generator=torch.Generator().manual_seed(1)).requires_grad_()
    keep = masked.queries.heads == layout.head("audio", 1)
    model.heads(hidden[keep], masked.queries.heads[keep], table)[0].logits.square().sum().backward()
    place = layout.range("audio", 1)
    learned = table.grad.abs().sum(1) > 0
    assert learned.nonzero().flatten().tolist() == list(range(place.offset, place.offset + place.size))


def test_no_queries_and_wrong_queries():
    layout = small_layout()
    model, batch = MaskedModel.create(TINY, layout), small_batch(layout)
    none = torch.zeros(0, dtype=torch.int64)
    assert model.logits(batch, Queries(none, none)) == ()
    with pytest.raises(ValueError, match=r"one of 2 ranges, got -1\.\.-1; hide code slots only"):
        model.logits(batch, Queries(torch.tensor([0]), torch.tensor([-1])))


def test_a_model_is_its_seed_and_comes_back_from_a_file(tmp_path):
    layout = small_layout(4, arrangements={"audio": Parallel("concat_mlp")})
    config, head = TransformerConfig(width=64, depth=2, heads=2, adaln=True), RangeHeadsConfig(False, True)
    model = MaskedModel.create(config, layout, pattern=Window(3, streams=(1,)), head=head, seed=5)
    again, other = (MaskedModel.create(config, layout, head=head, seed=seed) for seed in (5, 6))
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True))
    assert not all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    randomise(model)
    model.save(tmp_path / "model.safetensors")
    loaded = MaskedModel.load(tmp_path / "model.safetensors")
    assert (loaded.config, loaded.layout, loaded.pattern) == (model.config, model.layout, model.pattern)
    assert loaded.layout.names == model.layout.names
    masked = small_masked(layout, small_batch(layout))
    for one, two in zip(*(m.logits(masked.inputs, masked.queries, t=masked.t) for m in (model, loaded)), strict=True):
        assert torch.equal(one.logits, two.logits)


def test_the_models_own_pattern_is_used_unless_a_call_says_otherwise():
    layout = small_layout()
    narrow = MaskedModel.create(TINY, layout, pattern=Window(2))
    wide = MaskedModel.create(TINY, layout)
    masked = small_masked(layout, small_batch(layout))
    asked = (masked.inputs, masked.queries)
    assert not torch.allclose(narrow.logits(*asked)[0].logits, wide.logits(*asked)[0].logits)
    assert torch.equal(narrow.logits(*asked, Full())[0].logits, wide.logits(*asked)[0].logits)


def test_a_file_about_something_else_is_refused(tmp_path):
    save_tensors(tmp_path / "x.safetensors", {"a": torch.zeros(1)}, {"tokenizer": 1})
    with pytest.raises(ValueError, match="must hold a saved model, got a file about tokenizer"):
        MaskedModel.load(tmp_path / "x.safetensors")


def test_a_file_of_the_format_before_has_the_head_of_its_config(tmp_path):
    model = MaskedModel.create(TINY, small_layout(), head=RangeHeadsConfig(False, True), seed=3)
    about = {**model.about(), "format": 2}
    assert about.pop("head")["init_args"].items() >= {"tied": False, "transform": True}.items()
    about["config"]["init_args"] |= {"tied": False, "head_transform": True}
    save_tensors(tmp_path / "model.safetensors", model.state_dict(), {"model": about})
    again = MaskedModel.load(tmp_path / "model.safetensors")
    assert again.head == model.head == RangeHeadsConfig(False, True) and again.config == TINY
    assert all(torch.equal(one, two) for one, two in zip(again.parameters(), model.parameters(), strict=True))
    head = {"class_path": "tokenmask.models.RangeHeadsConfig", "init_args": {"tied": False, "transform": True}}
    save_tensors(tmp_path / "twice.safetensors", model.state_dict(), {"model": {**about, "format": 3, "head": head}})
    assert MaskedModel.load(tmp_path / "twice.safetensors").head == again.head  # format 3 said it twice at first
    save_tensors(tmp_path / "later.safetensors", model.state_dict(), {"model": {**about, "format": 4}})
    with pytest.raises(ValueError, match="it has model format 4, this tokenmask reads up to 3"):
        MaskedModel.load(tmp_path / "later.safetensors")


def test_a_head_of_its_own_comes_back_and_is_the_one_that_answers(tmp_path):
    head, layout = RangeHeadsConfig(tied=False, transform=True), small_layout()
    model = MaskedModel.create(TINY, layout, head=head, seed=1)
    model.save(tmp_path / "model.safetensors")
    again = MaskedModel.load(tmp_path / "model.safetensors")
    assert again.head == head and again.config == TINY and again.heads.table.shape == (layout.num_ids, 64)
    assert all(torch.equal(one, two) for one, two in zip(again.parameters(), model.parameters(), strict=True))


def test_a_backbone_that_answers_at_its_place_is_not_asked_from_elsewhere():
    layout = small_layout()
    model, batch = MaskedModel.create(ConvConfig(), layout), small_batch(layout)
    own = batch.coordinates.flatten(0, 1)[[7, 9]]
    asked = Queries(torch.tensor([7, 9]), torch.tensor([1, 1]))
    there = model.logits(batch, replace(asked, coordinates=own))
    assert torch.equal(there[0].logits, model.logits(batch, asked)[0].logits)
    with pytest.raises(ValueError, match="a Conv answers at a slot's own place"):
        model.logits(batch, replace(asked, coordinates=own + 1))

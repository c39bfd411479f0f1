"""Joined rows: vectors and gradients of padded ones, for every pattern, and nothing computed that does not count."""

import itertools
from dataclasses import replace

import pytest
import torch

from tests.models.small import randomise, small_batch, small_layout, small_masked
from tokenmask.masking import Queries
from tokenmask.models import (
    AttentionTap,
    BlockStyle,
    Causal,
    CodesOnly,
    Full,
    GivenFirst,
    GroupCausal,
    MaskedModel,
    OwnFrame,
    SlotMeta,
    SpatialWindows,
    TransformerConfig,
    Window,
)
from tokenmask.models.attention_pattern import HIDDEN_KEYS, JOINED, MERGED
from tokenmask.models.joined import CALL, Joined, _grouped

TINY = TransformerConfig(width=64, depth=2, heads=2)
LAYOUT = small_layout(4)
LENGTHS = ((5, 20), (3, 25), (1, 2), (5, 20), (2, 7), (0, 1))
MODELS = {
    "ours": TINY,
    "timed": replace(TINY, adaln=True, time_input=True),
    "mixing": replace(TINY, mixing=(3, 1, 3)),
    "ordered": replace(TINY, style=BlockStyle(places="order", reads_before=True)),
    "table": replace(TINY, style=BlockStyle(places="table", post_norm=True, norm="layer")),
    "shifted": replace(TINY, shifted=True),
}
PATTERNS = (Full(), Causal(), CodesOnly(), GroupCausal(), GivenFirst(), Window(2), SpatialWindows(2, 2), OwnFrame())


def told(batch):
    return replace(batch, features={**batch.features, JOINED: torch.ones(batch.shape[0], dtype=torch.bool)})


def asked(name, scope="hidden"):
    """A model, a batch with a dropped condition in two rows, and queries, also at dropped positions with scope all."""
    model = MaskedModel.create(MODELS[name], LAYOUT, seed=1)
    randomise(model)
    masked = small_masked(LAYOUT, small_batch(LAYOUT, LENGTHS))
    drop = torch.zeros(len(LENGTHS), 2, dtype=torch.bool)
    drop[0, 0] = drop[3, 0] = True
    queries = masked.queries
    if scope == "all":
        slots = (masked.inputs.stream >= 0).flatten().nonzero().squeeze(1) * masked.inputs.shape[2]
        queries = replace(queries, slots=slots, heads=LAYOUT.head_of(masked.clean.ids).flatten()[slots])
    return model, masked.inputs.drop(drop), queries


def answer(model, inputs, queries, pattern, group):
    model.zero_grad(set_to_none=True)
    t = torch.linspace(0.2, 0.9, len(LENGTHS))
    vectors = model.backbone(inputs, queries, pattern, group=group, t=t).queries
    torch.autograd.backward(vectors.square().sum())
    return vectors.detach(), {name: p.grad for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", MODELS)
def test_joined_rows_have_the_vectors_and_gradients_of_padded_ones(name, monkeypatch):
    calls = itertools.cycle((1, 10**9, CALL))  # as attention's calls: one for all rows, one for each length, some
    for scope, pattern in itertools.product(("hidden", "all"), PATTERNS):
        monkeypatch.setattr("tokenmask.models.joined.CALL", next(calls))
        if name == "mixing" and isinstance(pattern, Causal | GroupCausal | GivenFirst):
            continue
        model, inputs, queries = asked(name, scope)
        group = (torch.arange(inputs.shape[1], dtype=torch.int32) // 4).expand(inputs.shape[:2])
        if name == "shifted":
            at = torch.div(queries.slots, inputs.shape[2], rounding_mode="floor")
            keep = torch.cat([torch.tensor([True]), at[1:] != at[:-1]])
            places = inputs.coordinates.flatten(0, 1)[at[keep]] + torch.tensor([2, 0, 1], dtype=torch.int32)
            queries = Queries(queries.slots[keep], queries.heads[keep], places)
        vectors, gradients = answer(model, inputs, queries, pattern, group)
        ours, mine = answer(model, told(inputs), queries, pattern, group)
        assert torch.allclose(ours, vectors, rtol=1e-6, atol=1e-6), (scope, pattern)
        assert mine.keys() == gradients.keys()
        most = max(float(value.abs().max()) for value in gradients.values())
        for weight, value in gradients.items():
            assert torch.allclose(mine[weight], value, rtol=0, atol=1e-6 * most), (scope, pattern, weight)


def test_only_what_is_seen_or_asked_is_run():
    _, inputs, queries = asked("ours")
    positions = torch.div(queries.slots, inputs.shape[2], rounding_mode="floor")
    joined = Joined.of(SlotMeta.of(inputs), positions, Full(), 64)
    assert len(joined.index) == int(inputs.valid.sum()) < 0.6 * inputs.valid.numel()
    assert joined.place[joined.index].tolist() == list(range(len(joined.index)))
    assert joined.segments.sequence.tolist() == torch.div(joined.index, inputs.shape[1], rounding_mode="floor").tolist()
    assert sum(one.rows for one in joined.segments.stretches) == len(LENGTHS)
    _, inputs, queries = asked("ours", "all")
    positions = torch.div(queries.slots, inputs.shape[2], rounding_mode="floor")
    joined = Joined.of(SlotMeta.of(inputs), positions, Full(), 64)
    assert len(joined.index) == int((inputs.valid | (inputs.stream >= 0)).sum())  # the dropped ones are asked


def test_a_row_in_which_nothing_is_valid_is_run_whole():
    _, inputs, _ = asked("ours")
    inputs = replace(inputs, valid=inputs.valid & (torch.arange(len(LENGTHS)) != 1)[:, None])
    joined = Joined.of(SlotMeta.of(inputs), torch.zeros(0, dtype=torch.int64), Full(), 64)
    assert int((joined.segments.sequence == 1).sum()) == inputs.shape[1]


@pytest.mark.parametrize(
    ("spared", "groups"),
    [
        (0, [[9, 9], [8], [3, 3, 3], [1]]),
        (17, [[9, 9, 8], [3, 3, 3, 1]]),  # 81 - 64 pairs of padding; of 9 - 1
        (16, [[9, 9], [8], [3, 3, 3, 1]]),
        (None, [[9, 9, 8, 3, 3, 3, 1]]),
    ],
)
def test_lengths_share_a_call_where_their_padding_costs_less(spared, groups):
    assert _grouped([9, 9, 8, 3, 3, 3, 1], spared) == groups


def test_what_looks_at_positions_as_they_stand_is_refused():
    model, inputs, queries = asked("ours")
    every = torch.zeros(len(LENGTHS), 2, 2, inputs.shape[1], dtype=torch.bool)
    cache = model.backbone.empty_cache(*inputs.shape[:2])
    for features, options, what in (
        ({}, {"taps": ("layer.0",)}, "taps"),
        ({}, {"taps": (AttentionTap(0, (1,)),), "cache": cache}, "taps and a cache"),
        ({HIDDEN_KEYS: every}, {}, "the feature hidden_keys"),
        ({MERGED: inputs.stream}, {}, "the feature merged"),
    ):
        with pytest.raises(ValueError, match=f"joined rows .* got {what}; leave training.records padded"):
            model.backbone(replace(told(inputs), features=told(inputs).features | features), queries, **options)

"""090 Attention sinks: a planted one is found, what is hidden gets nothing, and nothing hidden changes nothing."""

from dataclasses import replace

import pytest
import torch

from tests.sampling.reuse_worlds import filled, model_of, start, world
from tokenmask.analysis.sinks import attention_received, is_sink, sinks_in_steps
from tokenmask.masking import Queries
from tokenmask.models import AttentionTap, Causal
from tokenmask.models.attention_pattern import HIDDEN_KEYS, without_keys
from tokenmask.sampling import HideSinks, NoReuse, Sampler
from tokenmask.sampling.reuse.policy import ReuseStep
from tokenmask.sampling.reuse.sinks import received


def maps_of(model, batch) -> torch.Tensor:
    """float32 [B, layers, H, L, L]."""
    none = torch.zeros(0, dtype=torch.int64)
    taps = [AttentionTap(layer, tuple(range(batch.shape[1])), f"map.{layer}") for layer in range(2)]
    with torch.inference_mode():
        seen = model(batch, Queries(none, none), t=torch.ones(batch.shape[0]), taps=taps).taps
    return torch.stack([seen[tap.name] for tap in taps], 1)


def test_a_planted_sink_is_found_and_nothing_else():
    """20 positions that look at each other evenly, but half of all looks go to position 7."""
    even = torch.full((1, 2, 20, 20), 0.5 / 20)
    even[..., 7] += 0.5
    layout, batch = world()
    inputs = replace(batch, ids=batch.ids[:1, :20], valid=torch.ones(1, 20, dtype=torch.bool))
    got = received({"sinks.0": even}, inputs)
    assert got.shape == (1, 1, 2, 20) and torch.allclose(got[..., 7], torch.tensor(10.5))
    sinks = is_sink(got, inputs.valid)
    assert sinks[0, 0, 0].nonzero().flatten().tolist() == [7]
    assert not is_sink(got, inputs.valid, margin=10.1).any()
    assert not is_sink(got / 20, inputs.valid).any()  # divided by the positions, as written, nothing could be one
    only = torch.arange(20) < 10  # half of the positions are padding: they look at nothing
    assert torch.allclose(received({"sinks.0": even}, replace(inputs, valid=only[None]))[..., 7], torch.tensor(5.25))
    last = received({"sinks.0": even}, inputs, "last")
    assert torch.allclose(last[..., 7], torch.tensor(0.525)) and torch.allclose(last.sum(-1), torch.tensor(1.0))
    assert layout.num_ids > 0


def test_what_keys_get_is_the_sum_of_the_map():
    layout, batch = world()
    model, maps = model_of(layout), None
    maps = maps_of(model, batch)
    got = attention_received(model, batch, torch.ones(3))
    for row in range(3):
        seen = maps[row][:, :, batch.valid[row]].sum(2)
        assert torch.allclose(got[row], seen, atol=1e-5)
        assert torch.allclose(got[row].sum(-1), batch.valid[row].sum().float(), atol=1e-3)  # 1 on average


@pytest.mark.parametrize("pattern", [None, Causal()])
def test_hidden_keys_get_nothing_and_rows_add_up_to_one(pattern):
    layout, batch = world()
    model = model_of(layout, pattern)
    hidden = torch.rand(3, 2, 2, batch.shape[1], generator=torch.Generator().manual_seed(0)) < 0.3
    maps = maps_of(model, replace(batch, features={HIDDEN_KEYS: hidden}))
    assert torch.allclose(maps.sum(-1), torch.ones(()), atol=1e-5)
    alone = torch.eye(batch.shape[1], dtype=torch.bool)  # what sees nothing else sees itself
    assert float(maps.masked_select(hidden[..., None, :] & ~alone).abs().max()) == 0
    plain = maps_of(model, batch)
    assert not torch.allclose(maps, plain) and torch.equal(
        maps_of(model, replace(batch, features={HIDDEN_KEYS: torch.zeros_like(hidden)})), plain
    )


def test_a_position_that_sees_nothing_sees_itself():
    hidden = torch.tensor([[[True, True, False]], [[True, True, True]]])
    assert without_keys(None, hidden)[0, 0].tolist() == [[False, False, True]] * 3
    assert without_keys(None, hidden)[1, 0].tolist() == torch.eye(3, dtype=torch.bool).tolist()


def test_the_strongest_keys_of_the_step_before_are_hidden():
    layout, batch = world()
    model, state = model_of(layout), start(batch, layout)
    slots = state.is_open.flatten().nonzero().squeeze(1)
    queries = Queries(slots, layout.head_of(state.batch.ids.flatten()[slots]))
    step = ReuseStep(state.batch, queries, torch.ones(3))
    with torch.inference_mode():
        for count in (1, 3):
            first = HideSinks(count).score(model, step, None)
            got = attention_received(model, state.batch, torch.ones(3)).masked_fill(~batch.valid[:, None, None], -1.0)
            best = got.topk(count, dim=-1).indices
            assert torch.equal(first.cache.hidden.sum(-1), torch.full((3, 2, 2), count))
            assert first.cache.hidden.gather(-1, best).all()
            plain = NoReuse().score(model, step, None)
            assert all(torch.equal(a.logits, b.logits) for a, b in zip(first.groups, plain.groups, strict=True))
            second = HideSinks(count).score(model, step, first.cache)
            features = {HIDDEN_KEYS: first.cache.hidden}
            other = model.logits(replace(state.batch, features=features), queries, t=torch.ones(3))
            assert all(torch.equal(a.logits, b.logits) for a, b in zip(second.groups, other, strict=True))
            assert not torch.allclose(second.groups[0].logits, plain.groups[0].logits)


def test_nothing_hidden_is_the_model_as_it_is():
    layout, batch = world()
    model = model_of(layout)
    plain, none, one = (
        filled(Sampler(6, reuse=reuse), model, batch) for reuse in (NoReuse(), HideSinks(0), HideSinks())
    )
    assert torch.equal(plain.batch.ids, none.batch.ids) and torch.equal(plain.score, none.score)
    assert not torch.equal(plain.score, one.score) and one.counters["forward_passes"] == 6


def test_sinks_are_followed_from_step_to_step():
    layout, batch = world()
    found = sinks_in_steps(model_of(layout), layout, Sampler(4), start(batch, layout), margin=0.5)
    assert [step.index for step in found] == [0, 1, 2, 3] and found[0].moved is None
    assert all(step.strongest >= 1 and step.sinks > 0 and 0 <= step.hidden <= 1 for step in found)
    assert all(0 <= step.moved <= 1 for step in found[1:])
    assert sinks_in_steps(model_of(layout), layout, Sampler(1), start(batch, layout), margin=99.0)[0].hidden is None

"""Layers against formulas written plainly, forward and back."""

import math

import pytest
import torch
import torch.nn.functional as F

from tokenmask.nn import (
    EMA,
    Attention,
    Linear,
    Modulation,
    RMSNorm,
    Rotary,
    SwiGLU,
    TimeFeatures,
    build,
    pad_rows,
    rotate,
)
from tokenmask.nn.rotary import split_pairs


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float32)


def same_forward_and_gradient(ours, plain, inputs):
    inputs = [value.requires_grad_() for value in inputs]
    a, b = ours(*inputs), plain(*inputs)
    torch.testing.assert_close(a, b, atol=1e-6, rtol=1e-5)
    grad = random(*a.shape, seed=9)
    for one, two in zip(torch.autograd.grad(a, inputs, grad), torch.autograd.grad(b, inputs, grad), strict=True):
        torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("shape", [(7, 64), (2, 3, 4, 32), (1, 1)])
def test_rms_norm(shape):
    norm = build(lambda: RMSNorm(shape[-1], eps=1e-3), 0)
    assert norm.weight.eq(1).all()

    def ours(x, weight):
        return torch.func.functional_call(norm, {"weight": weight}, x)

    def plain(x, weight):
        return x / (x.square().mean(-1, keepdim=True) + 1e-3).sqrt() * weight

    same_forward_and_gradient(ours, plain, [random(*shape), random(shape[-1], seed=1)])


def test_rms_norm_of_other_dtypes():
    norm = build(lambda: RMSNorm(64), 0)
    x = random(5, 64)
    assert norm(x.bfloat16()).dtype == torch.bfloat16
    torch.testing.assert_close(norm(x.double()), norm(x).double(), atol=1e-6, rtol=1e-5)


def test_swiglu():
    layer = build(lambda: SwiGLU(64, 4.0), 0)
    assert layer.down.in_features == 192 and layer.gate_up.out_features == 384

    def plain(x):
        gate, up = (x @ layer.gate_up.weight.T).split(192, -1)
        return (F.silu(gate) * up) @ layer.down.weight.T

    same_forward_and_gradient(layer, plain, [random(3, 5, 64) * 5])
    assert layer(torch.full((1, 64), 1e4)).isfinite().all()


def test_rotate_turns_each_pair_by_its_angle():
    rotary = build(lambda: Rotary(16, (0.5, 0.25, 0.25), base=100.0), 0)
    assert rotary.axis_of_pair.tolist() == [0, 0, 0, 0, 1, 1, 2, 2]
    torch.testing.assert_close(rotary.rates, torch.tensor([1, 100**-0.25, 100**-0.5, 100**-0.75, 1, 0.1, 1, 0.1]))
    place = torch.tensor([[[3, 5, 7]]], dtype=torch.int32)
    cos, sin = rotary(place)
    x = random(1, 1, 16)
    turned = rotate(x, cos, sin)
    for pair in range(8):
        angle = place[0, 0, rotary.axis_of_pair[pair]].item() * rotary.rates[pair].item()
        a, b = x[0, 0, pair].item(), x[0, 0, pair + 8].item()
        assert turned[0, 0, pair].item() == pytest.approx(a * math.cos(angle) - b * math.sin(angle), abs=1e-5)
        assert turned[0, 0, pair + 8].item() == pytest.approx(b * math.cos(angle) + a * math.sin(angle), abs=1e-5)


def test_rotary_products_depend_on_differences_only():
    rotary = build(lambda: Rotary(32, (1, 1, 1)), 0)
    query, key = random(1, 1, 32), random(1, 1, 32, seed=1)

    def product(one, two):
        places = [torch.tensor([[place]], dtype=torch.int32) for place in (one, two)]
        return (rotate(query, *rotary(places[0])) * rotate(key, *rotary(places[1]))).sum()

    torch.testing.assert_close(product((1, 2, 3), (4, 0, 9)), product((11, 22, 33), (14, 20, 39)), atol=1e-4, rtol=1e-4)
    assert not torch.allclose(product((1, 2, 3), (4, 0, 9)), product((1, 2, 3), (4, 1, 9)), atol=1e-3)


def test_gradient_of_a_rotation():
    rotary = build(lambda: Rotary(8, (1, 1)), 0)
    cos, sin = rotary(torch.tensor([[[1, 2], [3, 4], [5, 6]]], dtype=torch.int32))

    def plain(x):
        first, second = x.chunk(2, -1)
        return x * cos + torch.cat([second, first], -1) * sin

    same_forward_and_gradient(lambda x: rotate(x, cos, sin), plain, [random(2, 3, 8)])


def test_pairs_are_shared_out_whole():
    assert split_pairs(16, (0.5, 0.25, 0.25)) == [8, 4, 4]
    assert split_pairs(32, (1, 1, 1)) == [11, 11, 10]
    assert split_pairs(8, (1, 0, 0)) == [8, 0, 0]
    for shares in ((), (0, 0), (1, -1)):
        with pytest.raises(ValueError, match="rotary shares must not be negative"):
            split_pairs(8, shares)
    with pytest.raises(ValueError, match="even number of components, got 7"):
        Rotary(7, (1,))


def test_attention_is_softmax_of_normalised_products():
    layer = build(lambda: Attention(64, 2), 0)
    mask = torch.rand(2, 1, 5, 5, generator=torch.Generator().manual_seed(0)) < 0.6
    mask |= torch.eye(5, dtype=torch.bool)

    def plain(x):
        query, key, value = (x @ layer.qkv.weight.T).unflatten(-1, (3, 2, 32)).permute(2, 0, 3, 1, 4)
        query, key = F.rms_norm(query, (32,), eps=1e-6), F.rms_norm(key, (32,), eps=1e-6)
        scores = (query @ key.mT / math.sqrt(32)).masked_fill(~mask, -torch.inf)
        return (scores.softmax(-1) @ value).transpose(1, 2).flatten(2) @ layer.out.weight.T

    same_forward_and_gradient(lambda x: layer(x, None, mask), plain, [random(2, 5, 64)])
    torch.testing.assert_close(
        layer(random(2, 5, 64), None, mask),
        layer(random(2, 5, 64), None, torch.zeros(2, 1, 5, 5).masked_fill(~mask, -torch.inf)),
    )
    with pytest.raises(ValueError, match="multiple of the number of heads, got 64 and 5"):
        Attention(64, 5)


def test_modulation_starts_at_zero_and_time_tells_times_apart():
    time, modulation = build(lambda: TimeFeatures(64), 0), build(lambda: Modulation(64, 3), 0)
    features = time(torch.tensor([0.0, 0.5, 1.0]))
    assert features.shape == (16, 64) and time(torch.zeros(20)).shape == (20, 64)
    assert torch.pdist(features[:3]).min() > 0.01
    parts = modulation(features, 3)
    assert [part.shape for part in parts] == [(3, 1, 64)] * 3 and all(part.eq(0).all() for part in parts)


def test_pad_rows():
    x = random(3, 2, 4)
    assert pad_rows(x, 5).shape == (5, 2, 4) and pad_rows(x, 5)[3:].eq(0).all() and torch.equal(pad_rows(x, 5)[:3], x)
    assert pad_rows(x, 2) is x and pad_rows(torch.ones(3)).shape == (16,)


def test_ema():
    layer = torch.nn.Linear(2, 1, bias=False, device="meta").to_empty(device="cpu")
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0]]))
    ema, warm = EMA(layer, 0.9, warm_up=False), EMA(layer, 0.9)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[2.0, 4.0]]))
    ema.update(layer)
    warm.update(layer)
    torch.testing.assert_close(ema.means["weight"], torch.tensor([[1.1, 2.2]]))
    torch.testing.assert_close(warm.means["weight"], torch.tensor([[1.9, 3.8]]))  # decay 1 / 10 at the first update
    warm.update(layer)  # decay 2 / 11 at the second
    torch.testing.assert_close(warm.means["weight"], torch.tensor([[2 - 0.1 * 2 / 11, 4 - 0.2 * 2 / 11]]))
    with pytest.raises(ValueError, match=r"decay lies in 0\.\.1, got 2"):
        EMA(layer, 2)


def test_products_of_sequences_have_whole_blocks_of_rows(monkeypatch):
    """Where nothing is learned a product of [B, L, inputs] is of a multiple of 64 rows, and the rest is cut off."""
    layer, seen, plain = build(lambda: Linear(600, 8), 0), [], F.linear
    monkeypatch.setattr(F, "linear", lambda x, *more: seen.append(tuple(x.shape)) or plain(x, *more))
    x = random(3, 48, 600)
    with torch.no_grad():
        found = layer(x)
        assert seen == [(192, 512)]  # the first 512 of 600; the others are added
        assert torch.equal(found[1], layer(x[1:2])[0]) and seen[1:] == [(64, 512)]
        assert torch.equal(layer(x.flatten(0, 1)).view(3, 48, 8), found) and seen[2:] == [(144, 512)]
    assert layer(x).requires_grad and seen[3:] == [(3, 48, 600)]
    torch.testing.assert_close(found, plain(x, layer.weight, layer.bias), atol=1e-5, rtol=1e-5)


def test_layers_that_do_not_learn_give_what_they_give_in_training():
    """Norms and gates to rounding, for learning has kernels of its own; a rotation bit for bit."""
    norm, layer, rotary = (
        build(lambda: RMSNorm(32), 0),
        build(lambda: SwiGLU(64), 1),
        build(lambda: Rotary(16, (1.0,)), 0),
    )
    x, turn = random(2, 32, 32), rotary(torch.arange(5, dtype=torch.int32).view(1, 5, 1))
    wide, heads = random(1, 64, 64, seed=1), random(1, 5, 16, seed=2)
    with torch.no_grad():
        still = norm(x), layer(wide), rotate(heads, *turn)
    learning = norm(x), layer(wide), rotate(heads.requires_grad_(), *turn)
    for one, other in zip(still, learning, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-6, atol=1e-6)
    assert torch.equal(still[2], learning[2])
    assert all(one.requires_grad for one in learning) and not any(one.requires_grad for one in still)

"""Weights depend on the seed alone, and nothing else is touched."""

import copy

import pytest
import torch
from torch import Tensor, nn

from tokenmask.nn import build


def every_layer() -> nn.Module:
    return nn.Sequential(
        nn.Linear(8, 4),
        nn.Conv1d(4, 6, 3),
        nn.ConvTranspose2d(6, 5, 3),
        nn.Embedding(7, 3, padding_idx=0),
        nn.LayerNorm(5),
        nn.RMSNorm(5),
        nn.GroupNorm(2, 4),
        nn.BatchNorm1d(4),
        nn.LSTM(3, 5),
        nn.SiLU(),
    )


class Own(nn.Module):
    def __init__(self, forget: bool = False) -> None:
        super().__init__()
        self.inner = nn.Linear(3, 3)
        self.scale = nn.Parameter(torch.empty(3))
        self.register_buffer("frequencies", torch.empty(2))
        self.frequencies: Tensor
        self.forget = forget

    def initialise(self, generator: torch.Generator) -> None:
        self.scale.normal_(generator=generator)
        self.inner.weight.zero_()
        if not self.forget:
            self.frequencies.copy_(torch.tensor([1.0, 2.0]))


def test_same_seed_same_weights_and_the_global_generator_is_untouched():
    before = torch.random.get_rng_state()
    one, two, other = build(every_layer, 3), build(every_layer, 3), build(every_layer, 4)
    assert torch.equal(before, torch.random.get_rng_state())
    states = (one.state_dict().items(), two.state_dict().values(), other.state_dict().values())
    for (name, a), b, c in zip(*states, strict=True):
        assert torch.equal(a, b) and a.device.type == "cpu", name
        assert not (a.is_floating_point() and a.dim() > 1 and torch.equal(a, c)), name
    with torch.random.fork_rng():
        torch.manual_seed(99)
        later = build(every_layer, 3)
    assert all(torch.equal(a, b) for a, b in zip(one.state_dict().values(), later.state_dict().values(), strict=True))


def test_the_laws_are_those_of_torch():
    ours = build(lambda: nn.Sequential(nn.Linear(64, 512), nn.Conv2d(16, 256, 3), nn.Embedding(300, 64)), 0)
    theirs = copy.deepcopy(ours)
    with torch.random.fork_rng():
        for layer in theirs:
            layer.reset_parameters()
    for a, b in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert abs(a.std() / b.std() - 1) < 0.1
        assert abs(a.abs().max() / b.abs().max() - 1) < 0.25


def test_norms_and_padding():
    layers = build(every_layer, 0)
    assert layers[3].weight[0].eq(0).all() and layers[3].weight[1:].ne(0).all()
    assert layers[7].running_var.eq(1).all() and layers[7].running_mean.eq(0).all() and layers[4].weight.eq(1).all()
    assert layers[7].num_batches_tracked == 0


def test_a_module_may_fill_itself_and_its_children():
    module = build(Own, 0)
    assert module.inner.weight.eq(0).all() and module.inner.bias.ne(0).all()
    assert module.frequencies.tolist() == [1.0, 2.0]


def test_refusals_name_the_parameter():
    class Lost(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.gain = nn.Parameter(torch.empty(2))

    class Shared(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Linear(2, 2), nn.Linear(2, 2)
            self.two.weight = self.one.weight

    with pytest.raises(ValueError, match=r"'1\.gain' of Lost"):
        build(lambda: nn.Sequential(nn.Linear(1, 1), Lost()), 0)
    with pytest.raises(ValueError, match="'frequencies' was left out"):
        build(lambda: Own(forget=True), 0)
    with pytest.raises(ValueError, match=r"'two\.weight' is also 'one\.weight'"):
        build(Shared, 0)

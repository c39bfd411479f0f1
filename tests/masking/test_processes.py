"""Masking processes: ends, direction, one golden value each, and derivatives that are derivatives."""

import math

import pytest
import torch

from tokenmask.masking import Arccos, Cosine, Exponential, Linear, Logarithmic, Polynomial, Power

ALL = [Linear(), Cosine(), Power(2.0), Power(3.0), Polynomial(2.0), Arccos(), Exponential(256), Logarithmic(256)]


@pytest.mark.parametrize("process", ALL, ids=repr)
def test_hides_nothing_at_0_and_everything_at_1_and_never_less_later(process):
    t = torch.linspace(0, 1, 101, dtype=torch.float64)
    hidden = process.hidden(t)
    assert abs(float(hidden[0])) < 1e-12 and abs(float(hidden[-1]) - 1) < 1e-12
    assert (hidden.diff() >= 0).all()
    assert process.share(0.25) == pytest.approx(float(hidden[25]), abs=1e-12)


@pytest.mark.parametrize(
    ("process", "middle"),
    [
        (Linear(), 0.5),
        (Cosine(), 1 / math.sqrt(2)),  # cos(pi / 4): only the middle tells a cosine from its relatives
        (Power(2.0), 0.75),
        (Polynomial(2.0), 0.25),
        (Arccos(), 2 / 3),
        (Exponential(256), (1 - 1 / 16) / (1 - 1 / 256)),
        (Logarithmic(256), 1 / 8),
    ],
    ids=repr,
)
def test_golden_value_at_one_half(process, middle):
    assert process.share(0.5) == pytest.approx(middle, abs=1e-12)


@pytest.mark.parametrize("process", ALL, ids=repr)
def test_derivative_and_weight(process):
    t = torch.linspace(0.05, 0.95, 19, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(process.hidden(t).sum(), t)
    assert torch.allclose(process.hidden_prime(t), slope, rtol=1e-9, atol=1e-12)
    assert torch.allclose(process.weight(t), -process.alpha_prime(t) / (1 - process.alpha(t)))


def test_weights_of_the_papers():
    t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    assert torch.allclose(Linear().weight(t), 1 / t)
    assert torch.allclose(Polynomial(3.0).weight(t), 3 / t)
    assert torch.allclose(Cosine().weight(t), (math.pi / 2) / torch.tan(math.pi * t / 2))

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


def test_a_time_for_each_share():
    """The time at which half is hidden, and back again."""
    halves = {
        Linear(): 1 / 2,
        Cosine(): 1 / 3,
        Power(2.0): 1 - math.sqrt(1 / 2),
        Polynomial(2.0): math.sqrt(1 / 2),
        Arccos(): 1 - math.cos(math.pi / 4),
        Exponential(4): math.log(8 / 5, 4),  # 1 - 4^-t = 3/8
        Logarithmic(4): 1 / 2,  # 1 - t = 4^-1/2
    }
    for process, t in halves.items():
        assert process.time(torch.tensor([0.5])).tolist() == pytest.approx([t], abs=1e-6), process


def test_the_logarithmic_law_ends_before_1():
    """With 4 slots everything is hidden from t = 3/4 on, where a quarter of a slot is left."""
    t = torch.tensor([0.5, 0.74, 0.76, 1.0], dtype=torch.float64)
    assert Logarithmic(4).hidden(t).tolist() == pytest.approx([0.5, math.log(0.26, 0.25), 1.0, 1.0])
    slopes = [1 / (0.5 * math.log(4)), 1 / (0.26 * math.log(4)), 0.0, 0.0]
    assert Logarithmic(4).hidden_prime(t).tolist() == pytest.approx(slopes)


def test_settings_where_none_are_given():
    assert (Power(), Polynomial(), Exponential(), Logarithmic()) == (
        Power(2.0),
        Polynomial(2.0),
        Exponential(256),
        Logarithmic(256),
    )


def test_weights_of_the_papers():
    t = torch.tensor([0.1, 0.5, 0.9], dtype=torch.float64)
    assert torch.allclose(Linear().weight(t), 1 / t)
    assert torch.allclose(Polynomial(3.0).weight(t), 3 / t)
    assert torch.allclose(Cosine().weight(t), (math.pi / 2) / torch.tan(math.pi * t / 2))

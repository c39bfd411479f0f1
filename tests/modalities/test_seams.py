"""Seams: kept samples stay, the rest fades in, nothing jumps."""

import math

import pytest
import torch

from tokenmask.modalities.seams import crossfaded, nearness, smoothed


def test_nearness_falls_along_half_a_cosine():
    keep = torch.tensor([True, False, False, False, False, False, False, True])
    expected = [(1 + math.cos(math.pi * min(d, 4) / 4)) / 2 for d in (0, 1, 2, 3, 3, 2, 1, 0)]
    torch.testing.assert_close(nearness(keep, 4), torch.tensor(expected, dtype=torch.float64))


@pytest.mark.parametrize("kept", [0, 3])
def test_ends_without_a_neighbour_are_far(kept):
    keep = torch.zeros(10, dtype=torch.bool)
    keep[:kept] = True
    far = nearness(keep, 4)[kept + 4 :]
    assert bool((far == 0).all())


def test_kept_samples_are_bit_identical_and_steps_are_small():
    generator = torch.Generator().manual_seed(0)
    source = torch.randn(2, 400, generator=generator).cumsum(-1) * 0.01
    made = source + 1.0
    keep = torch.ones(2, 400, dtype=torch.bool)
    keep[0, 100:300] = False
    mixed = crossfaded(made, source, keep, 50)
    assert torch.equal(mixed[keep], source[keep]) and torch.equal(mixed[1], source[1])
    torch.testing.assert_close(mixed[0, 150:250], made[0, 150:250])
    assert float(mixed.diff().abs().max()) < 0.1 < float(torch.where(keep, source, made).diff().abs().max())


def test_smoothing_keeps_constants_and_spreads_a_pulse():
    torch.testing.assert_close(smoothed(torch.full((9, 2), 3.0), 1.5), torch.full((9, 2), 3.0))
    pulse = torch.zeros(41, 1)
    pulse[20] = 1.0
    spread = smoothed(pulse, 2.0)[:, 0]
    places = torch.arange(41) - 20.0
    assert abs(float(spread.sum()) - 1) < 1e-6
    assert abs(float((spread * places**2).sum()) - 4.0) < 0.15  # the variance, of a Gaussian cut at three deviations

"""Seams: kept samples stay, the rest fades in, nothing jumps."""

import math

import numpy as np
import pytest
import torch

from tokenmask.modalities.seams import bridged, crossfaded, nearness, smoothed


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


def test_smoothing_by_hand():
    """Weights at distances 0 to 3 of a Gaussian of deviation 1: 1, e^-1/2, e^-2, e^-9/2, over their sum."""
    weights = [math.exp(-0.5 * distance**2) for distance in range(4)]
    total = weights[0] + 2 * sum(weights[1:])
    step = torch.tensor([0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0])
    far = (weights[3], sum(weights[2:]), sum(weights[1:]))
    rises = [0.0, *(one / total for one in far), *(1 - one / total for one in reversed(far)), 1.0]
    assert smoothed(step, 1.0).tolist() == pytest.approx(rises, abs=1e-6)
    assert smoothed(torch.tensor([[2.0, 5.0]]), 1.0).tolist() == [[pytest.approx(2.0), pytest.approx(5.0)]]


def test_a_fade_by_hand():
    keep = torch.tensor([True, False, False, False, False])
    share = [1.0, (1 + math.cos(math.pi / 3)) / 2, (1 + math.cos(2 * math.pi / 3)) / 2, 0.0, 0.0]  # 1, .75, .25, 0, 0
    mixed = crossfaded(torch.full((5,), 10.0), torch.full((5,), 2.0), keep, 3)
    assert mixed.tolist() == pytest.approx([10 - 8 * one for one in share])
    assert nearness(keep, 0).tolist() == [1, 0, 0, 0, 0]  # no reach: what is made begins at once
    assert nearness(keep.flip(0)[None].expand(2, 5), 3)[1].tolist() == pytest.approx(share[::-1])


def column(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


def test_a_bridge_sets_out_from_what_is_kept():
    """One value between two pairs that lie on a line of slope 1; (1, -2, 1) reads it three times: 1 + 4 + 1 = 6."""
    for frames, made in ((1.0, 9.0), (2.0, -3.0)):
        pull = frames**-4
        wanted = (pull * made + 6 * 3.0) / (pull + 6)
        found = bridged(column(made), column(1.0, 2.0), column(4.0, 5.0), frames)
        assert found.tolist() == [[pytest.approx(wanted)]]


def test_a_bridge_bends_no_line_and_forgets_its_ends():
    line = torch.arange(3.0, 40.0, dtype=torch.float64)[:, None]
    assert torch.allclose(bridged(line, column(1.0, 2.0), column(40.0, 41.0), 2.0), line)
    assert torch.allclose(bridged(line, line[:0], line[:0], 2.0), line)  # nothing to set out from or to arrive at
    assert torch.allclose(bridged(column(5.0), line[:0], line[:0], 2.0), column(5.0))
    lifted = bridged(line + 7.0, column(1.0, 2.0), line[:0], 2.0) - line
    assert 0.0 < float(lifted[0]) < 3.5  # near what is kept
    assert torch.allclose(lifted[20:], torch.full((17, 1), 7.0, dtype=torch.float64), atol=0.01)


def test_long_bridges_are_those_of_one_system() -> None:
    """Of 700 steps, by the normal equations of all of them at once, in numpy."""
    draw, count, frames = np.random.default_rng(0), 700, 2.0
    made, before, after = draw.standard_normal((count, 2)).cumsum(0), draw.standard_normal((2, 2)), np.ones((2, 2))
    for start, end in ((before, after), (before[:0], after), (before, after[:1]), (before[:0], after[:0])):
        size = len(start) + count + len(end)
        second = np.diff(np.eye(size), n=2, axis=0)
        inner, known = second[:, len(start) : len(start) + count], np.concatenate([start, np.zeros((count, 2)), end])
        pull = frames**-4
        wanted = np.linalg.solve(inner.T @ inner + pull * np.eye(count), pull * made - inner.T @ (second @ known))
        found = bridged(*(torch.from_numpy(one) for one in (made, start, end)), frames)
        assert np.abs(found.numpy() - wanted).max() < 1e-9

"""Distances, intervals and probes: against closed forms, and with the coverage that they claim."""

import numpy as np
import pytest

from tokenmask.analysis import ClassProbe, diversity, frechet_distance
from tokenmask.analysis.distances import dimensions_for, diversity_interval, frechet_interval
from tokenmask.analysis.intervals import error_interval, generator, mean_interval, percentile_interval, share_interval


def test_the_frechet_distance_of_known_gaussians():
    """Sets made to have exactly these moments: |m|^2 + sum (s1 - s2)^2 where the axes are shared."""
    rng = generator(0)
    raw = rng.normal(size=(200, 3))
    raw -= raw.mean(0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw, rowvar=False)).T)
    one, other = white * [1.0, 2.0, 3.0], white * [2.0, 2.0, 0.5] + [3.0, 0.0, -4.0]
    assert frechet_distance(one, other) == pytest.approx(25 + 1 + 0 + 6.25)
    assert frechet_distance(one, one) == pytest.approx(0, abs=1e-9)
    turn = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    assert frechet_distance(one @ turn, other @ turn) == pytest.approx(32.25)
    assert frechet_distance(other, one) == pytest.approx(frechet_distance(one, other))


def test_the_frechet_distance_of_covariances_that_do_not_commute():
    """Against the matrix square root by its definition, from the eigenvalues of the product itself."""
    rng = generator(1)
    one, other = rng.normal(size=(50, 4)) @ rng.normal(size=(4, 4)), rng.normal(size=(60, 4)) @ rng.normal(size=(4, 4))
    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    roots = np.sqrt(np.linalg.eigvals(first @ second).astype(complex)).real.sum()
    gap = one.mean(0) - other.mean(0)
    wanted = gap @ gap + np.trace(first) + np.trace(second) - 2 * roots
    assert frechet_distance(one, other) == pytest.approx(wanted)
    assert frechet_distance(one[:, :1], other[:, :1]) == pytest.approx(
        gap[0] ** 2 + (np.sqrt(first[0, 0]) - np.sqrt(second[0, 0])) ** 2
    )


def test_frechet_intervals_hold_the_value_and_shrink():
    rng = generator(2)
    one, other = rng.normal(size=(400, 4)), rng.normal(size=(400, 4)) + 1
    wide = frechet_interval(one[:40], other[:40], generator(3))
    narrow = frechet_interval(one, other, generator(3))
    assert narrow[0] < frechet_distance(one, other) < narrow[1]
    assert narrow[1] - narrow[0] < 0.5 * (wide[1] - wide[0])
    assert frechet_interval(one, other, generator(3)) == narrow


def test_dimensions_leave_four_items_each():
    assert dimensions_for(64, 98) == 16 and dimensions_for(16, 98) == 4 and dimensions_for(3) == 1


def test_diversity_is_the_mean_distance_of_pairs():
    items = np.array([[0.0, 0.0], [3.0, 4.0], [0.0, 0.0]])
    assert diversity(items) == pytest.approx(2 / 3 * 5)
    rng = generator(4)
    many = rng.normal(size=(60, 5))
    low, high = diversity_interval(many, generator(5))
    assert low < diversity(many) < high
    assert diversity_interval(many[:1], generator(5)) is None


def test_intervals_cover_as_often_as_they_say():
    covered = 0
    for number in range(100):
        rng = generator(6, number)
        low, high = mean_interval(rng.normal(size=40), rng)
        covered += low < 0 < high
    assert 0.88 < covered / 100 < 0.99


def test_intervals_of_hardly_anything():
    rng = generator(7)
    assert (
        percentile_interval(lambda chosen: 0.0, 1, rng) is None and error_interval(1.0, lambda c: 0.0, 1, rng) is None
    )
    assert error_interval(0.1, lambda chosen: float(chosen.sum()), 9, rng)[0] == 0.0


def test_intervals_of_shares():
    """Wilson's own example of agreement: 0 of 10 may still be a quarter, and shares are bounded."""
    assert share_interval(np.zeros(10)) == pytest.approx((0, 0.2775), abs=1e-4)
    assert share_interval(np.ones(10)) == pytest.approx((0.7225, 1), abs=1e-4)
    assert share_interval(np.array([1.0] * 8 + [0.0] * 2)) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert share_interval(np.ones(1)) is None


def test_a_probe_sees_classes_that_are_there_and_no_others():
    rng = generator(8)
    centres = rng.normal(size=(4, 30))
    labels = [f"class {at % 4}" for at in range(120)]
    features = np.stack([centres[at % 4] + 0.5 * rng.normal(size=30) for at in range(120)])
    probe = ClassProbe.fit(features[:60], labels[:60])
    assert probe.right(features[60:], labels[60:]).mean() > 0.95
    noise = rng.normal(size=(240, 30))
    names = [f"class {at % 4}" for at in range(240)]
    assert ClassProbe.fit(noise[:60], names[:60]).right(noise[60:], names[60:]).mean() < 0.4


def test_a_rare_class_is_not_drowned():
    rng = generator(9)
    labels = ["common"] * 95 + ["rare"] * 5
    features = rng.normal(size=(100, 3)) + np.array([[0.0, 0, 0]] * 95 + [[6.0, 0, 0]] * 5)
    probe = ClassProbe.fit(features, labels)
    assert probe(np.array([[6.0, 0, 0], [0.0, 0, 0]])) == ["rare", "common"]


def test_a_probe_needs_two_classes():
    with pytest.raises(ValueError, match="2 classes, got 3 labels of 1 classes for 3 items"):
        ClassProbe.fit(np.zeros((3, 2)), ["a", "a", "a"])

"""k-means by hand: three numbers in two clusters, the nearer of two centroids, fewer vectors than clusters."""

from __future__ import annotations

import pytest
import torch

from tokenmask.fitting import step_generator
from tokenmask.modalities.quantizers.kmeans import kmeans, nearest


def test_the_nearer_of_two() -> None:
    centroids = torch.tensor([[1.0], [2.0]])
    assert nearest(torch.tensor([[1.4], [1.6], [1.5], [-9.0]]), centroids).tolist() == [0, 1, 0, 0]
    assert nearest(torch.zeros(0, 1), centroids).tolist() == []


@pytest.mark.parametrize("seed", range(6))
def test_three_numbers_in_two_clusters(seed: int) -> None:
    """From any two of them as starts: 0 and 1 are together, 100 is alone."""
    vectors = torch.tensor([[0.0], [1.0], [100.0]])
    centroids, counts = kmeans(vectors, 2, rounds=3, generator=step_generator(seed, 0))
    assert sorted(zip(centroids.flatten().tolist(), counts.tolist(), strict=True)) == [(0.5, 2.0), (100.0, 1.0)]


def test_a_cluster_without_vectors_stands_at_one_of_them() -> None:
    centroids, counts = kmeans(torch.tensor([[3.0, 4.0]]), 3, generator=step_generator(0, 0))
    assert centroids.tolist() == [[3.0, 4.0]] * 3 and counts.tolist() == [1.0, 0.0, 0.0]
    with pytest.raises(ValueError, match="kmeans needs at least one vector, got none"):
        kmeans(torch.zeros(0, 2), 3, generator=step_generator(0, 0))

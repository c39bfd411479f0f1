"""k-means: where codebooks start.

Does not know: media, encoders, streams.
"""

from __future__ import annotations

import torch
from torch import Tensor

_TOGETHER = 1 << 22  # distances held at once


@torch.no_grad()
def kmeans(vectors: Tensor, clusters: int, *, rounds: int = 8, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Lloyd's rounds from randomly drawn vectors; a cluster that loses all its vectors starts again at a random one.

    Args:
        vectors: float32 [N, width]; fewer than ``clusters`` are drawn with repetition.
        clusters: number of centroids.
        rounds: of assignment and averaging; 4 to 8 are enough for a codebook that goes on learning.
        generator: draws the starts.

    Returns:
        (centroids float32 [clusters, width]; how many vectors each holds, float32 [clusters]).

    Source: S. Lloyd, Least squares quantization in PCM, 1982.
    """
    if not len(vectors):
        raise ValueError("kmeans needs at least one vector, got none")
    centroids = vectors[_drawn(len(vectors), clusters, generator).to(vectors.device)]
    counts = vectors.new_zeros(clusters)
    for _ in range(rounds):
        codes = nearest(vectors, centroids)
        counts = torch.bincount(codes, minlength=clusters).to(vectors.dtype)
        total = torch.zeros_like(centroids).index_add_(0, codes, vectors)
        empty = counts == 0
        again = vectors[_drawn(len(vectors), clusters, generator).to(vectors.device)]
        centroids = torch.where(empty[:, None], again, total / counts.clamp_min(1)[:, None])
    return centroids, counts


def nearest(vectors: Tensor, centroids: Tensor) -> Tensor:
    """Index of the nearest centroid by Euclidean distance, the lower one of equals; [N, w], [K, w] -> int64 [N]."""
    lengths = centroids.square().sum(1)
    size = max(1, _TOGETHER // len(centroids))
    return torch.cat([(lengths - 2 * (part @ centroids.T)).argmin(1) for part in torch.split(vectors, size)])


def _drawn(count: int, wanted: int, generator: torch.Generator) -> Tensor:
    return torch.randperm(count, generator=generator)[torch.arange(wanted) % count]

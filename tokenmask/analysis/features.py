"""Feature spaces of streams: what distances between sets of them are measured in.

Arrow: TokenStream --FeatureSpace--> numbers. Does not know: media, models, how streams were made.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tokenmask.streams import TokenStream
from tokenmask.tokenizer import GivesVectors, Tokenizer

CELLS = 4  # along each axis
MOST_DIMENSIONS = 16


@dataclass(frozen=True, eq=False)
class FeatureSpace:
    """Pooled codebook vectors of a tokenizer, standardised and rotated to the principal axes of training streams.

    A stream becomes the means of its quantised latents over a grid of 4 cells along each axis, and their deviation over
    the whole stream; one whose tokenizer has no latents (text) becomes the square roots of the shares of its codes.
    Both sides of a distance are codes, so it judges the model and not the tokenizer; runs that share the tokenizer and
    the training streams can be compared.

    Args:
        tokenizer: of the streams.
        centre, scale: float64 [D], mean of training streams and what they are divided by: the total variance is 1.
        axes: float64 [D, most], principal axes of the standardised training streams.
    """

    tokenizer: Tokenizer
    centre: np.ndarray
    scale: np.ndarray
    axes: np.ndarray

    @classmethod
    def fit(cls, tokenizer: Tokenizer, streams: Sequence[TokenStream]) -> FeatureSpace:
        """From training streams, two at least.

        Raises:
            ValueError: fewer.
        """
        if len(streams) < 2:
            raise ValueError(
                f"a feature space needs 2 training streams at least, got {len(streams)}; give more of the training part"
            )
        raw = np.stack([_pooled(tokenizer, stream) for stream in streams])
        centre, deviation = raw.mean(0), raw.std(0)
        if isinstance(tokenizer, GivesVectors):
            alive = deviation > 1e-6 * max(float(deviation.max()), 1e-12)
            scale = np.where(alive, deviation, np.inf) * np.sqrt(max(int(alive.sum()), 1))
        else:  # rare codes would outweigh all others if every share had the same variance
            scale = np.full_like(deviation, max(float(np.sqrt((deviation**2).sum())), 1e-12))
        whole = (raw - centre) / scale
        _, _, axes = np.linalg.svd(whole, full_matrices=False)
        return cls(tokenizer, centre, scale, axes[:MOST_DIMENSIONS].T)

    @property
    def name(self) -> str:
        """What it is, in words."""
        if isinstance(self.tokenizer, GivesVectors):
            return "codebook vectors, means in 4 cells an axis and deviation, standardised on training streams"
        return "square roots of the shares of the codes, total variance of training streams 1"

    def whole(self, streams: Sequence[TokenStream]) -> np.ndarray:
        """float64 [streams, D], standardised."""
        raw = np.stack([_pooled(self.tokenizer, stream) for stream in streams])
        standardised: np.ndarray = (raw - self.centre) / self.scale
        return standardised

    def principal(self, streams: Sequence[TokenStream], dimensions: int) -> np.ndarray:
        """float64 [streams, dimensions], along the first principal axes."""
        reduced: np.ndarray = self.whole(streams) @ self.axes[:, :dimensions]
        return reduced


def _pooled(tokenizer: Any, stream: TokenStream) -> np.ndarray:
    """float64 [D]."""
    sizes = stream.spec.codebook_sizes
    if not isinstance(tokenizer, GivesVectors):
        shares = [
            (torch.bincount(codes.flatten().long(), minlength=size).double() / max(codes.numel(), 1)).sqrt()
            for codes, size in zip(stream.codes.unbind(-1), sizes, strict=True)
        ]
        counted: np.ndarray = torch.cat(shares).numpy()
        return counted
    vectors: Tensor = tokenizer.vectors(stream).double()
    deviation = vectors.flatten(0, -2).std(0, correction=0)
    for axis in range(vectors.dim() - 1):
        size = vectors.shape[axis]
        cells = [(at * size // CELLS, -(-(at + 1) * size // CELLS)) for at in range(CELLS)]
        vectors = torch.stack([vectors.narrow(axis, first, end - first).mean(axis) for first, end in cells], axis)
    pooled: np.ndarray = torch.cat([vectors.flatten(), deviation]).numpy()
    return pooled

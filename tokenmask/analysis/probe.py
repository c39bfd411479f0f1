"""A class probe: a linear classifier on features that says which condition a stream fits.

Does not know: what the features are of, how streams were made.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class ClassProbe:
    """Ridge regression on one-hot classes; the largest answer wins.

    The ridge is the mean squared length of a feature vector, and every class weighs alike: nothing is tuned and nothing
    is drawn.

    Args:
        classes: in the order of the answers.
        centre: float64 [D].
        weights: float64 [D, classes].
        offsets: float64 [classes].
    """

    classes: tuple[Hashable, ...]
    centre: np.ndarray
    weights: np.ndarray
    offsets: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, labels: Sequence[Hashable]) -> ClassProbe:
        """Args:
            features: float64 [items, D].
            labels: of the items, two different ones at least.

        Raises:
            ValueError: one class only, or not a label for each item.
        """
        classes = tuple(dict.fromkeys(labels))
        if len(classes) < 2 or len(labels) != len(features):
            raise ValueError(
                f"a class probe needs a label for each item and 2 classes, got {len(labels)} labels of {len(classes)} "
                f"classes for {len(features)} items; "
                "give labelled items of at least two classes"
            )
        own = np.array([classes.index(label) for label in labels])
        weight = (1 / np.bincount(own))[own]
        weight = weight / weight.sum()
        centre = weight @ features
        x = (features - centre) * np.sqrt(weight)[:, None]
        target = np.eye(len(classes))[own]
        offsets = weight @ target
        y = (target - offsets) * np.sqrt(weight)[:, None]
        gram = x @ x.T
        ridge = float(np.trace(gram)) / len(features) + 1e-12
        weights = x.T @ np.linalg.solve(gram + ridge * np.eye(len(features)), y)
        return cls(classes, centre, weights, offsets)

    def __call__(self, features: np.ndarray) -> list[Hashable]:
        """The class of each of float64 [items, D]."""
        answers = (features - self.centre) @ self.weights + self.offsets
        return [self.classes[at] for at in answers.argmax(1)]

    def right(self, features: np.ndarray, labels: Sequence[Hashable]) -> np.ndarray:
        """float64 [items]: 1 where the class is the label's."""
        return np.array([float(found == label) for found, label in zip(self(features), labels, strict=True)])

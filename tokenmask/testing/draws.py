"""Draws: randomness enters by argument, so global generators stay and equal keys draw alike.

Does not know: what is drawn.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy
import torch
from torch import Tensor

from tokenmask.testing.contract import require


@contextmanager
def global_random_state_untouched() -> Iterator[None]:
    """AssertionError if the block reads or seeds the global generators of torch, numpy or Python."""
    before = _random_state()
    yield
    require(
        _random_state() == before,
        "must leave the global random state alone, but advanced it; draw from a generator of your own",
    )


def _random_state() -> tuple[Any, ...]:
    own: dict[str, Any] = dict(numpy.random.get_state(legacy=False))  # noqa: NPY002 (read, not drawn from)
    words = own.pop("state")
    return torch.get_rng_state().tolist(), own, words["key"].tolist(), words["pos"], random.getstate()


def follows_its_keys(draw: Callable[[int, int], Tensor]) -> None:
    """AssertionError unless what is drawn changes with the seed and with the keys of the rows, or with neither.

    Args:
        draw: takes a seed and a number that is added to the keys of all rows; draws so much that two draws that are
            equal throughout were not drawn apart.
    """
    drawn, other_seed, other_keys = draw(3, 0), draw(4, 0), draw(3, 1000)
    by_seed, by_keys = not torch.equal(drawn, other_seed), not torch.equal(drawn, other_keys)
    require(by_seed or not by_keys, "must draw anew for another seed, got the same draws for seeds 3 and 4")
    require(by_keys or not by_seed, "must draw anew for other keys of the rows, got the same draws for all keys")

"""Counts over a corpus, for baselines and for looking at codebooks.

Arrow: Corpus --> **counts**.
Does not know: models, shared ids.
"""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor

from tokenmask.corpus.reader import Corpus


def statistics(corpus: Corpus) -> dict[str, tuple[Tensor, ...]]:
    """How often each code occurs.

    Returns:
        stream name -> for each level, int64 [codebook size], occurrences of each code in the corpus (or its split).

    Raises:
        ValueError: a damaged shard.
    """
    counts = {
        name: tuple(torch.zeros(size, dtype=torch.int64) for size in spec.codebook_sizes)
        for name, spec in corpus.specs.items()
    }
    for index in range(len(corpus.row_groups)):
        for name, codes in corpus.read_codes(index).items():
            for level, column in zip(counts[name], codes.unbind(-1), strict=True):
                level += torch.bincount(column, minlength=len(level))
    return counts


def totals(corpora: Iterable[Corpus]) -> dict[str, list[Tensor]]:
    """The :func:`statistics` of several corpora together; one of them may lack a stream."""
    found: dict[str, list[Tensor]] = {}
    for corpus in corpora:
        for name, counts in statistics(corpus).items():
            old = found.get(name)
            found[name] = list(counts) if old is None else [a + b for a, b in zip(old, counts, strict=True)]
    return found

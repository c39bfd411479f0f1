"""Relation: which codes of two tokenizers mean the same.

Arrow: (old, new tokenizer, media) --**relate**--> counts. Does not know: models, runs.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tokenmask.streams import StreamSpec, TokenStream
from tokenmask.tokenizer import SpellsCodes, Tokenizer, stream_of

Relation = Sequence[Tensor | None]
"""For each new level, float64 [C_new, C_old]: how often the codes stand for the same piece of media; None: unknown."""


def related_level(old: StreamSpec, new: StreamSpec, level: int) -> int | None:
    """The old level that a new one takes the place of: as deep in the same group, or the deepest one there.

    Streams with different numbers of groups have no levels in common.
    """
    if len(old.level_groups) != len(new.level_groups):
        return None
    for mine, theirs in zip(new.level_groups, old.level_groups, strict=True):
        if level in mine:
            return theirs[min(mine.index(level), len(theirs) - 1)]
    return None


def relate(old: Tokenizer, new: Tokenizer, media: Sequence[Any]) -> list[Tensor | None]:
    """Counts which codes of two tokenizers stand for the same piece of the same media.

    Tokenizers with ``code_texts`` (text) need no media: a new code stands for the old codes of its text.

    Args:
        old, new: tokenizers of one kind of media.
        media: items that both encode; media that carry old codes keep them.

    Returns:
        for each new level a matrix of counts, or None where the streams have no such level or no common axes.
    """
    mine, theirs = new.spec, old.spec
    levels = [related_level(theirs, mine, level) for level in range(mine.num_levels)]
    counts: list[Tensor | None] = [
        None
        if level is None or set(mine.axes) != set(theirs.axes)
        else torch.zeros(size, theirs.codebook_sizes[level], dtype=torch.float64)
        for size, level in zip(mine.codebook_sizes, levels, strict=True)
    ]
    if isinstance(new, SpellsCodes) and isinstance(old, SpellsCodes) and counts[0] is not None:
        counts[0] += _by_text(old, new)
        return counts
    for item in media:
        before, after = stream_of(old, item), new.encode(item)
        places = _places(before, after)
        for level, (total, source) in enumerate(zip(counts, levels, strict=True)):
            if total is not None and source is not None:
                pairs = after.codes[..., level].flatten().long(), before.codes[..., source].flatten().long()[places]
                total.index_put_(pairs, torch.ones(len(places), dtype=torch.float64), accumulate=True)
    return counts


def _by_text(old: Any, new: Any) -> Tensor:
    """float64 [C_new, C_old]: the old codes of each new code's text; end codes, which say nothing, are each other's."""
    counts = torch.zeros(new.spec.codebook_sizes[0], old.spec.codebook_sizes[0], dtype=torch.float64)
    known = {said: code for code, said in enumerate(_numbered(old.code_texts))}
    for code, said in enumerate(_numbered(new.code_texts)):
        if said in known:
            counts[code, known[said]] = 1.0
            continue
        try:
            parts = old.encode(old.media(said[0])).codes[:, 0].long()
        except ValueError:  # the old tokenizer has no codes for so short a text
            continue
        counts[code] += torch.bincount(parts, minlength=counts.shape[1])
    return counts


def _numbered(texts: Sequence[str]) -> list[tuple[str, int]]:
    """(text, how many codes before say the same): a byte, or half of a character, may read like another code."""
    before: Counter[str] = Counter()
    numbered = []
    for text in texts:
        numbered.append((text, before[text]))
        before[text] += 1
    return numbered


def _places(before: TokenStream, after: TokenStream) -> Tensor:
    """int64 [new places], the old place that covers the middle of each new one; both streams code the same media."""
    steps = []
    for axis, size in zip(after.spec.axes, after.grid, strict=True):
        number = before.spec.axes.index(axis)
        scale = before.grid[number] / max(size, 1)
        if axis == "time" and before.spec.rate_hz and after.spec.rate_hz:
            scale = before.spec.rate_hz / after.spec.rate_hz
        steps.append(((torch.arange(size) + 0.5) * scale).long().clamp(max=before.grid[number] - 1))
    meshes = dict(zip(after.spec.axes, torch.meshgrid(*steps, indexing="ij"), strict=True))
    place = torch.zeros(after.grid, dtype=torch.int64)
    for axis, size in zip(before.spec.axes, before.grid, strict=True):
        place = place * size + meshes[axis]
    return place.flatten()

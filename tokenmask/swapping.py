"""Swapping: a model learns the codes of another tokenizer without forgetting anything else.

Arrow: (old, new tokenizer, media) --**relate**--> which codes mean the same --**transplant**--> model of a new layout.
Does not know: runs, training.

What is kept is kept bit for bit: the trunk, and the rows of every other stream and of the controls. The rows of new
codes come from those of old codes that stand for the same media; where none does, from the rows' moments.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from tokenmask.layout import Layout
from tokenmask.models import MaskedModel, transfer, unequal
from tokenmask.models.transfer import ID_ROWS, STREAM_ROWS
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


@torch.no_grad()
def transplant(
    model: MaskedModel, layout: Layout, changed: str | None = None, relation: Relation = (), *, seed: int = 0
) -> MaskedModel:
    """The same model for another layout.

    Args:
        model: of the old layout; untouched.
        layout: the new one. Streams that are in both, but for ``changed``, keep their rows.
        changed: the stream whose tokenizer is another one; None if streams were only added or removed.
        relation: from :func:`relate`, for the levels of ``changed``.
        seed: of rows that nothing is known about.

    Returns:
        a new model on the CPU. A new code's rows are the mean of the old ones, weighted by how often they stood for the
        same media, and its bias is log sum_o P(new | old) exp(bias of old). A code that never occurred draws its rows
        from a normal distribution with the mean and deviation of the old level's rows; a level without any relation,
        and a stream that was absent, keep the initialisation of a fresh model.
    """
    old, changed = model.layout, changed if changed in model.layout.streams else None
    fresh = MaskedModel.create(model.config, layout, pattern=model.pattern, seed=seed)
    family = [] if changed is None else [name for name in layout.names if layout.shares.get(name, name) == changed]
    transfer(model, fresh, without=family)
    generator = torch.Generator().manual_seed(seed)
    state, before = fresh.state_dict(), model.state_dict()
    for name in family:
        state[STREAM_ROWS][1 + layout.index(name)] = before[STREAM_ROWS][1 + old.index(name)]
    for own in (own for own in layout.ranges if own.stream == changed):
        level = related_level(old.streams[own.stream], layout.streams[own.stream], own.level)
        counts = relation[own.level] if own.level < len(relation) else None
        if level is None or counts is None:
            continue
        source = old.range(own.stream, level)
        for name in (name for name in ID_ROWS if name in state):
            rows = before[name][source.offset : source.mask_id].double()
            made = _biases(rows, counts) if rows.dim() == 1 else _rows(rows, counts, generator)
            state[name][own.offset : own.mask_id] = made.to(state[name].dtype)
            state[name][own.mask_id] = before[name][source.mask_id]
    return fresh


def _rows(rows: Tensor, counts: Tensor, generator: torch.Generator) -> Tensor:
    """float64 [C_old, D] and counts [C_new, C_old] -> [C_new, D]."""
    totals = counts.sum(1, keepdim=True)
    drawn = torch.randn(len(counts), rows.shape[1], generator=generator, dtype=torch.float64)
    drawn = rows.mean(0) + drawn * rows.std(0, unbiased=False)
    return torch.where(totals > 0, counts @ rows / totals.clamp(min=1e-12), drawn)


def _biases(biases: Tensor, counts: Tensor) -> Tensor:
    """float64 [C_old] and counts [C_new, C_old] -> [C_new]."""
    seen = counts.sum(0) > 0
    share = counts / counts.sum(0).clamp(min=1e-12)
    highest = biases.max()
    mass = (share[:, seen] * (biases[seen] - highest).exp()).sum(1)
    least = (biases - highest).exp().min() / 2  # a code that never occurred is rarer than the rarest
    return highest + torch.where(mass > 0, mass, least).clamp(min=math.ulp(0.0)).log()


def kept(model: MaskedModel, other: MaskedModel, changed: Sequence[str] = ()) -> bool:
    """Whether all that two models share is bit-identical: the trunk, and the rows of streams not in ``changed``."""
    return not unequal(model, other, without=changed)

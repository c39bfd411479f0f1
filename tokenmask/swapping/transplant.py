"""Transplant: a model learns the codes of another tokenizer without forgetting anything else.

Arrow: model, which codes mean the same --**transplant**--> model of a new layout. Does not know: tokenizers, media,
runs, training.

What is kept is kept bit for bit: the trunk, and the rows of every other stream and of the controls. The rows of new
codes come from those of old codes that stand for the same media; where none does, from the rows' moments.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from tokenmask.layout import Layout
from tokenmask.models import MaskedModel, transfer, unequal
from tokenmask.swapping.relate import Relation, related_level


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
        and a stream that was absent, keep the initialisation of a fresh model. The row of a range is that of the range
        whose place it takes.
    """
    old, changed = model.layout, changed if changed in model.layout.streams else None
    fresh = MaskedModel.create(model.config, layout, pattern=model.pattern, head=model.head, seed=seed)
    follows = fresh.layout_rows()
    family = [] if changed is None else [name for name in layout.names if layout.shares.get(name, name) == changed]
    transfer(model, fresh, without=family)
    generator = torch.Generator().manual_seed(seed)
    state, before = fresh.state_dict(), model.state_dict()
    for name in family:
        for tensor in follows.streams:
            state[tensor][1 + layout.index(name)] = before[tensor][1 + old.index(name)]
    for own in (own for own in layout.ranges if own.stream == changed):
        level = related_level(old.streams[own.stream], layout.streams[own.stream], own.level)
        counts = relation[own.level] if own.level < len(relation) else None
        if level is None:
            continue
        for name in follows.ranges:
            state[name][layout.head(own.stream, own.level)] = before[name][old.head(own.stream, level)]
        if counts is None:
            continue
        source = old.range(own.stream, level)
        for name in follows.ids:
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

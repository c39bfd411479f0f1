"""Scope: which slots an objective asks, what is right there, and the names under which it is logged.

Arrow: MaskedBatch --**asked**--> Queries, Targets. Does not know: losses, models.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from tokenmask.batch import ABSENT, FILL
from tokenmask.layout import Layout
from tokenmask.masking.masked_batch import MaskedBatch, Queries, Targets
from tokenmask.models import RangeLogits

Scope = Literal["predicted", "hidden", "filled", "valid", "all"]


def asked(scope: Scope, masked: MaskedBatch, layout: Layout) -> tuple[Queries, Targets]:
    """The queries and targets of a scope, in the order of their slots.

    Args:
        scope: which slots, see :class:`~tokenmask.objectives.MaskedCrossEntropy`.
        masked: the batch.
        layout: of its ids.

    Returns:
        the queries, and one target for each, except that "predicted" has those of the masker.

    Raises:
        ValueError: a scope other than "predicted" on inputs that were reordered.
    """
    if scope == "predicted":
        return masked.queries, masked.targets
    inputs, clean = masked.inputs, masked.clean
    if inputs.shape != clean.shape or not torch.equal(inputs.coordinates, clean.coordinates):
        raise ValueError(
            f"scope {scope!r} needs inputs that stand as in the clean batch; leave masker.chain out, or use 'predicted'"
        )
    heads = layout.head_of(clean.ids)
    wanted = (clean.role != ABSENT) & (heads >= 0)
    if scope == "hidden":
        wanted = wanted & masked.hidden
    if scope in ("filled", "valid"):
        wanted = wanted & inputs.valid[:, :, None]
    if scope == "filled":
        wanted = wanted & (clean.role == FILL)
    slots = wanted.flatten().nonzero().squeeze(1)
    ids = clean.ids.flatten()[slots]
    codes = layout.codes_of(ids)
    number = torch.arange(len(slots), device=slots.device)
    return Queries(slots, heads.flatten()[slots]), Targets(number, codes, torch.ones(len(slots), device=slots.device))


def targets_of(group: RangeLogits, queries: Queries, targets: Targets) -> tuple[Tensor, Tensor | None]:
    """The targets of a group's queries, in the order of these, and the row of its logits for each.

    Args:
        group: what a model answered of some of the queries.
        queries: all of them.
        targets: of the queries; one may have several or none.

    Returns:
        (int64 [n], indices into the targets; int64 [n], indices into ``group.logits``, or None for 0 .. n - 1).
    """
    place = torch.full((len(queries),), -1, dtype=torch.int64, device=group.queries.device)
    place[group.queries] = torch.arange(len(group.queries), device=place.device)
    rows = place[targets.queries]
    names = (rows >= 0).nonzero().squeeze(1)
    rows, order = rows[names].sort(stable=True)
    one_each = len(rows) == len(group.queries) and torch.equal(rows, place[group.queries])
    return names[order], None if one_each else rows


def logged(layout: Layout, head: int, nats: Tensor) -> dict[str, Tensor]:
    """The entries of ``Loss.parts`` for terms float [n] of one range: "text/nats" or "audio.2/nats", and "/count"."""
    place = layout.ranges[head]
    single = layout.streams[place.stream].num_levels == 1
    name = place.stream if single else f"{place.stream}.{place.level}"
    return {f"{name}/nats": nats.detach().contiguous().mean(), f"{name}/count": torch.tensor(float(len(nats)))}

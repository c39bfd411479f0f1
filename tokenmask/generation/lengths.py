"""Lengths: how many codes a hole of a text holds, told by the model from what stands behind it.

Arrow: a Request for each length + model --**length_scores**--> log-probabilities --**drawn_lengths**--> lengths. Does
not know: tokenizers, samplers, what is filled in.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from tokenmask.batch import ABSENT, collate
from tokenmask.generation.fill import INVARIANT_MULTIPLE
from tokenmask.generation.regions import touched
from tokenmask.generation.request import Request
from tokenmask.layout import Layout
from tokenmask.masking import Queries
from tokenmask.models import MaskedModel
from tokenmask.ops import Purpose, uniform
from tokenmask.scores.arguments import whole
from tokenmask.training import Packing

MOST_LENGTHS = 256  # that a person may ask for at once
_REACH = 32  # codes behind the hole that are looked at, the nearest ones
_ROWS = 64  # of one batch


def length_range(length: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """The least and the most codes of a hole whose length is to be chosen; None where it is known.

    Raises:
        ValueError: no pair of numbers of at least 1, in order, or too many lengths. TypeError: no whole numbers.
    """
    if length is None or not isinstance(length, list | tuple):
        return None
    if len(length) != 2:
        raise ValueError(f"length is a number of codes, or the least and the most, got {list(length)}; write two")
    least, most = (whole("each of length", one) for one in length)
    if least > most:
        raise ValueError(
            f"length must go from the least to the most codes, got {least} to {most}; write {most} to {least}"
        )
    if most >= least + MOST_LENGTHS:
        raise ValueError(
            f"length must leave at most {MOST_LENGTHS} numbers of codes to choose among, got {least} to {most}; write "
            f"a most of {least + MOST_LENGTHS - 1} or less"
        )
    return least, most


@torch.inference_mode()
def length_scores(
    requests: Sequence[Request],
    layout: Layout,
    packing: Packing,
    model: MaskedModel,
    time: Callable[[Tensor], Tensor],
) -> Tensor:
    """How well what stands behind a hole goes with each of some lengths of it.

    By the chain rule: each code behind the hole, end codes too, is asked given what stands before the hole, the
    conditions, and the codes between the hole and itself, while the hole and all behind the code are hidden. So the sum
    of the logarithms is that of the probability of what follows under that length, whatever the hole will hold. With
    lengths that are equally likely beforehand, the softmax of the sums is the model's law of the length: exactly so
    where all that follows is within reach and texts of these lengths take as many places with their end codes. Where
    nothing but end codes follow, the last code of the hole, asked last, must be none of them.
    Source: any order of codes is an order of the chain rule in a masked model, arXiv:2502.06768, section 2.

    Args:
        requests: the same text with holes of different lengths, one hole of whole places each.
        layout, packing: of the run.
        model: of the stage that fills.
        time: share of the stream that is hidden, float32 [B], to masking time, for models that read it.

    Returns:
        float64 [len(requests)].

    Raises:
        ValueError: nothing stands behind the hole, so that nothing tells its length; see also :meth:`Request.pack`.
    """
    return torch.stack([_score(request, layout, packing, model, time) for request in requests])


def _score(
    request: Request, layout: Layout, packing: Packing, model: MaskedModel, time: Callable[[Tensor], Tensor]
) -> Tensor:
    batch = collate([request.pack(layout, packing)], multiple=INVARIANT_MULTIPLE)
    mine = ((batch.stream == layout.index(request.target)) & batch.valid)[0].nonzero()[:, 0]
    first, stop = touched(request.hole.flatten(1).any(1))
    size, levels = len(request.hole), batch.shape[2]
    behind = mine[stop:size][:_REACH].tolist() + mine[size:].tolist()  # codes, and end codes
    places = [one for one in itertools.product(behind, range(levels)) if batch.role[0, one[0], one[1]] != ABSENT]
    if not places:
        raise ValueError(
            f"what stands behind a hole tells how long it is, but nothing does in {request.target!r}; write one length"
        )
    if request.ended:
        places.append((int(mine[stop - 1]), 0))
    rows = batch.rows(torch.zeros(len(places), dtype=torch.int64))
    hidden = torch.zeros(rows.shape, dtype=torch.bool)
    hidden[:, mine[first:]] = True
    for number, (place, level) in enumerate(places):  # seen by all that come later
        hidden[number + 1 :, place, level] = False
    slots = torch.tensor([place * levels + level for place, level in places])
    own = batch.ids.flatten()[slots]
    if request.ended:
        own[-1] = layout.range(request.target).offset + int(request.canvas.spec.end_code or 0)
    rows = replace(rows, ids=torch.where(hidden, layout.mask_of(rows.ids), rows.ids))
    total = torch.zeros((), dtype=torch.float64)
    device = next(model.parameters()).device
    for at in range(0, len(places), _ROWS):
        part = torch.arange(at, min(at + _ROWS, len(places)))
        some = rows.rows(part)
        queries = Queries(slots[part] + torch.arange(len(part)) * some.ids[0].numel(), layout.head_of(own[part]))
        share = hidden[part][:, mine].float().mean((1, 2))
        asked = Queries(queries.slots.to(device), queries.heads.to(device))
        for head, index, logits in model.logits(some.to(device), asked, t=time(share).to(device)):
            codes = (own[part][index.cpu()] - layout.ranges[head].offset).long()[:, None]
            values = logits.double().cpu().log_softmax(-1).gather(1, codes)[:, 0]
            ends = (part[index.cpu()] == len(places) - 1) & request.ended
            total += torch.where(ends, (-values.expm1()).log(), values).sum()
    return total


def drawn_lengths(scores: Tensor, least: int, seed: int, samples: int, best: bool) -> list[int]:
    """A length for each sample, in proportion to the exponential of its score, by the seed and the sample alone.

    Args:
        scores: float64 [n], of the lengths from the least on.
        least: the first of them.
        seed: of the request.
        samples: how many.
        best: takes the likeliest, for all samples alike.
    """
    if best:
        return [least + int(scores.argmax())] * samples
    shares = scores.softmax(0).cumsum(0)
    draws = uniform(seed=seed, counters=torch.arange(samples), purpose=Purpose.crop).double()
    places = (draws[:, None] >= shares / shares[-1]).sum(1).clamp(max=len(scores) - 1)
    return [least + place for place in places.tolist()]

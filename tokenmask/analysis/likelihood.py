"""Likelihood: how probable a model finds codes, exactly or as a bound.

Arrow: records + model --**log_likelihoods**--> nats. Does not know: media, how the model was trained.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tokenmask.batch import FILL, GIVEN, Batch, collate
from tokenmask.batch import Sequence as Packed
from tokenmask.layout import Layout
from tokenmask.masking import MaskedBatch, Queries, Targets
from tokenmask.models import MaskedModel
from tokenmask.ops import Purpose, uniform
from tokenmask.scores.arguments import MOST, whole
from tokenmask.streams import TokenStream
from tokenmask.training import Packing, code_losses

_MOST_DRAWS = 1 << 20  # of a record; each is listed before the first pass
_MULTIPLE = 64  # rows padded to it are computed alike in any company


@dataclass(frozen=True)
class LogLikelihood:
    """What a model says about the codes of one item.

    Args:
        nats: log probability of all codes together; a lower bound of it where not ``exact``.
        codes: how many there are; end codes do not count.
        exact: whether it is the probability itself, as a causal model gives it.
        error: standard error of ``nats`` over the draws; 0 where it is exact, nan for one draw.
    """

    nats: float
    codes: int
    exact: bool
    error: float

    @property
    def perplexity(self) -> float:
        """exp(-nats / codes)."""
        return math.exp(-self.nats / self.codes)


@torch.inference_mode()
def log_likelihoods(
    model: MaskedModel,
    packing: Packing,
    records: Sequence[Mapping[str, TokenStream]],
    name: str,
    *,
    draws: int = 32,
    seed: int = 0,
    batch_size: int = 32,
) -> list[LogLikelihood]:
    """The log probability of a stream of each record, given its other streams.

    A causal model (:attr:`MaskedModel.causal`) is asked for all codes at once. One that fills holes gives a bound: with
    l of the N codes hidden, l uniform over 1..N, N / l times the log probability of what is hidden is on average that
    of the codes in an order drawn at random, and so no more than the log of their probability over all orders (LLaDA,
    arXiv:2502.09992, equation 14; arXiv:2110.02037, section 2). l is stratified over the draws.

    Args:
        model: in any mode; not changed.
        packing: as in training.
        records: stream name -> codes.
        name: of the stream that is scored, in each record.
        draws: masks of each record, for a bound.
        seed: of the masks, which depend on the number of codes and nothing else of a record.
        batch_size: rows of a pass; results do not depend on it.

    Raises:
        ValueError: a record without the stream, or longer than the model sees, or, of a causal model, with a stream
            that stands behind it; draws or batch_size below 1.
        TypeError: draws, seed or batch_size that is no whole number.
    """
    draws, batch_size = whole("draws", whole("draws", draws), most=_MOST_DRAWS), whole("batch_size", batch_size)
    seed = whole("seed", seed, -MOST - 1)
    layout, exact = model.layout, model.causal
    packed = [_packed(layout, packing, record, name) for record in records]
    if exact:
        _refuse_behind(layout, records, name)
    count = 1 if exact else draws
    groups: dict[int, list[tuple[int, int]]] = {}
    for index, sequence in enumerate(packed):
        padded = -(-len(sequence) // _MULTIPLE) * _MULTIPLE
        groups.setdefault(padded, []).extend((index, draw) for draw in range(count))
    found = torch.zeros(len(records), count, dtype=torch.float64)
    numbers = [int((sequence.role == FILL).sum()) for sequence in packed]
    device = next(model.parameters()).device
    for jobs in groups.values():
        for start in range(0, len(jobs), batch_size):
            part = jobs[start : start + batch_size]
            batch = collate([packed[index] for index, _ in part], multiple=_MULTIPLE)
            open_slots = (batch.role == FILL) & batch.valid[..., None]
            masks = [_hidden(numbers[index], draw, 0 if exact else draws, seed) for index, draw in part]
            hidden = torch.zeros_like(open_slots)
            hidden[open_slots] = torch.cat(masks)
            asked = open_slots if exact else hidden
            losses = code_losses(model, _masked(layout, batch, hidden, asked).to(device)).double().cpu()
            row = torch.div(asked.flatten().nonzero().squeeze(1), asked[0].numel(), rounding_mode="floor")
            sums = torch.zeros(len(part), dtype=torch.float64).index_add(0, row, losses)
            for (index, draw), total, mask in zip(part, sums.tolist(), masks, strict=True):
                found[index, draw] = -total * (1 if exact else numbers[index] / int(mask.sum()))
    errors = [0.0 if exact else float(one.std() / math.sqrt(count)) if count > 1 else math.nan for one in found]
    figures = zip(found.mean(1).tolist(), numbers, errors, strict=True)
    return [LogLikelihood(nats, number, exact, error) for nats, number, error in figures]


def _packed(layout: Layout, packing: Packing, record: Mapping[str, TokenStream], name: str) -> Packed:
    """The record with the codes of the stream to be filled; all else, end codes too, is given."""
    if name not in record:
        raise ValueError(f"each record must have the stream {name!r}, got {', '.join(record) or 'none'}")
    if not record[name].codes.numel():
        raise ValueError(f"a stream {name!r} to be scored must have at least one code, got none; leave it out")
    lengths = {
        stream: packing.padded_length(own.spec, own.grid[0])
        for stream, own in record.items()
        if own.spec.end_code is not None
    }
    codes = record[name].codes
    role = torch.full(codes.shape, FILL, dtype=torch.int8)
    more = max(lengths.get(name, 0) - len(codes), 0)
    roles: dict[str, int | Tensor] = dict.fromkeys(record, GIVEN)
    roles[name] = torch.cat([role, role.new_full((more, *role.shape[1:]), GIVEN)])
    sequence = layout.pack(record, roles=roles, lengths=lengths)
    if len(sequence) > packing.max_positions:
        raise ValueError(
            f"a record may take at most {packing.max_positions} positions, got {len(sequence)} for "
            f"{', '.join(record)}; score a part of it"
        )
    return sequence


def _refuse_behind(layout: Layout, records: Sequence[Mapping[str, TokenStream]], name: str) -> None:
    names = list(layout.streams)
    unseen = {stream for record in records for stream in record if names.index(stream) > names.index(name)}
    if unseen:
        raise ValueError(
            f"a causal model sees what stands before {name!r} alone, but {', '.join(sorted(unseen))} stands behind it; "
            "leave that out"
        )


def _hidden(codes: int, draw: int, draws: int, seed: int) -> Tensor:
    """bool [codes], which are hidden in a draw; none with ``draws`` 0."""
    if not draws:
        return torch.zeros(codes, dtype=torch.bool)
    noise = uniform(seed=seed, counters=draw * (codes + 1) + torch.arange(codes + 1), purpose=Purpose.crop)
    count = 1 + min(int(codes * (draw + float(noise[-1])) / draws), codes - 1)
    mask = torch.zeros(codes, dtype=torch.bool)
    mask[noise[:-1].argsort(stable=True)[:count]] = True
    return mask


def _masked(layout: Layout, batch: Batch, hidden: Tensor, asked: Tensor) -> MaskedBatch:
    slots = asked.flatten().nonzero().squeeze(1)
    heads = layout.head_of(batch.ids.flatten()[slots])
    codes = batch.ids.flatten()[slots].long() - layout.offsets()[heads]
    count = len(batch.ids)
    filled = ((batch.role == FILL) & batch.valid[..., None]).flatten(1).sum(1).clamp(min=1)
    share = hidden.flatten(1).sum(1) / filled
    return MaskedBatch(
        inputs=replace(batch, ids=torch.where(hidden, layout.mask_of(batch.ids), batch.ids)),
        queries=Queries(slots, heads),
        targets=Targets(torch.arange(len(slots)), codes, torch.ones(len(slots))),
        hidden=hidden,
        dropped=torch.zeros_like(hidden),
        group=None,
        t=share.float(),
        row_of_sample=torch.arange(count),
        clean=batch,
    )

"""Attention sinks: which positions all others look at, and where these go while slots are filled.

Arrow: model + rows of a generation --**sinks_in_steps**--> a figure a step. Does not know: how slots are filled.
Source: arXiv:2510.15731, sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.layout import Layout
from tokenmask.masking import Queries
from tokenmask.models import MaskedModel
from tokenmask.sampling import Sampler, SamplerState
from tokenmask.sampling.reuse.sinks import column_taps, received


@dataclass(frozen=True)
class SinkStep:
    """What is known of the sinks that a step sees.

    Args:
        index: of the step.
        sinks: of a head, on average.
        strongest: the attention that the strongest key of a head gets, on average; 1 is even.
        moved: share of heads whose strongest key is another one than in the step before; None in the first.
        hidden: share of the sinks that stand at hidden slots; None where there is no sink.
    """

    index: int
    sinks: float
    strongest: float
    moved: float | None
    hidden: float | None


def attention_received(model: MaskedModel, inputs: Batch, t: Tensor) -> Tensor:
    """float32 [B, layers, H, L], the attention that each key gets from all valid positions; 1 on average.

    Args:
        model: with a transformer as backbone.
        inputs: rows.
        t: float32 [B], the masking time.
    """
    none = torch.zeros(0, dtype=torch.int64, device=inputs.device)
    taps = column_taps(model, inputs)
    with torch.inference_mode():
        seen = model(inputs, Queries(none, none), t=t, taps=taps).taps
    return received({tap.name: seen[tap.name] for tap in taps}, inputs)


def is_sink(got: Tensor, valid: Tensor, margin: float = 3.0) -> Tensor:
    """bool like ``got``, keys that get more than the others of their head on average, and a margin.

    Args:
        got: float32 [B, layers, H, L], of :func:`attention_received`.
        valid: bool [B, L].
        margin: in the unit in which the average is 1. The paper says 3 and divides by the number of positions, which
            no key could pass; its figures are in this unit.
    """
    shown = valid[:, None, None]
    others = (shown.sum(-1, keepdim=True) - 1).clamp(min=1)
    mean = ((got * shown).sum(-1, keepdim=True) - got) / others
    return (got > mean + margin) & shown


def sinks_in_steps(
    model: MaskedModel, layout: Layout, sampler: Sampler, state: SamplerState, margin: float = 3.0
) -> Sequence[SinkStep]:
    """What stands in the way of attention before each step of a generation.

    Args:
        model: with a transformer as backbone.
        layout: of the model.
        sampler: any.
        state: from ``SamplerState.start``.
        margin: see :func:`is_sink`.
    """
    found: list[SinkStep] = []
    before: Tensor | None = None
    for step in sampler.iterate({"main": model}, layout, state):
        batch = state.batch
        share = state.is_open.flatten(1).float().mean(1)
        got = attention_received(model, batch, share)
        sinks = is_sink(got, batch.valid, margin)
        strongest = got.masked_fill(~batch.valid[:, None, None], -torch.inf).argmax(-1)
        at_hidden = (state.is_open.any(-1) & batch.valid)[:, None, None].expand_as(sinks)
        count = int(sinks.sum())
        found.append(
            SinkStep(
                step.index,
                float(sinks.sum(-1).float().mean()),
                float(got.amax(-1).mean()),
                None if before is None else float((strongest != before).float().mean()),
                float(at_hidden[sinks].float().mean()) if count else None,
            )
        )
        before, state = strongest, step.state
    return found

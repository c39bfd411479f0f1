"""SamplerState: everything that a generation knows between two steps.

Arrow: inside the Sampler loop. Does not know: models, schedules, modalities.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

import torch
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.layout import Layout
from tokenmask.ops import Purpose
from tokenmask.sampling.reuse import Cache
from tokenmask.scores import slot_uniforms

_STEP_BITS = 16
Value = TypeVar("Value")


def changed(value: Value, **fields: Any) -> Value:
    """A frozen dataclass with other fields, as ``dataclasses.replace`` makes it, in a tenth of the time.

    For those that have no ``__post_init__``, of which every step makes some.
    """
    made = object.__new__(type(value))
    made.__dict__.update(value.__dict__, **fields)
    return made


@dataclass(frozen=True, eq=False)
class SamplerState:
    """A batch of requests in the making.

    Args:
        batch: ids (MASK at open slots), streams, roles, coordinates, valid; ``batch.sample_ids`` tells the samples of
            one request apart.
        is_open: bool [B, L, K], slots still to fill.
        score: float32 [B, L, K], natural log-probability of each committed code when it was drawn; 0 elsewhere.
        seeds: int64 [B], seed of each row.
        step: steps taken so far, over all stages.
        carry: named tensors [B, ...] that a part of the sampler carries from step to step.
        cache: what the sampler's reuse policy keeps; None before the first step and for policies that keep nothing.
        counters: what was computed so far ("forward_passes", "computed_positions", "queries").
    """

    batch: Batch
    is_open: Tensor
    score: Tensor
    seeds: Tensor
    step: int
    carry: Mapping[str, Tensor] = field(default_factory=dict)
    cache: Cache | None = None
    counters: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def start(cls, batch: Batch, layout: Layout, seeds: Tensor, is_open: Tensor | None = None) -> SamplerState:
        """Hides FILL slots of a batch. What stood there is forgotten; GIVEN slots will never change.

        Args:
            batch: rows to fill.
            layout: gives the MASK of each slot's range.
            seeds: int64 [B].
            is_open: bool [B, L, K], the FILL slots that are hidden; None hides all. The others keep their codes until
                a revocation opens them; they count as drawn with log-probability 0. With nothing open the sampler
                needs ``stages``, since there is no level to make one for.

        Raises:
            ValueError: an open slot that is not to be filled.
        """
        may = batch.to_fill
        if is_open is None:
            is_open = may
        elif bool((is_open & ~may).any()):
            raise ValueError("is_open may name FILL slots at valid positions only, got others; give them the role FILL")
        ids = torch.where(is_open, layout.mask_of(batch.ids), batch.ids)
        zeros = torch.zeros(batch.shape, device=batch.device)
        return cls(
            batch=replace(batch, ids=ids),
            is_open=is_open,
            score=zeros,
            seeds=seeds,
            step=0,
        )

    @property
    def keys(self) -> Tensor:
        """int64 [B], tells (sample, step) pairs of one seed apart: what randomness is keyed by."""
        return (self.batch.sample_ids << _STEP_BITS) | self.step

    def draws(self, purpose: Purpose) -> Tensor:
        """One uniform in [0, 1) for each slot, float32 [B, L, K], of its row's seed and sample and the step alone.

        Args:
            purpose: what for; two purposes share no bits. Slots are revoked by ``Purpose.mask``.
        """
        return slot_uniforms(self.seeds, self.keys, self.is_open.shape[1:], purpose)

    def ordinary(self) -> SamplerState:
        """The same state without tensors of ``torch.inference_mode``, which no loss could use; its cache excepted."""
        values = (self.batch.ids, self.is_open, self.score, *self.carry.values())
        if torch.is_inference_mode_enabled() or not any(value.is_inference() for value in values):
            return self
        ids, is_open, score, *carried = (value.clone() if value.is_inference() else value for value in values)
        carry = dict(zip(self.carry, carried, strict=True))
        return changed(self, batch=changed(self.batch, ids=ids), is_open=is_open, score=score, carry=carry)

    def rows(self, index: Tensor) -> SamplerState:
        """The rows at int64 ``index`` [N] in every field, in that order; repeats allowed."""
        cache = self.cache
        if cache is not None:  # a guided generation keeps each row twice: all conditional ones, then all others
            size = self.is_open.shape[0]
            cache = cache.rows(torch.cat([index + start for start in range(0, cache.num_rows, size)]))
        return replace(
            self,
            cache=cache,
            batch=self.batch.rows(index),
            is_open=self.is_open[index],
            score=self.score[index],
            seeds=self.seeds[index],
            carry={name: value[index] for name, value in self.carry.items()},
        )

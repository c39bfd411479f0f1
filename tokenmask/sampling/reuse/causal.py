"""CausalReuse: what stands before is run once, as long as it stands so. See policy.py for the contract."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.masking import Queries
from tokenmask.models import Causal, KVCache, MaskedModel
from tokenmask.sampling.reuse.policy import Reuse, ReuseStep, Scored


@dataclass(frozen=True, eq=False)
class BeforeCache:
    """Keys and values, and what stood where they were computed.

    Args:
        kv: of every position that was run.
        ran: int32 [B, L, K], the ids of each position when it was run last; -1 where it was not.
    """

    kv: KVCache
    ran: Tensor

    @property
    def num_rows(self) -> int:
        """B."""
        return self.ran.shape[0]

    def rows(self, index: Tensor) -> BeforeCache:
        """The rows at int64 ``index`` [N], copied."""
        return BeforeCache(self.kv.rows(index), self.ran[index])


@dataclass(frozen=True)
class CausalReuse(Reuse):
    """Text goes on from left to right, and each step runs the positions that are new or have changed.

    For models with the pattern ``Causal``. A position's keys and values follow from what stands there and before, so
    they are kept for as long as none of that changes; a step runs what lies between them and the last place that is
    read for it. Exact, whatever the order, which may not read predictions; with ``RasterScore`` a step of one code runs
    one position, where the code is read at the position before it (``style.reads_before``), else two. Source: the
    usual cache of decoders, arXiv:1911.02150, section 2.2.1.
    """

    order_first: ClassVar[bool] = True

    def score(self, model: MaskedModel, step: ReuseStep, cache: BeforeCache | None) -> Scored:
        inputs = step.inputs
        if cache is None:
            self._check(model)
            kv = model.backbone.empty_cache(inputs.shape[0], int(inputs.valid.sum(1).max()))
            cache = BeforeCache(kv, torch.full_like(inputs.ids, -1))
        read_at = _read_at(model, inputs, step.queries)
        chosen = _chosen(inputs, cache.ran, read_at)
        new = step.packed(chosen, inputs.valid.cumsum(1) - 1)
        kv = cache.kv.admit(new)
        number = (chosen.flatten().cumsum(0) - 1)[read_at]
        levels = inputs.shape[2]
        asked = Queries(number * levels + step.queries.slots % levels, step.queries.heads)
        groups = model.extend(new, asked, kv, t=step.t)
        ran = torch.where(chosen[:, :, None], inputs.ids, cache.ran)
        return Scored(groups, BeforeCache(kv, ran), len(new))

    @staticmethod
    def _check(model: MaskedModel) -> None:
        if not isinstance(model.pattern, Causal) or model.backbone.reads_time or model.backbone.asks_elsewhere:
            raise ValueError(
                "CausalReuse needs a model with the pattern Causal, without time_input, adaln and shifted, since only "
                f"then does nothing that stands before change, got {model.pattern} and {model.config.describe()}; use "
                "another reuse"
            )


def _read_at(model: MaskedModel, inputs: Batch, queries: Queries) -> Tensor:
    """int64 [M], the position of B * L at which each query is answered, as in a whole pass."""
    length, levels = inputs.shape[1:]
    own = torch.div(queries.slots, levels, rounding_mode="floor")
    if not model.backbone.answers_before:
        return own
    sees = (own % length > 0) & inputs.valid.flatten()[(own - 1).clamp(min=0)]
    return torch.where(sees, own - 1, own)


def _chosen(inputs: Batch, ran: Tensor, read_at: Tensor) -> Tensor:
    """bool [B, L], positions from the first that changed, or is read, to the last that is read, in each row."""
    length = inputs.shape[1]
    row, column = torch.div(read_at, length, rounding_mode="floor"), read_at % length
    same = (inputs.ids == ran).all(-1) | ~inputs.valid
    first = same.long().cumprod(1).sum(1).scatter_reduce(0, row, column, "amin")
    last = torch.full_like(first, -1).scatter_reduce(0, row, column, "amax")
    place = torch.arange(length, device=row.device)
    return (place >= first[:, None]) & (place <= last[:, None]) & inputs.valid

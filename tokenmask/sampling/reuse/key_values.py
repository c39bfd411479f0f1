"""What policies that keep keys and values share.

Arrow: positions of a batch --**note**--> KVCache. Does not know: which positions, when.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.masking import Queries
from tokenmask.models import AttentionPattern, KVCache, MaskedModel, Packed
from tokenmask.sampling.reuse.policy import ReuseStep


@dataclass(frozen=True, eq=False)
class KeyValues:
    """The cache of policies that keep keys and values and nothing else."""

    kv: KVCache

    @property
    def num_rows(self) -> int:
        """B."""
        return self.kv.lengths.shape[0]

    def rows(self, index: Tensor) -> KeyValues:
        """The rows at int64 ``index`` [N], copied."""
        return KeyValues(self.kv.rows(index))


def empty_cache(model: MaskedModel, inputs: Batch, slots: int) -> KVCache:
    """A cache of ``slots`` positions for each row of the inputs, empty.

    Raises:
        ValueError: the model keeps nothing, or reads a code at the position before it, which need not be run.
    """
    if model.backbone.answers_before:
        raise ValueError(
            "a model that reads a code at the position before it (style.reads_before) is not asked where the code "
            "stands, so steps that run these positions alone would lack that one; set sampler.reuse to NoReuse or, "
            "with the pattern Causal, to CausalReuse"
        )
    return model.backbone.empty_cache(inputs.shape[0], slots)


def note(model: MaskedModel, new: Packed, kv: KVCache, pattern: AttentionPattern) -> tuple[KVCache, int]:
    """Runs positions for their keys and values alone, and says how many there were."""
    kv = kv.admit(new)
    none = torch.zeros(0, dtype=torch.int64, device=new.row.device)
    t = torch.ones(kv.lengths.shape[0], device=new.row.device)
    model.extend(new, Queries(none, none), kv, pattern, t=t)
    return kv, len(new)


def queries_among(step: ReuseStep, chosen: Tensor) -> Queries:
    """The step's queries as slots of packed positions, every one of which must have been packed."""
    levels = step.inputs.shape[2]
    number = (chosen.flatten().cumsum(0) - 1)[torch.div(step.queries.slots, levels, rounding_mode="floor")]
    return Queries(number * levels + step.queries.slots % levels, step.queries.heads)

"""PrefixReuse: what is given is run once. See policy.py for the contract."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from tokenmask.batch import FILL, Batch
from tokenmask.models import KVCache, MaskedModel, Packed, SlotMeta
from tokenmask.sampling.reuse.key_values import KeyValues, empty_cache, note, queries_among
from tokenmask.sampling.reuse.policy import Reuse, ReuseStep, Scored


@dataclass(frozen=True)
class PrefixReuse(Reuse):
    """What is given is run once; each step runs the positions that are filled, over the kept keys and values.

    Exact, because it is refused unless the model's pattern keeps what is given from looking at what is filled:
    ``GivenFirst``, or ``Causal`` where everything given is packed first. Exact also asks that nothing else of a
    position changes, so a model that is told the masking time is refused.
    """

    def score(self, model: MaskedModel, step: ReuseStep, cache: KeyValues | None) -> Scored:
        inputs, computed = step.inputs, 0
        filled = (inputs.role == FILL).any(-1) & inputs.valid
        given = inputs.valid & ~filled
        slots = torch.where(given, given.cumsum(1), given.sum(1, keepdim=True) + filled.cumsum(1)) - 1
        if cache is None:
            self._check(model, inputs)
            kv, computed = self.read(model, inputs, given, slots)
            cache = KeyValues(kv)
        new = step.packed(filled, slots)
        kv = cache.kv.admit(new)
        groups = model.extend(new, queries_among(step, filled), kv, t=step.t)
        return Scored(groups, KeyValues(kv), computed + len(new))

    def read(self, model: MaskedModel, inputs: Batch, given: Tensor, slots: Tensor) -> tuple[KVCache, int]:
        """Keys and values of what is given, and how many positions were run for them.

        Args:
            model: of the stage.
            inputs: all rows.
            given: bool [B, L], the positions.
            slots: int64 [B, L], where each goes in its row of the cache.
        """
        kv = empty_cache(model, inputs, int(inputs.valid.sum(1).max()))
        return note(model, Packed.of(inputs, given, slots), kv, model.pattern)

    @staticmethod
    def _check(model: MaskedModel, inputs: Batch) -> None:
        if model.backbone.reads_time:
            raise ValueError(
                "PrefixReuse keeps what is given, but this model is told the masking time (time_input, adaln), which "
                "changes it in every step; use StaleReuse or NoReuse"
            )
        meta = SlotMeta.of(inputs)
        sees = model.pattern.allows(meta[:, :, None], meta[:, None, :]) & ~meta.filled[:, :, None]
        later = replace(meta, group=meta.group + 1)  # as in the stage of another level
        if not torch.equal(sees, model.pattern.allows(later[:, :, None], later[:, None, :]) & ~meta.filled[:, :, None]):
            raise ValueError(
                "PrefixReuse keeps what is given, so what a given position sees must not change with the level that is "
                f"filled, but it does with the pattern {model.pattern}; use StaleReuse or NoReuse"
            )
        if bool((sees & (meta.filled & meta.valid)[:, None, :] & meta.valid[:, :, None]).any()):
            raise ValueError(
                "PrefixReuse needs a pattern in which given positions never look at filled ones (GivenFirst; Causal "
                f"where all that is given comes first), got {model.pattern}; use StaleReuse or NoReuse"
            )

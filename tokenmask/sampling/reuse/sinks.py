"""HideSinks: what all look at in one step is hidden in the next. See policy.py for the contract."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import torch
from torch import Tensor

from tokenmask.batch import Batch
from tokenmask.models import AttentionTap, MaskedModel
from tokenmask.models.attention_pattern import HIDDEN_KEYS
from tokenmask.sampling.reuse.policy import NoReuse, Reuse, ReuseStep, Scored
from tokenmask.scores.arguments import one_of, whole


@dataclass(frozen=True, eq=False)
class SinkCache:
    """The keys that the next step hides.

    Args:
        hidden: bool [B, layers, H, L].
    """

    hidden: Tensor

    @property
    def num_rows(self) -> int:
        """B."""
        return self.hidden.shape[0]

    def rows(self, index: Tensor) -> SinkCache:
        """The rows at int64 ``index`` [N], copied."""
        return SinkCache(self.hidden[index])


@dataclass(frozen=True)
class HideSinks(Reuse):
    """An intervention: in each head of each layer the keys that got most attention are hidden in the next step.

    The attention that a key gets is the sum of its column over all valid positions, 1 on average. The first step hides
    nothing. It says how much a model needs its attention sinks, and saves nothing. Source: arXiv:2510.15731, section 5.

    Args:
        k: keys of a head that are hidden; 0 hides none and runs the model as it is.
        read: whose attention counts: that of "all" positions, or of the "last" one, as for a causal model.
    """

    k: int = 1
    read: Literal["all", "last"] = "all"
    exact: ClassVar[bool] = False
    gives_taps: ClassVar[bool] = True

    def __post_init__(self) -> None:
        whole("HideSinks.k", self.k, least=0)
        one_of("HideSinks.read", self.read, ("all", "last"))

    def score(self, model: MaskedModel, step: ReuseStep, cache: SinkCache | None) -> Scored:
        if self.k == 0:
            return replace(NoReuse().score(model, step, None), cache=None)
        if not model.backbone.hides_keys:
            raise ValueError(
                f"HideSinks needs a model whose backbone can hide keys of single heads, got "
                f"{type(model.backbone).__name__}; use NoReuse"
            )
        inputs = step.inputs
        if cache is not None:
            inputs = replace(inputs, features={**inputs.features, HIDDEN_KEYS: cache.hidden})
        wanted = column_taps(model, inputs)
        seen = model(inputs, step.queries, t=step.t, group=step.group, taps=[*step.taps, *wanted])
        got = received({tap.name: seen.taps.pop(tap.name) for tap in wanted}, inputs, self.read)
        got = got.masked_fill(~inputs.valid[:, None, None], -torch.inf)
        best = got.sort(dim=-1, descending=True, stable=True).indices[..., : self.k]
        hidden = torch.zeros_like(got, dtype=torch.bool).scatter(-1, best, True) & inputs.valid[:, None, None]
        computed = inputs.shape[0] * inputs.shape[1]
        return Scored(seen.groups, SinkCache(hidden), computed, taps=seen.taps)


def column_taps(model: MaskedModel, inputs: Batch) -> list[AttentionTap]:
    """Taps of the whole maps of all layers of a transformer."""
    every = tuple(range(inputs.shape[1]))
    return [AttentionTap(layer, every, f"sinks.{layer}") for layer in range(len(model.backbone.parts()))]


def received(maps: dict[str, Tensor], inputs: Batch, read: str = "all") -> Tensor:
    """float32 [B, layers, H, L], the attention that each key gets.

    Args:
        maps: float32 [B, H, L, L] of :func:`column_taps`, in order of layers.
        inputs: says which positions are valid; others neither look nor are looked at.
        read: "all" sums over positions, "last" takes the last valid one.
    """
    weight = inputs.valid.float()
    if read == "last":
        last = (weight.cumsum(1) * weight).argmax(1)
        weight = torch.nn.functional.one_hot(last, inputs.shape[1]).float()
    return torch.stack([torch.einsum("bhqk,bq->bhk", one.float(), weight) for one in maps.values()], 1)

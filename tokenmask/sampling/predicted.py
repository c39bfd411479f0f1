"""Predicted: what a step knows of the codes that it drew.

Arrow: inside the Sampler loop, logits and codes --> values by name. Does not know: models, how codes were drawn.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.ops import sample_codes

STATISTICS = ("logprob", "entropy", "margin")


@dataclass(frozen=True, eq=False)
class HeadLogits:
    """The answers of one head, u + s (c - u) of them.

    Args:
        head: the range of the codes.
        index: int64 [N], which of the step's slots they answer.
        conditional: c, float32 [N, V].
        uncond: u, the same, or None where c is all.
        scale: s.
    """

    head: int
    index: Tensor
    conditional: Tensor
    uncond: Tensor | None
    scale: float


class Predicted(Mapping[str, Tensor]):
    """What a step predicted of the codes that it drew, float32 [B, L, K] by name; 0 at slots that it did not ask.

    "logprob", "entropy" and "margin" are as the pick says them, for ``ops.sample_codes`` after temperature and before
    any filter (at T = 0, of T = 1); "plain_logprob" and "logit", before temperature, "code", the drawn code of its
    range, and "trial_logprob", before temperature, of a code drawn from all by the row's seed, bits turned over,
    are computed when first read.

    Attributes:
        taps: what parts of the step asked the model for besides, by name; nothing in a step that asked no slot.
        log_weight: float32 [B, L, K] of a pick that weighs, 0 at slots that were not asked; else None.
        notes: what the pick wants to be carried on, by name.
    """

    def __init__(self, drawn: Tensor, taps: Mapping[str, Tensor] | None = None) -> None:
        self._drawn = drawn  # float32 [3, B, L, K], the statistics
        self._values: dict[str, Tensor] = {}
        # Of each head: its slots, logits and codes; seeds and counters of their draws.
        self._heads: list[tuple[Tensor, HeadLogits, Tensor, tuple[Tensor, Tensor]]] = []
        self.taps: Mapping[str, Tensor] = taps or {}
        self.log_weight: Tensor | None = None
        self.notes: dict[str, Tensor] = {}

    @classmethod
    def nothing(cls, like: Tensor) -> Predicted:
        """That of a step that asked no slot of the shape of ``like``."""
        return cls(torch.zeros(len(STATISTICS), *like.shape, device=like.device))

    @classmethod
    def of(cls, values: Mapping[str, Tensor], taps: Mapping[str, Tensor] | None = None) -> Predicted:
        """One whose values are known, float32 [B, L, K] by name: "logprob" and any others."""
        made = cls.nothing(values["logprob"])
        made._values, made.taps = dict(values), taps or {}
        return made

    def add(self, slots: Tensor, logits: HeadLogits, codes: Tensor, keys: tuple[Tensor, Tensor]) -> None:
        """Notes the answers of a head, the codes that were drawn from them, and seeds and counters of these draws."""
        self._heads.append((slots, logits, codes, keys))

    def weigh(self, slots: Tensor, log_weight: Tensor) -> None:
        """Notes the log-weights of the codes of some slots."""
        if self.log_weight is None:
            self.log_weight = torch.zeros_like(self._drawn[0])
        self.log_weight.view(-1)[slots] = log_weight

    def __getitem__(self, name: str) -> Tensor:
        if name in self._values:
            return self._values[name]
        if name in STATISTICS:
            self._values[name] = self._drawn[STATISTICS.index(name)]
        elif name == "code":
            value = torch.zeros_like(self._drawn[0])
            for slots, _, codes, _ in self._heads:
                value.view(-1)[slots] = codes.float()
            self._values[name] = value
        elif name == "trial_logprob":
            value = torch.zeros_like(self._drawn[0])
            for slots, of, _, (seeds, counters) in self._heads:
                drawn = sample_codes(
                    of.conditional, seed=~seeds, counters=counters, uncond=of.uncond, guidance=of.scale
                )
                value.view(-1)[slots] = drawn[1]
            self._values[name] = value
        elif name in ("plain_logprob", "logit"):
            value = torch.zeros_like(self._drawn[0])
            for slots, of, codes, _ in self._heads:
                conditional, uncond = of.conditional, of.uncond
                logits = conditional if uncond is None else uncond + of.scale * (conditional - uncond)
                chosen = logits.gather(1, codes[:, None].long()).squeeze(1)
                value.view(-1)[slots] = chosen if name == "logit" else chosen - logits.logsumexp(1)
            self._values[name] = value
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter((*STATISTICS, "plain_logprob", "logit", "code", "trial_logprob"))

    def __len__(self) -> int:
        return len(STATISTICS) + 4

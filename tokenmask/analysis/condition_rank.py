"""Condition rank: does a generated stream fit its own condition better than others?

Arrow: model + filled streams + conditions --> ranks. Does not know: modalities, how the streams were made.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from tokenmask.batch import FILL, GIVEN, Batch, collate
from tokenmask.masking import LevelStages, Linear, Masker, MaskingProcess, ProcessRate
from tokenmask.models import MaskedModel
from tokenmask.ops import Purpose, uniform
from tokenmask.scores import ScoreContext, slot_noise
from tokenmask.streams import TokenStream
from tokenmask.training import Packing, code_losses


@dataclass(frozen=True, eq=False)
class ConditionRanks:
    """Ranks of the own condition among the candidates.

    Args:
        ranks: int64 [N], 0 where the own condition explains the stream best.
        candidates: number of conditions that were compared.
    """

    ranks: Tensor
    candidates: int

    @property
    def first_share(self) -> float:
        """Share of streams whose own condition ranks first."""
        return float((self.ranks == 0).double().mean())

    @property
    def chance(self) -> float:
        """The share that guessing would reach."""
        return 1 / self.candidates

    @property
    def standard_error(self) -> float:
        """Binomial standard error of :attr:`first_share`."""
        share = self.first_share
        return math.sqrt(share * (1 - share) / len(self.ranks))

    def __str__(self) -> str:
        return (
            f"own condition first among {self.candidates}: {self.first_share:.2f} +- {self.standard_error:.2f} "
            f"of {len(self.ranks)} (chance {self.chance:.2f})"
        )


def condition_ranks(
    model: MaskedModel,
    packing: Packing,
    target: str,
    streams: Sequence[TokenStream],
    conditions: Sequence[Mapping[str, TokenStream]],
    *,
    candidates: int = 20,
    draws: int = 2,
    seed: int = 0,
    batch_size: int = 64,
    process: MaskingProcess | None = None,
) -> ConditionRanks:
    """Ranks each stream's own condition by the masked cross-entropy of the stream under it.

    All candidates of a stream are compared under the same masks, on the coarsest levels. The other candidates are
    drawn from the conditions of the other streams.

    Args:
        model: judge.
        packing: as in training.
        target: name of the filled stream.
        streams: N filled streams.
        conditions: their N conditions, all different.
        candidates: own condition included; at most N.
        draws: masks of each pair.
        seed: of masks and candidates.
        batch_size: rows of a pass.
        process: that of the rate in training, for models that are told the time.

    Raises:
        ValueError: fewer conditions than candidates.
    """
    if not 2 <= candidates <= len(conditions) or len(streams) != len(conditions):
        raise ValueError(
            f"condition_ranks needs a condition for each stream and at least {max(candidates, 2)} of them, "
            f"got {len(streams)} streams and {len(conditions)} conditions; "
            "score more records at once, or fewer candidates"
        )
    layout, masker = model.layout, Masker(ProcessRate(Linear()), stages=LevelStages(only=0))
    jobs = [(n, c, draw) for n in range(len(streams)) for c in range(candidates) for draw in range(draws)]
    others = _candidates(len(conditions), candidates, seed)
    total, device = torch.zeros(len(streams), candidates, dtype=torch.float64), next(model.parameters()).device
    for start in range(0, len(jobs), batch_size):
        part = jobs[start : start + batch_size]
        sequences = []
        for n, c, _ in part:
            condition = conditions[int(others[n, c])]
            roles = {**dict.fromkeys(condition, GIVEN), target: FILL}
            sequences.append(packing(layout, {**condition, target: streams[n]}, roles=roles))
        keys = torch.tensor([n * draws + draw for n, _, draw in part])
        batch = collate(sequences, keys, multiple=16)
        masked = masker(batch, layout, seed=seed, scores=_noise_inside(batch, layout.index(target), seed))
        losses = code_losses(model, masked.to(device), process).double().cpu()
        row = torch.div(masked.queries.slots, batch.shape[1] * batch.shape[2], rounding_mode="floor")
        row = row[masked.targets.queries]
        sums = torch.zeros(len(part), dtype=torch.float64).index_add(0, row, losses)
        for (n, c, _), value in zip(part, sums.tolist(), strict=True):
            total[n, c] += value
    return ConditionRanks((total[:, 1:] <= total[:, :1]).sum(1), candidates)


def _noise_inside(batch: Batch, stream: int, seed: int) -> Tensor:
    """Noise keyed by the place inside a stream, so that what stands before it does not change what is hidden."""
    places = ((batch.stream == stream).cumsum(1) - 1).clamp(min=0)
    context = ScoreContext(batch, batch.role == FILL, torch.full_like(batch.sample_ids, seed), batch.sample_ids)
    return slot_noise(context, places)


def _candidates(count: int, candidates: int, seed: int) -> Tensor:
    """int64 [count, candidates]: the own index, then different others."""
    draws = uniform(seed=seed, counters=torch.arange(count * count), purpose=Purpose.order).view(count, count)
    draws.fill_diagonal_(-1.0)
    return torch.cat([torch.arange(count)[:, None], draws.argsort(1, descending=True)[:, : candidates - 1]], dim=1)
